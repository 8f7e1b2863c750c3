"""The exception tree, ordered by who must act.

``SafelightError`` is the root of everything this project raises on purpose.  What a caller does follows from the
type alone: configuration and usage errors end a command with exit status 2 and their text; wire and integrity errors
reject one message or blob; bus and store errors are retried or turned into the policy's ``on_uninspected``; decode
errors become the ``error`` of a verdict.
"""

from __future__ import annotations

from enum import StrEnum


class ErrorCode(StrEnum):
    """Why an image has no facts: the closed vocabulary of a verdict's ``error.code``."""

    NOT_AN_IMAGE = "not_an_image"
    UNSUPPORTED_FORMAT = "unsupported_format"
    CORRUPT = "corrupt"
    TRUNCATED = "truncated"
    TOO_LARGE = "too_large"
    TOO_MANY_PIXELS = "too_many_pixels"
    OVER_BUDGET = "over_budget"
    ENCRYPTED = "encrypted"
    OPAQUE = "opaque"
    DECODE_TIMEOUT = "decode_timeout"
    DECODER_CRASHED = "decoder_crashed"
    TOO_LATE = "too_late"
    ENCODER_UNAVAILABLE = "encoder_unavailable"
    INTERNAL_ERROR = "internal_error"


class RedactionRefusal(StrEnum):
    """Why a transfer that was to be redacted is blocked instead: the code in the alert and the reply."""

    SIGNED_BODY = "signed_body"
    UPLOAD_SESSION = "upload_session"
    PARTIAL_CONTENT = "partial_content"
    UNSUPPORTED_FORMAT = "unsupported_format"
    NOT_LOCATED = "not_located"
    IN_CONTAINER = "in_container"
    TOO_LATE = "too_late"
    FAILED = "failed"
    NOT_POSSIBLE_HERE = "not_possible_here"


class SafelightError(Exception):
    """Root of the tree; its text is a sentence for the person who has to act."""


class ConfigError(SafelightError):
    """The operator must change the configuration or the environment (exit status 2)."""


class UsageError(SafelightError):
    """The command was given something that does not exist or does not fit (exit status 2)."""


class PolicyError(UsageError):
    """A policy file does not validate; nothing was changed.

    ``where`` is a path into the file such as ``policies[0].then.action``, ``line`` counts from 1 (None: unknown).
    """

    def __init__(self, message: str, *, where: str, line: int | None = None) -> None:
        self.where = where
        self.line = line
        place = f"{where} (line {line})" if line is not None else where
        super().__init__(f"{place}: {message}")


class LeaseHeldError(ConfigError):
    """Another live process holds the lease, for example a proxy with the same ``proxy.instance``."""


class ExtractionError(SafelightError):
    """A body could not be taken apart within limits; ``code`` says how it is reported."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        self.code = code
        super().__init__(message)


class DecodeError(SafelightError):
    """One image could not be decoded; becomes the ``error`` of its verdict."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        self.code = code
        super().__init__(message)


class RedactionError(SafelightError):
    """What a policy protects cannot be taken out of a transfer; it is blocked, and ``reason`` says why."""

    def __init__(self, reason: RedactionRefusal, message: str) -> None:
        self.reason = reason
        super().__init__(message)


class WireError(SafelightError):
    """A message is not of this wire format or version; it is dropped and counted."""


class IntegrityError(SafelightError):
    """Bytes from the bus or the store fail authentication, or belong to another encoder or key."""


class BusError(SafelightError):
    """The bus did not take or give a message."""


class BusFullError(BusError):
    """The bus works and has no room: its readers are behind."""


class BusTimeoutError(BusError):
    """The bus did not answer within the bound; it may be down."""


class StoreError(SafelightError):
    """The store is unreachable or refused the command."""


class EncoderUnavailableError(SafelightError):
    """No encoder can be loaded with the execution provider asked for."""

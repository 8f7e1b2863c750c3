"""The closed vocabularies: what a value may be called anywhere in the program, its files and its alerts."""

from __future__ import annotations

import re
from enum import IntEnum, StrEnum
from typing import Final

SHA256_HEX: Final = re.compile(r"[0-9a-f]{64}")
PDQ_HEX: Final = SHA256_HEX  # a PDQ hash is 256 bits too: 64 hexadecimal digits, first bit first
SET_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")

Headers = tuple[tuple[str, str], ...]
"""Header fields in order of arrival, names in lower case."""


class Direction(StrEnum):
    """Which way the bytes of a message go, seen from the company."""

    OUTBOUND = "outbound"
    INBOUND = "inbound"


class Activity(StrEnum):
    """What a user does with an object in an application."""

    UPLOAD = "upload"
    DOWNLOAD = "download"
    DELETE = "delete"
    SHARE = "share"
    MOVE_WITHIN = "move_within"
    MOVE_OUTSIDE = "move_outside"
    COPY = "copy"
    SEND = "send"
    PRINT = "print"


class Account(StrEnum):
    """Whose account a transfer goes to."""

    PERSONAL = "personal"
    COMPANY = "company"
    UNKNOWN = "unknown"


class Action(StrEnum):
    """What a policy does.  ``delete``, ``quarantine`` and ``tag`` are for scans of hosted stores."""

    ALLOW = "allow"
    COACH = "coach"
    REDACT = "redact"
    BLOCK = "block"
    TAG = "tag"
    QUARANTINE = "quarantine"
    DELETE = "delete"


RESTRICTIVENESS: Final[tuple[Action, ...]] = (
    Action.ALLOW,
    Action.TAG,
    Action.COACH,
    Action.REDACT,
    Action.QUARANTINE,
    Action.BLOCK,
    Action.DELETE,
)
"""Least restrictive first.  Transfers know allow, coach, redact, block; scans tag, quarantine, delete."""


class Obscuring(StrEnum):
    """What a redaction does to a region: a plain box over it, or so coarse a blur that nothing can be read."""

    BOX = "box"
    BLUR = "blur"


class Mode(StrEnum):
    """``monitor`` decides and records but does not act."""

    ENFORCE = "enforce"
    MONITOR = "monitor"


class Severity(StrEnum):
    """Of an alert, as in OCSF."""

    INFORMATIONAL = "informational"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Relation(StrEnum):
    """How a picture relates to a reference."""

    COPY = "copy"
    SAME_LAYOUT = "same_layout"


class Matcher(StrEnum):
    """What found a match: identical bytes, the perceptual hash, the encoder, or geometric agreement."""

    BYTES = "bytes"
    PDQ = "pdq"
    ENCODER = "encoder"
    LOCAL = "local"


class UninspectedReason(StrEnum):
    """Why an image or a transfer could not be judged: the keys of a policy's ``on_uninspected``."""

    TIMEOUT = "timeout"
    OVERLOADED = "overloaded"
    DECODE_BUDGET = "decode_budget"
    ENCRYPTED = "encrypted"
    OPAQUE = "opaque"
    TOO_LARGE = "too_large"
    UNDECODABLE = "undecodable"
    UNKNOWN_OBJECT = "unknown_object"
    DEFAULT = "default"


class Priority(IntEnum):
    """Whose image is judged first where several wait: the lower number."""

    UPLOAD = 0
    DOWNLOAD = 1
    BACKGROUND = 2
    """Nobody waits in front of a screen: scans and enrolment."""

"""What to do with a body, decided on the message's head, before the first byte of the body arrives."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from shared.extract.budget import Limits, finished
from shared.extract.codings import codings_of, undo
from shared.extract.sniff import SNIFF_BYTES, sniff
from shared.extract.units import is_cut, is_stream
from shared.types import HttpHead

TEE_BYTES: Final = 4 * SNIFF_BYTES
"""Bytes a tee keeps: enough for a compressed body's first SNIFF_BYTES."""


class Handling(StrEnum):
    """How a body is treated."""

    HOLD = "hold"
    """Buffered whole, then inspected."""
    STREAM = "stream"
    """Passed on as it comes: there is no body, or it is a stream that would never end in a buffer."""
    TEE = "tee"
    """Passed on as it comes; the first bytes are sniffed, so that a picture in disguise is at least counted."""
    UNITS = "units"
    """Passed on as it comes, but for each event or message of the stream, which is inspected before it passes."""
    TOO_LARGE = "too_large"
    """Passed on as it comes and counted as uninspected."""


# Endless streams that nothing cuts into units: buffering them would hang the client for ever.
_ENDLESS: Final = ("application/grpc-web-text", "multipart/x-mixed-replace")
_TEED_BOTH_WAYS: Final = ("video/", "audio/")
_TEED_RESPONSES: Final = ("font/", "application/font-", "application/x-font", "application/vnd.ms-fontobject")
_TEED_RESPONSE_TYPES: Final = frozenset(
    {
        "text/javascript",
        "text/ecmascript",
        "application/javascript",
        "application/x-javascript",
        "application/ecmascript",
        "application/wasm",
    }
)


def handling(head: HttpHead, *, max_object: int) -> Handling:
    """Decide on ``head``; ``max_object`` in bytes.

    For a response, ``head.method`` is the method of its request.  A request without a length is held: over HTTP/2 any
    method may bring a body unannounced, and holding a body that does not come costs nothing.
    """
    length = _content_length(head)
    media_type = head.header("content-type").partition(";")[0].strip().lower()
    if length == 0 or _has_no_body(head):
        return Handling.STREAM
    if _is_cut(head, media_type, length):
        return Handling.UNITS
    if media_type.startswith(_ENDLESS) and head.status is not None:
        return Handling.STREAM
    if _is_teed(head, media_type):
        return Handling.TEE
    if length is not None and length > max_object:
        return Handling.TOO_LARGE
    return Handling.HOLD


def _is_cut(head: HttpHead, media_type: str, length: int | None) -> bool:
    # Buffering a stream of requests and responses would hang its client for ever; what says its length is no stream,
    # and could not be said to end earlier either.
    return length is None and (is_stream(media_type) or (head.status is not None and is_cut(media_type)))


def _content_length(head: HttpHead) -> int | None:
    text = head.header("content-length").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def _has_no_body(head: HttpHead) -> bool:
    if head.method.upper() == "CONNECT":
        return True
    if head.status is None:
        return False
    return head.method.upper() == "HEAD" or head.status < 200 or head.status in {204, 304}


def _is_teed(head: HttpHead, media_type: str) -> bool:
    if media_type.startswith(_TEED_BOTH_WAYS):
        return True
    return head.status is not None and (media_type.startswith(_TEED_RESPONSES) or media_type in _TEED_RESPONSE_TYPES)


class TeeSniffer:
    """Watches a streamed body go by; its answer depends on the bytes alone, not on how they are cut."""

    def __init__(self, content_encoding: str = "") -> None:
        self._codings = codings_of([content_encoding])
        self._head = bytearray()
        self._answer: bool | None = None

    def feed(self, chunk: bytes) -> bytes:
        """Return ``chunk``, unchanged."""
        if self._answer is None:
            self._head += chunk[: TEE_BYTES - len(self._head)]
            if len(self._head) == TEE_BYTES:
                self._answer = self._sniff()
        return chunk

    @property
    def found_image(self) -> bool:
        """Whether what has gone by so far begins like an image."""
        return self._sniff() if self._answer is None else self._answer

    def _sniff(self) -> bool:
        return sniff(_without_codings(bytes(self._head), self._codings)) is not None


def _without_codings(head: bytes, names: tuple[str, ...]) -> bytes:
    if not names or not head:
        return head
    return finished(undo(head, names, Limits(max_inflated_bytes=SNIFF_BYTES))).body or head

"""One budget per message, and what was found and missed under it.

A limit that is hit is a ``Problem``, never silence, and never loses the images found before it.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Final, Literal

from shared.errors import ErrorCode
from shared.types import Part

MIB: Final = 1 << 20
WINDOW: Final = 128 * 1024
"""Bytes copied and hashed in one step: 0.1 to 0.4 ms, depending on the processor's SHA instructions."""

MAX_NAME: Final = 255
"""Characters of a part's name that are kept: what file systems allow."""

type Steps[T] = Generator[None, None, T]
"""A computation that hands control back every 2 ms of CPU at the latest, and returns a T."""


def finished[T](steps: Steps[T], between: Callable[[], object] = lambda: None) -> T:
    """Return what a computation returns, without pausing; raises what ``between`` does, called after each step."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            result: T = done.value
            return result
        between()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one message may cost.

    ``max_inflate_ratio`` (output to input) counts only past ``inflate_ratio_floor`` bytes: a blank bitmap of a few
    megabytes compresses a thousandfold and is no attack.  ``max_nesting``: decodings inside each other, such as base64
    of a mail that holds base64.  ``max_embedded_bytes``: pictures that lie raw inside other binary data; where
    nothing tells their end, each reaches to the end of that data.
    """

    max_images: int = 64
    max_inflated_bytes: int = 256 * MIB
    max_inflate_ratio: int = 200
    inflate_ratio_floor: int = 32 * MIB
    max_codings: int = 4
    max_multipart_parts: int = 1024
    max_multipart_depth: int = 8
    max_nesting: int = 8
    max_header_bytes: int = 8 * 1024
    max_base64_bytes: int = 256 * MIB
    max_base64_candidates: int = 50_000
    max_embedded_bytes: int = 256 * MIB
    max_problems: int = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Content that could not be looked into; ``size`` in bytes as far as known."""

    code: ErrorCode
    locator: str
    size: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """The images of a message, each once, and what could not be looked into."""

    parts: tuple[Part, ...] = ()
    problems: tuple[Problem, ...] = ()


class ImageSink:
    """Takes an image window by window; hashes it and builds its one copy.

    The buffer is allocated zeroed and lazily, then written in place: a single ``bytes(view)`` of 100 MB would hold
    the GIL for 0.3 s, ``getvalue`` of a buffer of just that size does not copy.
    """

    def __init__(self, size: int) -> None:
        self._buffer = io.BytesIO(bytes(size))
        self._hash = hashlib.sha256()

    def write(self, window: bytes | memoryview) -> None:
        self._hash.update(window)
        self._buffer.write(window)

    def finish(self) -> tuple[bytes, str]:
        """Return the bytes written and their SHA-256 in hexadecimal."""
        self._buffer.truncate()
        return self._buffer.getvalue(), self._hash.hexdigest()


class Findings:
    """Collects parts and problems of one message and keeps its budget."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.full = False
        self._parts: dict[str, Part] = {}
        self._problems: list[Problem] = []
        self._base64_left = limits.max_base64_bytes
        self._candidates_left = limits.max_base64_candidates
        self._embedded_left = limits.max_embedded_bytes
        self._inflated_left = limits.max_inflated_bytes

    def report(self, code: ErrorCode, locator: str, size: int, message: str) -> None:
        if len(self._problems) < self.limits.max_problems:
            self._problems.append(Problem(code=code, locator=locator, size=size, message=message))

    def has_room(self, locator: str, size: int) -> bool:
        """Tell whether another image may be taken."""
        if len(self._parts) < self.limits.max_images:
            return True
        return self._exhaust(locator, size, f"more than {self.limits.max_images} images in one message")

    def spend_base64(self, size: int, locator: str) -> bool:
        """Take ``size`` decoded bytes off the budget; False when it is used up."""
        self._base64_left -= size
        if self._base64_left >= 0:
            return True
        return self._exhaust(locator, size, f"more than {self.limits.max_base64_bytes} bytes of base64 in one message")

    def spend_embedded(self, size: int, locator: str) -> bool:
        """Take ``size`` bytes of a picture inside other data off the budget; False when it is used up."""
        self._embedded_left -= size
        if self._embedded_left >= 0:
            return True
        return self._exhaust(locator, size, f"more than {self.limits.max_embedded_bytes} bytes inside binary data")

    def spend_inflated(self, size: int) -> None:
        """Take ``size`` inflated bytes off what the rest of the message may inflate to."""
        self._inflated_left -= size

    @property
    def inflating(self) -> Limits:
        """The limits for what is inflated next."""
        return replace(self.limits, max_inflated_bytes=max(self._inflated_left, 0))

    def spend_candidate(self, locator: str, size: int) -> bool:
        """Take one look at what may be base64 off the budget; False when it is used up."""
        self._candidates_left -= 1
        if self._candidates_left >= 0:
            return True
        return self._exhaust(locator, size, f"more than {self.limits.max_base64_candidates} strings to look into")

    def _exhaust(self, locator: str, size: int, message: str) -> Literal[False]:
        # Told once, and also when the list of problems is full.
        if not self.full:
            self.full = True
            del self._problems[max(self.limits.max_problems - 1, 0) :]
            self._problems.append(Problem(code=ErrorCode.OVER_BUDGET, locator=locator, size=size, message=message))
        return False

    def add(self, data: bytes, sha256: str, media_type: str, locator: str, name: str) -> None:
        """Keep an image; the same one again is the first one."""
        if sha256 in self._parts or not self.has_room(locator, len(data)):
            return
        part = Part(data=data, media_type=media_type, locator=locator, sha256=sha256, name=name[:MAX_NAME])
        self._parts[sha256] = part

    def add_span(self, data: bytes, start: int, end: int, *, media_type: str, locator: str, name: str) -> Steps[None]:
        """Keep ``data[start:end]`` as an image."""
        if (start, end) == (0, len(data)):
            digest = hashlib.sha256()
            for window in _windows(data, start, end):
                digest.update(window)
                yield
            self.add(data, digest.hexdigest(), media_type, locator, name)
            return
        sink = ImageSink(end - start)
        for window in _windows(data, start, end):
            sink.write(window)
            yield
        self.add(*sink.finish(), media_type, locator, name)

    def result(self) -> Extraction:
        return Extraction(parts=tuple(self._parts.values()), problems=tuple(self._problems))


def _windows(data: bytes, start: int, end: int) -> Generator[memoryview]:
    view = memoryview(data)
    for at in range(start, end, WINDOW):
        yield view[at : min(at + WINDOW, end)]

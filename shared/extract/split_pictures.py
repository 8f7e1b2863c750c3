"""Pictures that an application sends in several messages of one connection, put together again.

A picture's own structure tells where it ends, so nothing has to be known of the application: a binary message that
begins like a picture and is not whole opens one, the binary messages after it go on with it.  All but the last have to
pass before the whole can be judged, since applications wait for an acknowledgement of each: the last message is the
last place to block.

Sans I/O, one object a direction of a connection.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import Final

from shared.extract.budget import WINDOW, Steps
from shared.extract.sniff import SNIFF_BYTES, sniff

SCAN_WINDOW: Final = 128 * 1024
BLOCKS_PER_STEP: Final = 1024

_MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_START_OF_SCAN: Final = 0xDA
_END_OF_IMAGE: Final = 0xD9
_BARE_MARKERS: Final = frozenset({0x01, 0xD8, *range(0xD0, 0xD8)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """What to judge before a message passes, and what was collected in vain.

    ``early``: ``now`` is the beginning of a picture of which more seems to come; it may still be all there is, since
    some encoders leave the end out.  ``too_large``: what was collected has reached the limit and is given up.
    """

    now: bytes
    early: bool = False
    later: bytes | None = None
    too_large: bool = False


class SplitPictures:
    """Collects at most ``limit`` bytes of one picture."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._walk: _Walk | None = None

    def add(self, data: bytes, *, is_text: bool) -> Steps[Joined]:
        """Take in a message; text in between is no part of a picture."""
        if is_text:
            return Joined(now=data)
        media_type, later = sniff(data[:SNIFF_BYTES]), None
        if media_type is not None:
            later = self.finish()
            self._walk = _Walk(media_type)
        walk = self._walk
        if walk is None:
            return Joined(now=data)
        if walk.size + len(data) > self._limit:
            self._walk = None
            return Joined(now=data, later=later, too_large=True)
        yield from walk.feed(data)
        if walk.is_whole:
            self._walk = None
            return Joined(now=walk.collected(), later=later)
        # What is no beginning is looked into as well: more than the rest of a picture may be hidden in it.
        return Joined(now=data, early=media_type is not None, later=later)

    def finish(self) -> bytes | None:
        """Return what was collected of a picture that will not become whole any more."""
        begun, self._walk = self._walk, None
        return begun.collected() if begun else None


class _Walk:
    """Goes along a picture as it arrives, as far as its structure tells."""

    def __init__(self, media_type: str) -> None:
        self._held = io.BytesIO()
        self.data = memoryview(b"")  # of what is held, while it is looked at
        self.size = 0
        self.is_whole = False
        self._at = 0
        self._in_scan = False
        self._steps = {
            "image/png": self._png,
            "image/jpeg": self._jpeg,
            "image/gif": self._gif,
            "image/webp": self._webp,
            "image/bmp": self._bmp,
        }.get(media_type, self._unknown)

    def feed(self, data: bytes) -> Steps[None]:
        """Take in the next stretch."""
        for start in range(0, len(data), WINDOW):
            if start:
                yield
            self.size += self._held.write(memoryview(data)[start : start + WINDOW])
        done = 0
        with self._held.getbuffer() as self.data:
            while not self.is_whole and self._steps():
                done += 1
                if done % BLOCKS_PER_STEP == 0 or self._in_scan:
                    yield

    def collected(self) -> bytes:
        """Return what has arrived; nothing is copied."""
        return self._held.getvalue()

    def _end(self, at: int) -> bool:
        self.is_whole = at <= len(self.data)
        return False

    def _unknown(self) -> bool:
        return self._end(0)  # nothing tells the end: judged as it stands

    def _webp(self) -> bool:
        return self._end(8 + int.from_bytes(self.data[4:8], "little"))

    def _bmp(self) -> bool:
        return self._end(int.from_bytes(self.data[2:6], "little"))

    def _png(self) -> bool:
        at = self._at or 8
        if len(self.data) < at + 8:
            return False
        after = at + 12 + int.from_bytes(self.data[at : at + 4])
        if bytes(self.data[at + 4 : at + 8]) == b"IEND":
            return self._end(after)
        self._at = after
        return True

    def _jpeg(self) -> bool:
        at = self._at or 2
        if self._in_scan:
            return self._jpeg_scan(at)
        if len(self.data) < at + 4:
            return self._end(at + 2) if bytes(self.data[at : at + 2]) == b"\xff\xd9" else False
        kind = self.data[at + 1]
        if self.data[at] != 0xFF or kind == _END_OF_IMAGE:
            return self._end(at + 2)
        if kind == 0xFF:
            self._at = at + 1
        elif kind in _BARE_MARKERS:
            self._at = at + 2
        else:
            self._at = at + 2 + int.from_bytes(self.data[at + 2 : at + 4])
            self._in_scan = kind == _START_OF_SCAN
        return True

    def _jpeg_scan(self, at: int) -> bool:
        until = min(at + SCAN_WINDOW, len(self.data))
        marker = _MARKER.search(self.data, at, until)
        if marker:
            self._at, self._in_scan = marker.start(), False
            return True
        # The last byte may be the first half of a marker.
        self._at = max(until - 1, at)
        return until < len(self.data)

    def _gif(self) -> bool:
        data, at = self.data, self._at
        if at == 0:
            if len(data) < 13:
                return False
            self._at = 13 + _colours(data[10])
            return True
        if self._in_scan:
            return self._gif_blocks(at)
        if len(data) <= at:
            return False
        if data[at] == 0x21 and len(data) > at + 1:
            self._at, self._in_scan = at + 2, True
            return True
        if data[at] == 0x2C and len(data) > at + 9:
            self._at, self._in_scan = at + 11 + _colours(data[at + 9]), True
            return True
        return self._end(at + 1) if data[at] not in b"\x21\x2c" else False

    def _gif_blocks(self, at: int) -> bool:
        for _ in range(BLOCKS_PER_STEP):
            if len(self.data) <= at:
                break
            size = self.data[at]
            at += 1 + size
            if size == 0:
                self._in_scan = False
                break
        moved, self._at = at != self._at, at
        return moved


def _colours(flags: int) -> int:
    """Return the bytes of a colour table."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0

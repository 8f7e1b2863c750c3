"""Goes along a picture as it arrives, as far as its structure tells, and says when it is whole.

Of formats without an end of their own (TIFF, icons) nothing is waited for: each stretch is judged as it stands.
"""

from __future__ import annotations

import io
import re
from typing import Final

from shared.extract.budget import WINDOW, Steps

SCAN_WINDOW: Final = 128 * 1024
BLOCKS_PER_STEP: Final = 1024

_MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_START_OF_SCAN: Final = 0xDA
_END_OF_IMAGE: Final = 0xD9
_BARE_MARKERS: Final = frozenset({0x01, 0xD8, *range(0xD0, 0xD8)})
_PIXELS: Final = (b"mdat", b"jxlc", b"jp2c")
"""Boxes after which an ISO base media, JPEG XL or JPEG 2000 file may end (ISO/IEC 14496-12, section 4.2)."""


class PictureWalk:
    """Collects one picture of a type that ``sniff`` knows."""

    def __init__(self, media_type: str) -> None:
        self._held = io.BytesIO()
        self.data = memoryview(b"")  # of what is held, while it is looked at
        self.size = 0
        self.is_whole = False
        self._at = 0
        self._in_scan = self._has_pixels = False
        self._steps = {
            "image/png": self._png,
            "image/jpeg": self._jpeg,
            "image/gif": self._gif,
            "image/webp": self._webp,
            "image/bmp": self._bmp,
            "image/heif": self._boxes,
            "image/avif": self._boxes,
            "image/jxl": self._boxes,
            "image/jp2": self._boxes,
        }.get(media_type, self._unknown)

    def feed(self, data: bytes, start: int = 0, end: int | None = None) -> Steps[None]:
        """Take in the next stretch, ``data[start:end]``."""
        end = len(data) if end is None else end
        for at in range(start, end, WINDOW):
            if at > start:
                yield
            self.size += self._held.write(memoryview(data)[at : min(at + WINDOW, end)])
        done = 0
        with self._held.getbuffer() as self.data:
            while not self.is_whole and self._steps():
                done += 1
                if done % BLOCKS_PER_STEP == 0 or self._in_scan:
                    yield

    def try_end(self, data: bytes) -> Steps[None]:
        """Take in a stretch if the picture ends with it; else it is as if it had not come."""
        kept = self._at, self._in_scan, self._has_pixels, self.size
        yield from self.feed(data)
        if not self.is_whole:
            self._at, self._in_scan, self._has_pixels, self.size = kept
            self._held.truncate(self.size)
            self._held.seek(self.size)

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

    def _boxes(self) -> bool:
        at, data = self._at, self.data
        if at == len(data):
            return self._end(at) if self._has_pixels else False
        if len(data) < at + 8:
            return False
        size, kind = int.from_bytes(data[at : at + 4]), bytes(data[at + 4 : at + 8])
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16])
        if size < 8 or data[0] == 0xFF:  # a box to the end of the file, or a bare codestream: nothing tells the end
            return self._end(0)
        self._has_pixels |= kind in _PIXELS
        self._at = at + size
        return self._at <= len(data)

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

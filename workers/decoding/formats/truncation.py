"""Was a file cut off?  Told from its end, since decoders report a missing tail and a damaged middle alike."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Final

_SOUNDS_CUT_OFF: Final = re.compile(
    r"truncat|unexpected end|end of (file|data)|not enough|premature|EOF|unpack_from|unpack requires|"
    r"bytes not processed|could not load|cannot read",
    re.IGNORECASE,
)


def cut_off(data: bytes, image_format: str, complaint: str = "") -> bool:
    """Tell whether ``data`` lacks its end; a format without an end mark is judged by the decoder's ``complaint``."""
    mark = _END_MARKS.get(image_format)
    return not mark(data) if mark is not None else bool(_SOUNDS_CUT_OFF.search(complaint))


def _jpeg(data: bytes) -> bool:
    # Cameras pad and append after the end mark, and a thumbnail carries one early on: look at what follows it.
    end = data.rfind(b"\xff\xd9")
    return end >= 0 and data.find(b"\xff\xda", end) < 0 and end > data.rfind(b"\xff\xda")


def _png(data: bytes) -> bool:
    return b"IEND" in data[-(1 << 16) :]


def _gif(data: bytes) -> bool:
    return b";" in data[-16:]


def _webp(data: bytes) -> bool:
    return len(data) >= 12 and len(data) >= 8 + struct.unpack_from("<I", data, 4)[0]


def _bmp(data: bytes) -> bool:
    return len(data) >= 26 and len(data) >= struct.unpack_from("<I", data, 2)[0]


_END_MARKS: Final[dict[str, Callable[[bytes], bool]]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "GIF": _gif,
    "WEBP": _webp,
    "BMP": _bmp,
}

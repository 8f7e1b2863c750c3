"""What a run of bytes is, by its first bytes.

Declared types are never asked: upload services send raw JPEG as ``application/x-www-form-urlencoded``.  Short or weak
signatures (BMP's two bytes, ICO's four) are checked against the header fields that follow, so that text that happens
to start with ``BM`` is not taken for a picture.
"""

from __future__ import annotations

from typing import Final

SNIFF_BYTES: Final = 512
"""How many leading bytes ``sniff`` and ``sniff_container`` look at, at most."""

_PREFIXES: Final[tuple[tuple[bytes, str], ...]] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"8BPS\x00\x01", "image/vnd.adobe.photoshop"),
    (b"8BPS\x00\x02", "image/vnd.adobe.photoshop"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "image/jp2"),
    (b"\xff\x4f\xff\x51", "image/jp2"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "image/jxl"),
    (b"\xff\x0a", "image/jxl"),
)

# ISO/IEC 23008-12 and AV1 image brands; the generic mif1/msf1 are decided by the compatible brands that follow.
_AVIF_BRANDS: Final = frozenset({b"avif", b"avis"})
_HEIF_BRANDS: Final = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2", b"msf1"}
)

# BITMAPCOREHEADER, OS/2 2.x (short and long), BITMAPINFOHEADER and its versions 2 to 5.
_BMP_HEADERS: Final = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
_BMP_DEPTHS: Final = frozenset({0, 1, 2, 4, 8, 16, 24, 32})
_ICO_DEPTHS: Final = frozenset({0, 1, 4, 8, 16, 24, 32})

_CONTAINERS: Final[tuple[tuple[int, bytes, str], ...]] = (
    (0, b"PK\x03\x04", "zip"),
    (0, b"PK\x05\x06", "zip"),
    (0, b"%PDF-", "pdf"),
    (0, b"{\\rtf", "rtf"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z"),
    (0, b"Rar!\x1a\x07", "rar"),
    (0, b"\x1f\x8b\x08", "gzip"),
    (0, b"\xfd7zXZ\x00", "xz"),
    (0, b"\x28\xb5\x2f\xfd", "zstd"),
    (0, b"MSCF\x00\x00\x00\x00", "cab"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole"),
    (257, b"ustar", "tar"),
)

_BZIP2_BLOCKS: Final = frozenset({b"1AY&SY", b"\x17\x72\x45\x38\x50\x90"})  # a block's magic, and an empty file's end


def sniff(data: bytes) -> str | None:
    """Return the image media type of ``data`` (at least its first SNIFF_BYTES), or None for anything else."""
    if data[:3] == b"\xff\xd8\xff":
        # Every JPEG marker that can follow SOI is 0xC0..0xFE; 0xFF is a fill byte.
        return "image/jpeg" if len(data) == 3 or data[3] >= 0xC0 else None
    for prefix, media_type in _PREFIXES:
        if data.startswith(prefix):
            return media_type
    return _sniff_checked(data)


def _sniff_checked(data: bytes) -> str | None:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[4:8] == b"ftyp":
        return _sniff_isobmff(data)
    if data[:2] == b"BM" and _is_bmp(data):
        return "image/bmp"
    if data[:2] in {b"II", b"MM"} and _is_tiff(data):
        return "image/tiff"
    if data[:4] in {b"\x00\x00\x01\x00", b"\x00\x00\x02\x00"} and _is_ico(data):
        return "image/vnd.microsoft.icon"
    return None


def _sniff_isobmff(data: bytes) -> str | None:
    size = min(int.from_bytes(data[:4]), SNIFF_BYTES)
    brands = {data[8:12]} | {data[at : at + 4] for at in range(16, size, 4)}
    if brands & _AVIF_BRANDS:
        return "image/avif"
    return "image/heif" if brands & _HEIF_BRANDS else None


def _is_bmp(data: bytes) -> bool:
    header_size = int.from_bytes(data[14:18], "little")
    if len(data) < 26 or header_size not in _BMP_HEADERS:
        return False
    fields = data[22:26] if header_size == 12 else data[26:30]
    planes, depth = int.from_bytes(fields[:2], "little"), int.from_bytes(fields[2:], "little")
    pixels_at = int.from_bytes(data[10:14], "little")
    return planes == 1 and depth in _BMP_DEPTHS and (pixels_at == 0 or pixels_at >= 14 + header_size)


def _is_tiff(data: bytes) -> bool:
    order = "little" if data[:2] == b"II" else "big"
    version = int.from_bytes(data[2:4], order)  # type: ignore[arg-type]
    if version == 43:  # BigTIFF: offsets of eight bytes, then a zero
        return data[4:8] == (b"\x08\x00\x00\x00" if order == "little" else b"\x00\x08\x00\x00")
    return version == 42 and len(data) >= 8 and int.from_bytes(data[4:8], order) >= 8  # type: ignore[arg-type]


def _is_ico(data: bytes) -> bool:
    count = int.from_bytes(data[4:6], "little")
    if not 1 <= count <= 256 or len(data) < 22 or data[9] != 0:
        return False
    size, offset = int.from_bytes(data[14:18], "little"), int.from_bytes(data[18:22], "little")
    is_cursor = data[2] == 2  # there, planes and depth are the hot spot
    plausible = is_cursor or (data[10] <= 1 and data[11] == 0 and int.from_bytes(data[12:14], "little") in _ICO_DEPTHS)
    return plausible and size >= 40 and offset >= 6 + 16 * count


_CONTAINER_TYPES: Final = {
    "zip": "application/zip",
    "pdf": "application/pdf",
    "rtf": "application/rtf",
    "7z": "application/x-7z-compressed",
    "gzip": "application/gzip",
    "xz": "application/x-xz",
    "bzip2": "application/x-bzip2",
    "zstd": "application/zstd",
    "ole": "application/x-ole-storage",
    "tar": "application/x-tar",
}
OPENED: Final = frozenset(_CONTAINER_TYPES)
"""Containers that workers open."""


def media_type_of(container: str) -> str:
    """Return the media type of a container that workers open."""
    return _CONTAINER_TYPES[container]


def sniff_container(data: bytes) -> str | None:
    """Return the short name of an archive or document format that may hold pictures, or None."""
    for at, magic, name in _CONTAINERS:
        if data.startswith(magic, at):
            return name
    if data[:3] == b"BZh" and data[4:10] in _BZIP2_BLOCKS:
        return "bzip2"
    return "tar" if _is_old_tar(data) else None


def _is_old_tar(data: bytes) -> bool:
    """Tell a tar archive from before ustar by the sum of its first header, which stands in it in octal."""
    digits = data[148:156].strip(b" \0")
    if len(data) < 512 or not 3 <= len(digits) <= 7 or digits.translate(None, b"01234567"):
        return False
    return sum(data[:148]) + 8 * ord(" ") + sum(data[156:512]) == int(digits, 8)

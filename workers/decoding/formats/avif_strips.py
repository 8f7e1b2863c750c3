"""An AVIF, turned into RGB a strip at a time: what is held at once is the decoder's own picture, 1.5 bytes a pixel, and
one more where it has clear parts.

Pillow has libavif convert the picture as a whole, and copies that: 8 bytes a pixel more.  This calls the same library,
the one that Pillow's own module is linked with; types and names are those of its avif/avif.h, where a new version adds
to the ends of what is used here.  A picture of several frames is not read here.  Runs in the sandbox.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final

import numpy as np
from PIL import Image, features

STRIP_ROWS: Final = 64
"""Even: two rows share their colours."""
_RGB: Final = 0
_RGBA: Final = 1
_BITS: Final = 8


class _Decoder(ctypes.Structure):
    """The beginning of what the library itself makes."""

    _fields_ = (
        *(
            (name, ctypes.c_int)
            for name in ("codec", "threads", "source", "progressive", "incremental", "ignore_exif", "ignore_xmp")
        ),
        *((name, ctypes.c_uint32) for name in ("most_pixels", "longest_side", "most_images", "strictness")),
        ("image", ctypes.c_void_p),
        *((name, ctypes.c_int) for name in ("index", "count", "progress")),
        *((name, ctypes.c_uint64) for name in ("timescale", "shown_at", "shown_at_units", "lasts", "lasts_units")),
        *((name, ctypes.c_uint64) for name in ("all_timescale", "all_lasts", "all_lasts_units")),
        *((name, ctypes.c_int) for name in ("repetitions", "has_alpha")),
    )


class _Size(ctypes.Structure):
    """The beginning of an image."""

    _fields_ = tuple((name, ctypes.c_uint32) for name in ("width", "height", "depth"))


class _Rectangle(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint32) for name in ("x", "y", "width", "height"))


class _Rgb(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_uint32) for name in ("width", "height", "depth")),
        *(
            (name, ctypes.c_int)
            for name in (
                "format", "upsampling", "downsampling", "no_libyuv", "ignore_alpha", "premultiplied", "is_float",
                "threads",
            )
        ),
        ("pixels", ctypes.c_void_p),
        ("row_bytes", ctypes.c_uint32),
        ("room", ctypes.c_uint8 * 64),  # for what a newer version adds
    )  # fmt: skip


_FUNCTIONS: Final[dict[str, tuple[Any, tuple[Any, ...]]]] = {
    "avifDecoderCreate": (ctypes.POINTER(_Decoder), ()),
    "avifDecoderDestroy": (None, (ctypes.POINTER(_Decoder),)),
    "avifDecoderSetIOMemory": (ctypes.c_int, (ctypes.POINTER(_Decoder), ctypes.c_char_p, ctypes.c_size_t)),
    "avifDecoderParse": (ctypes.c_int, (ctypes.POINTER(_Decoder),)),
    "avifDecoderNextImage": (ctypes.c_int, (ctypes.POINTER(_Decoder),)),
    "avifImageCreateEmpty": (ctypes.c_void_p, ()),
    "avifImageDestroy": (None, (ctypes.c_void_p,)),
    "avifImageSetViewRect": (ctypes.c_int, (ctypes.c_void_p, ctypes.c_void_p, ctypes.POINTER(_Rectangle))),
    "avifRGBImageSetDefaults": (None, (ctypes.POINTER(_Rgb), ctypes.c_void_p)),
    "avifImageYUVToRGB": (ctypes.c_int, (ctypes.c_void_p, ctypes.POINTER(_Rgb))),
    "avifResultToString": (ctypes.c_char_p, (ctypes.c_int,)),
}


def _load() -> Any:
    """Return libavif; None where Pillow has none or another major version, or hides its functions."""
    if not (features.version("avif") or "").startswith("1."):
        return None
    try:
        from PIL import _avif  # noqa: PLC0415 - a Pillow without AVIF has none

        library = ctypes.CDLL(_avif.__file__)
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (ImportError, OSError, AttributeError):
        return None
    return library


_LIBRARY: Final = _load()
"""Loaded at once: in the sandbox no file can be opened."""


def avif_strips(data: bytes, size: tuple[int, int]) -> Iterator[Image.Image] | None:
    """Return the strips, from top to bottom, of an AVIF of ``size`` = (width, height), as it is stored.

    None for several frames, or where libavif cannot be reached; raises OSError.
    """
    if _LIBRARY is None:
        return None
    with ExitStack() as stack:
        decoder = _LIBRARY.avifDecoderCreate()
        stack.callback(_LIBRARY.avifDecoderDestroy, decoder)
        found = decoder.contents
        found.threads, found.ignore_exif, found.ignore_xmp, found.strictness = 1, 1, 1, 0
        _check(_LIBRARY.avifDecoderSetIOMemory(decoder, data, len(data)))
        _check(_LIBRARY.avifDecoderParse(decoder))
        if found.count != 1 or _size(found.image) != size:
            return None
        _check(_LIBRARY.avifDecoderNextImage(decoder))
        if _size(found.image) != size:
            return None
        return _strips(found.image, data, size, stack.pop_all(), clear=bool(found.has_alpha))


def _strips(image: int, data: bytes, size: tuple[int, int], stack: ExitStack, *, clear: bool) -> Iterator[Image.Image]:
    """Yield the picture; ``data`` is what the library reads, and is held until it is done."""
    with stack:
        view = _LIBRARY.avifImageCreateEmpty()
        stack.callback(_LIBRARY.avifImageDestroy, view)
        width, height = size
        channels = 4 if clear else 3
        for top in range(0, height, STRIP_ROWS):
            rows = min(STRIP_ROWS, height - top)
            _check(_LIBRARY.avifImageSetViewRect(view, image, _Rectangle(0, top, width, rows)))
            pixels = np.empty((rows, width, channels), np.uint8)
            rgb = _Rgb()
            _LIBRARY.avifRGBImageSetDefaults(rgb, view)
            rgb.format, rgb.depth = _RGBA if clear else _RGB, _BITS
            rgb.pixels, rgb.row_bytes = pixels.ctypes.data, width * channels
            _check(_LIBRARY.avifImageYUVToRGB(view, rgb))
            yield Image.fromarray(pixels)
    del data


def _size(image: int) -> tuple[int, int]:
    known = _Size.from_address(image)
    return known.width, known.height


def _check(result: int) -> None:
    if result:
        raise OSError((_LIBRARY.avifResultToString(result) or b"libavif failed").decode("utf-8", "replace"))

"""A still WebP, scaled by libwebp while it decodes: its rows are averaged over areas as they come.

Pillow has libwebp decode an animation, whatever it is, which keeps two canvases of RGBA and hands out a third.  This
calls the same library, the one that Pillow's own module is linked with; types and names are those of libwebp's
src/webp/decode.h, whose major version the library compares.  Runs in the sandbox.
"""

from __future__ import annotations

import ctypes
from typing import Any, Final

import numpy as np
from PIL import Image, _webp

_ABI_VERSION: Final = 0x0209
_RGB: Final = 0
_CHANNELS: Final = 3
_OK: Final = 0


class _Features(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int) for name in ("width", "height", "has_alpha", "has_animation", "format")),
        ("pad", ctypes.c_uint32 * 5),
    )


class _Pixels(ctypes.Structure):
    _fields_ = (("rgba", ctypes.c_void_p), ("stride", ctypes.c_int), ("size", ctypes.c_size_t))


class _Planes(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("y", "u", "v", "a")),
        *((name, ctypes.c_int) for name in ("y_stride", "u_stride", "v_stride", "a_stride")),
        *((name, ctypes.c_size_t) for name in ("y_size", "u_size", "v_size", "a_size")),
    )


class _Either(ctypes.Union):
    _fields_ = (("pixels", _Pixels), ("planes", _Planes))


class _Output(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int) for name in ("colour_space", "width", "height", "is_external_memory")),
        ("memory", _Either),
        ("pad", ctypes.c_uint32 * 4),
        ("private_memory", ctypes.c_void_p),
    )


class _Options(ctypes.Structure):
    _fields_ = (
        *(
            (name, ctypes.c_int)
            for name in (
                "bypass_filtering", "no_fancy_upsampling", "use_cropping", "crop_left", "crop_top", "crop_width",
                "crop_height", "use_scaling", "scaled_width", "scaled_height", "use_threads", "dithering_strength",
                "flip", "alpha_dithering_strength",
            )
        ),
        ("pad", ctypes.c_uint32 * 5),
    )  # fmt: skip


class _Config(ctypes.Structure):
    _fields_ = (("input", _Features), ("output", _Output), ("options", _Options))


def _load() -> Any:
    """Return libwebp; None where Pillow has none, or hides its functions."""
    try:
        library = ctypes.CDLL(_webp.__file__)
        library.WebPInitDecoderConfigInternal.argtypes = (ctypes.POINTER(_Config), ctypes.c_int)
        library.WebPGetFeaturesInternal.argtypes = (
            ctypes.c_char_p, ctypes.c_size_t, ctypes.POINTER(_Features), ctypes.c_int,
        )  # fmt: skip
        library.WebPDecode.argtypes = (ctypes.c_char_p, ctypes.c_size_t, ctypes.POINTER(_Config))
    except (OSError, AttributeError):
        return None
    return library


_LIBRARY: Final = _load()
"""Loaded at once: in the sandbox no file can be opened."""


def webp_scaled(data: bytes, full: tuple[int, int], scale: tuple[int, int]) -> Image.Image | None:
    """Return the picture of a WebP of ``full`` = (width, height) pixels, ``scale`` = (across, down) of them as one.

    None for an animation, a picture with clear parts, or where libwebp cannot be reached; raises OSError for what it
    cannot decode.  Blocks that are not whole show what is beside them.
    """
    config = _Config()
    if _LIBRARY is None or not _LIBRARY.WebPInitDecoderConfigInternal(config, _ABI_VERSION):
        return None
    found = config.input
    if _LIBRARY.WebPGetFeaturesInternal(data, len(data), found, _ABI_VERSION) != _OK:
        return None
    if found.has_animation or found.has_alpha or (found.width, found.height) != full:
        return None
    width, height = (length // factor for length, factor in zip(full, scale, strict=True))
    options = config.options
    options.use_cropping, options.crop_width, options.crop_height = 1, width * scale[0], height * scale[1]
    options.use_scaling, options.scaled_width, options.scaled_height = 1, width, height
    rgb = ctypes.create_string_buffer(width * height * _CHANNELS)
    config.output.colour_space, config.output.is_external_memory = _RGB, 1
    memory = config.output.memory.pixels
    memory.rgba, memory.stride, memory.size = ctypes.addressof(rgb), width * _CHANNELS, len(rgb)
    status = _LIBRARY.WebPDecode(data, len(data), config)
    if status != _OK:
        raise OSError(f"libwebp failed with status {status}")
    pixels = np.frombuffer(rgb, np.uint8).reshape(height, width, _CHANNELS)
    rest = tuple((0, int(length % factor > 0)) for length, factor in zip(full[::-1], scale[::-1], strict=True))
    return Image.fromarray(np.pad(pixels, (*rest, (0, 0)), mode="edge"))

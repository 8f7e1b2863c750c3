"""A HEIF's tiles, decoded a row of them at a time, so that a telephone's picture is held in a few megabytes.

Telephones store a picture as a grid of tiles of 512 x 512, each a picture of its own (ISO/IEC 23008-12, 6.6.2.3).
libheif hands them out one by one; pi_heif has it decode all of them at once.  This calls the same library; types and
names are those of its heif_tiling.h and heif_properties.h.  The tiles come as they are stored, and how to turn them is
said beside: where libheif 1.23 turns a picture whose last tiles are not whole, it misplaces all of them.  A picture
that is one tile, that is cropped or that has clear parts is not read here.  Runs in the sandbox.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

import _pi_heif
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from workers.decoding.pixels import SIDEWAYS, turned

MOST_ROW_PIXELS: Final = 8 << 20
"""Of a row of tiles; one of 512 rows has 16,384 columns then, and takes 24 MB."""
STRIP_ROWS: Final = 64
"""A row of tiles is handed on in strips, so that nobody copies it as a whole."""

_ROTATION: Final = int.from_bytes(b"irot")
_MIRROR: Final = int.from_bytes(b"imir")
_UPSIDE_DOWN: Final = 0
_RGB_COLOURS: Final = 1
_RGB_BYTES: Final = 10
_MOST_TURNS: Final = 16
_INTERLEAVED: Final = 10
_CHANNELS: Final = 3


class _Error(ctypes.Structure):
    _fields_ = (("code", ctypes.c_int), ("detail", ctypes.c_int), ("message", ctypes.c_char_p))


class _Tiling(ctypes.Structure):
    _fields_ = (
        ("version", ctypes.c_int),
        *(
            (name, ctypes.c_uint32)
            for name in ("columns", "rows", "tile_width", "tile_height", "width", "height", "top", "left")
        ),
        ("dimensions", ctypes.c_uint8),
        ("sizes", ctypes.c_uint32 * 8),
    )


class _Options(ctypes.Structure):
    """The beginning of what the library itself makes."""

    _fields_ = (
        ("version", ctypes.c_uint8),
        ("leave_as_stored", ctypes.c_uint8),
        *((name, ctypes.c_void_p) for name in ("start", "progress", "end", "user")),
        ("to_8_bits", ctypes.c_uint8),
    )


_PROPERTY: Final = (ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32)
_PLACE = ctypes.POINTER(ctypes.c_void_p)
_FUNCTIONS: Final[dict[str, tuple[Any, tuple[Any, ...]]]] = {
    "heif_context_alloc": (ctypes.c_void_p, ()),
    "heif_context_free": (None, (ctypes.c_void_p,)),
    "heif_context_set_max_decoding_threads": (None, (ctypes.c_void_p, ctypes.c_int)),
    "heif_context_read_from_memory_without_copy": (
        _Error, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p),
    ),
    "heif_context_get_number_of_top_level_images": (ctypes.c_int, (ctypes.c_void_p,)),
    "heif_context_get_list_of_top_level_image_IDs": (
        ctypes.c_int, (ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint32), ctypes.c_int),
    ),
    "heif_context_get_image_handle": (_Error, (ctypes.c_void_p, ctypes.c_uint32, _PLACE)),
    "heif_image_handle_release": (None, (ctypes.c_void_p,)),
    "heif_item_get_transformation_properties": (
        ctypes.c_int, (ctypes.c_void_p, ctypes.c_uint32, ctypes.POINTER(ctypes.c_uint32), ctypes.c_int),
    ),
    "heif_item_get_property_type": (ctypes.c_uint32, _PROPERTY),
    "heif_item_get_property_transform_rotation_ccw": (ctypes.c_int, _PROPERTY),
    "heif_item_get_property_transform_mirror": (ctypes.c_int, _PROPERTY),
    "heif_image_handle_has_alpha_channel": (ctypes.c_int, (ctypes.c_void_p,)),
    "heif_image_handle_get_image_tiling": (_Error, (ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Tiling))),
    "heif_image_handle_decode_image_tile": (
        _Error,
        (ctypes.c_void_p, _PLACE, ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32),
    ),
    "heif_decoding_options_alloc": (ctypes.POINTER(_Options), ()),
    "heif_decoding_options_free": (None, (ctypes.POINTER(_Options),)),
    "heif_image_get_width": (ctypes.c_int, (ctypes.c_void_p, ctypes.c_int)),
    "heif_image_get_height": (ctypes.c_int, (ctypes.c_void_p, ctypes.c_int)),
    "heif_image_get_plane_readonly": (ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(ctypes.c_int))),
    "heif_image_release": (None, (ctypes.c_void_p,)),
}  # fmt: skip


def _load() -> Any:
    """Return libheif; None where pi_heif hides its functions, or it is one without tiles."""
    try:
        library = ctypes.CDLL(_pi_heif.__file__)
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError):
        return None
    return library


_LIBRARY: Final = _load()
"""Loaded at once: in the sandbox no file can be opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeifTiles:
    """A picture of ``size`` as it is stored, to be turned by an EXIF ``orientation``; ``strips`` raise OSError."""

    size: tuple[int, int]
    orientation: int
    strips: Iterator[Image.Image]


def heif_tiles(image: Image.Image, data: bytes) -> HeifTiles | None:
    """Return the strips, from top to bottom, of the picture that Pillow is at in a file.

    None for one that is no grid of tiles, is cropped or has clear parts; raises OSError.
    """
    if _LIBRARY is None:
        return None
    with ExitStack() as stack:
        context = _LIBRARY.heif_context_alloc()
        stack.callback(_LIBRARY.heif_context_free, context)
        _LIBRARY.heif_context_set_max_decoding_threads(context, 1)
        _check(_LIBRARY.heif_context_read_from_memory_without_copy(context, data, len(data), None))
        name = _name(context, image)
        orientation = None if name is None else _orientation(context, name)
        if name is None or orientation is None:
            return None
        handle = ctypes.c_void_p()
        _check(_LIBRARY.heif_context_get_image_handle(context, name, handle))
        stack.callback(_LIBRARY.heif_image_handle_release, handle)
        tiling = _Tiling()
        _check(_LIBRARY.heif_image_handle_get_image_tiling(handle, 0, tiling))
        size = (tiling.width, tiling.height)
        upright = size[::-1] if orientation in SIDEWAYS else size
        if upright != image.size or not _is_grid(tiling) or _LIBRARY.heif_image_handle_has_alpha_channel(handle):
            return None
        strips = _strips(handle, tiling, data, stack.pop_all())
        return HeifTiles(size=size, orientation=orientation, strips=strips)


def _name(context: int, image: Image.Image) -> int | None:
    """Return the library's name of the picture that Pillow is at; None where they do not count alike."""
    count = _LIBRARY.heif_context_get_number_of_top_level_images(context)
    if count < 1 or count != getattr(image, "n_frames", 1):
        return None
    names = (ctypes.c_uint32 * count)()
    _LIBRARY.heif_context_get_list_of_top_level_image_IDs(context, names, count)
    return int(names[image.tell()])


def _orientation(context: int, name: int) -> int | None:
    """Return what a picture's turns and mirrors come to, one after the other, as EXIF says it; None for a crop."""
    found = (ctypes.c_uint32 * _MOST_TURNS)()
    count = _LIBRARY.heif_item_get_transformation_properties(context, name, None, 0)
    if count > _MOST_TURNS:
        return None
    _LIBRARY.heif_item_get_transformation_properties(context, name, found, count)
    marks = np.arange(6, dtype=np.uint8).reshape(2, 3)
    seen = marks
    for each in found[:count]:
        kind = _LIBRARY.heif_item_get_property_type(context, name, each)
        if kind == _ROTATION:
            degrees = _LIBRARY.heif_item_get_property_transform_rotation_ccw(context, name, each)
            seen = np.rot90(seen, degrees // 90)
        elif kind == _MIRROR:
            direction = _LIBRARY.heif_item_get_property_transform_mirror(context, name, each)
            seen = seen[::-1] if direction == _UPSIDE_DOWN else seen[:, ::-1]
        else:
            return None
    return next(way for way in range(1, 9) if np.array_equal(np.asarray(turned(Image.fromarray(marks), way)), seen))


def _is_grid(tiling: _Tiling) -> bool:
    """Tell whether there are several tiles that cover the picture, and a row of them is not too large."""
    covered = (tiling.columns * tiling.tile_width, tiling.rows * tiling.tile_height)
    flat = tiling.dimensions == 0 and tiling.columns * tiling.rows > 1
    enough = covered[0] >= tiling.width and covered[1] >= tiling.height
    return bool(flat and enough and covered[0] * tiling.tile_height <= MOST_ROW_PIXELS)


def _strips(handle: ctypes.c_void_p, tiling: _Tiling, data: bytes, stack: ExitStack) -> Iterator[Image.Image]:
    """Yield the picture; ``data`` is what the library reads, and is held until it is done."""
    with stack:
        options = _LIBRARY.heif_decoding_options_alloc()
        stack.callback(_LIBRARY.heif_decoding_options_free, options)
        options.contents.leave_as_stored = options.contents.to_8_bits = 1
        row = np.empty((tiling.tile_height, tiling.width, _CHANNELS), np.uint8)
        failed: OSError | None = None
        seen = False
        for top in range(0, tiling.height, tiling.tile_height):
            row[:] = 0
            for left in range(0, tiling.width, tiling.tile_width):
                try:
                    tile = _tile(handle, options, left // tiling.tile_width, top // tiling.tile_height)
                except OSError as error:
                    failed = error
                    continue
                seen = True
                part = row[: tile.shape[0], left : left + min(tile.shape[1], tiling.tile_width)]
                part[...] = tile[: part.shape[0], : part.shape[1]]
            shown = row[: min(tiling.tile_height, tiling.height - top)]
            for start in range(0, len(shown), STRIP_ROWS):
                yield Image.fromarray(shown[start : start + STRIP_ROWS])
        if failed is not None and not seen:
            raise failed
    del data


def _tile(handle: ctypes.c_void_p, options: Any, column: int, row: int) -> NDArray[np.uint8]:
    found = ctypes.c_void_p()
    _check(_LIBRARY.heif_image_handle_decode_image_tile(
        handle, found, _RGB_COLOURS, _RGB_BYTES, options, column, row,
    ))  # fmt: skip
    try:
        size = (_LIBRARY.heif_image_get_width(found, _INTERLEAVED), _LIBRARY.heif_image_get_height(found, _INTERLEAVED))
        stride = ctypes.c_int()
        plane = _LIBRARY.heif_image_get_plane_readonly(found, _INTERLEAVED, stride)
        if not plane or min(size) < 1 or stride.value < size[0] * _CHANNELS:
            raise OSError("a tile without pixels")
        line = size[0] * _CHANNELS
        pixels = np.frombuffer(ctypes.string_at(plane, stride.value * (size[1] - 1) + line), np.uint8)
        lines = np.lib.stride_tricks.as_strided(pixels, (size[1], line), (stride.value, 1))
        return lines.reshape(size[1], size[0], _CHANNELS)
    finally:
        _LIBRARY.heif_image_release(found)


def _check(error: _Error) -> None:
    if error.code:
        raise OSError((error.message or b"libheif failed").decode("utf-8", "replace"))

"""The pictures of a file, one after the other, within one budget for all of them.

A file of several pages or sizes is entered at any of them; a film is decoded from its beginning.  Where there are more
than the budget allows, of pages a spread from the first to the last is seen, of a film the beginning.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from PIL import Image

from shared.errors import DecodeError, ErrorCode
from workers.decoding.formats.films import ReducedFilm, reduced_film
from workers.decoding.formats.frame_count import count_frames
from workers.decoding.formats.picture_formats import HEIF, ICONS, TURNED_BY_DECODER, format_of, open_picture
from workers.decoding.formats.strips import reduced_by_strips
from workers.decoding.pixels import CANONICAL_SIDE, SIDEWAYS
from workers.decoding.protocol import MAX_FRAMES

MAX_FRAMES_SEEN: Final = 500
"""Pictures of one file that are decoded to see whether they differ, at 0.3 to 2 ms each for one of 480 x 270."""
EXIF_ORIENTATION: Final = 0x0112

_FILMS: Final = frozenset({"GIF", "PNG", "WEBP"})
_COUNTED_BY_PARSER: Final = frozenset({"JPEG", "AVIF", HEIF})
"""Formats whose headers say how many pictures there are, so that the parser knows without looking for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture as it was decoded, good until the next one is.

    ``size`` = (width, height) in full, upright; ``orientation`` is EXIF's, 1..8; of the full picture's pixels ``scale``
    = (across, down) became one.
    """

    index: int
    image: Image.Image
    size: tuple[int, int]
    orientation: int
    scale: tuple[int, int] = (1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFile:
    """An opened file: its ``format`` as a verdict names it, and how many ``frames`` it tells of."""

    image: Image.Image
    data: bytes
    media_type: str | None
    format: str
    frames: int


def open_file(data: bytes, media_type: str | None) -> ImageFile:
    """Open a file without decoding it; raises whatever its parser does."""
    image = open_picture(data, media_type)
    name = format_of(image, data)
    if name in _COUNTED_BY_PARSER:
        frames = max(1, min(getattr(image, "n_frames", 1), MAX_FRAMES))
    else:
        frames = count_frames(data, name)
    return ImageFile(image=image, data=data, media_type=media_type, format=name, frames=frames)


def pictures(file: ImageFile, *, max_pixels: int, least_side: int) -> Iterator[Picture]:
    """Decode one picture after the other, each to ``least_side`` pixels or more where its format can be scaled.

    ``max_pixels`` holds for all of them together.  Raises DecodeError for a first picture that is too large, and
    whatever its parser does; where a later one cannot be read, a film ends and a page is passed over.
    """
    side = max(CANONICAL_SIDE, least_side)
    left = max_pixels
    check_size(file.image.size, max_pixels)
    film = reduced_film(file.image, file.data, min(file.frames, MAX_FRAMES_SEEN))
    for place, index in enumerate(_order(file)):
        try:
            found = _decoded(file, index, left, side) if film is None else _of_film(file, film, index, left)
        except MemoryError:
            raise
        except Exception:
            if place == 0:
                raise
            if file.format in _FILMS:
                return
            continue
        left -= found.size[0] * found.size[1]
        yield found


def _order(file: ImageFile) -> Iterator[int]:
    """The numbers of the pictures, the main one first."""
    main = file.image.tell() if file.format == HEIF else 0
    yield main
    count = min(file.frames, MAX_FRAMES_SEEN)
    for place in range(count):
        spread = place if file.format in _FILMS or count < 2 else place * (file.frames - 1) // (count - 1)
        if spread != main:
            yield spread


def _decoded(file: ImageFile, index: int, max_pixels: int, side: int) -> Picture:
    image = _at(file, index)
    check_size(image.size, max_pixels)
    full = image.size
    still = file.frames == 1 or file.format not in _FILMS
    if still and (reduced := reduced_by_strips(image, file.data)) is not None:
        orientation = orientation_of(reduced.told)
        return Picture(
            index=index,
            image=reduced.image,
            size=_upright(reduced.size, orientation),
            orientation=orientation,
            scale=reduced.scale,
        )
    image.draft("RGB", (side, side))
    image.load()
    if file.format != "JPEG" and image.size != full:  # what a container says of a picture is not what it decodes to
        full = image.size
        check_size(full, max_pixels)
    orientation = 1 if file.format in TURNED_BY_DECODER else orientation_of(image)
    scale = -(-full[0] // image.width)
    size = _upright(full, orientation)
    return Picture(index=index, image=image, size=size, orientation=orientation, scale=(scale, scale))


def _of_film(file: ImageFile, film: ReducedFilm, index: int, max_pixels: int) -> Picture:
    check_size(film.size, max_pixels)
    image = next(film.images, None)
    if image is None:
        raise DecodeError(ErrorCode.CORRUPT, f"there is no frame {index}")
    # Of what is behind its pixels Pillow knows once it has decoded them.
    orientation = orientation_of(file.image) if file.format != "PNG" or "exif" in file.image.info else 1
    size = _upright(film.size, orientation)
    return Picture(index=index, image=image, size=size, orientation=orientation, scale=film.scale)


def _upright(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    return (size[1], size[0]) if orientation in SIDEWAYS else size


def _at(file: ImageFile, index: int) -> Image.Image:
    image = file.image
    if file.format == HEIF:
        if index != image.tell():  # each anew: what is open keeps all that it decoded
            image = open_picture(file.data, file.media_type)
            image.seek(index)
        return image
    if file.format in ICONS:
        return image if index == 0 else image.ico.frame(index)  # type: ignore[attr-defined]
    if index or image.tell():
        image.seek(index)
    return image


def check_size(size: tuple[int, int], max_pixels: int) -> None:
    """Raise DecodeError for a picture of no pixels, or of more than ``max_pixels``."""
    width, height = size
    if width * height > max_pixels:
        raise DecodeError(ErrorCode.TOO_MANY_PIXELS, f"{width} x {height} pixels, over {max_pixels}")
    if width * height <= 0:
        raise DecodeError(ErrorCode.CORRUPT, f"{width} x {height} pixels")


def orientation_of(image: Image.Image) -> int:
    """Return EXIF's orientation, 1..8; 1 where there is none that makes sense."""
    try:
        value = image.getexif().get(EXIF_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - broken metadata never costs the picture (huggingface/datasets#7668)
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


__all__ = ["EXIF_ORIENTATION", "ImageFile", "Picture", "check_size", "open_file", "orientation_of", "pictures"]

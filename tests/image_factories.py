"""Pictures for tests, drawn from a seed, and the files that hold them."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image, TiffImagePlugin

EXIF_ORIENTATION: Final = 0x0112
HEIF_FILES: Final = Path(__file__).parent / "fixtures" / "heif"


def make_picture(width: int = 320, height: int = 200, *, seed: int = 1) -> Image.Image:
    """Return smooth coloured structure, as rich as a photograph to a perceptual hash."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 13, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def make_file(image: Image.Image | None = None, image_format: str = "PNG", **options: Any) -> bytes:
    """Return the file of a picture."""
    file = io.BytesIO()
    (image or make_picture()).save(file, image_format, **options)
    return file.getvalue()


def make_animation(*pictures: Image.Image, image_format: str = "GIF", **options: Any) -> bytes:
    """Return a file of several frames, pages or pictures; a GIF's have 256 colours found quickly."""
    frames = list(pictures)
    if image_format == "TIFF":
        return _pages(frames, options)
    if image_format == "GIF":
        frames = [picture.quantize(256, Image.Quantize.FASTOCTREE) for picture in pictures]
    return make_file(frames[0], image_format, save_all=True, append_images=frames[1:], **options)


def _pages(pictures: list[Image.Image], options: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    writer = TiffImagePlugin.AppendingTiffWriter(file, new=True)
    for picture in pictures:
        picture.save(writer, "TIFF", **options)
        writer.newFrame()
    # It ends up in a cycle with the file, and would write to it once more when both are gone.
    writer.isFirst = True
    return file.getvalue()


def make_exif(orientation: int) -> Image.Exif:
    """Return EXIF data with an orientation, 1..8."""
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    return exif


def make_heif(name: str) -> bytes:
    """Return a HEIF file that x265 wrote of drawn pictures, since nothing that is installed writes any.

    ``photograph``: make_picture() and a thumbnail of it; ``burst``: make_picture(240, 160) of the seeds 1 to 4, the
    third of them the main one; ``white_on_clear``: white shapes on nothing; ``tiles``: make_picture(330, 200) in six
    tiles of 128 x 128, to be turned by 90 degrees.
    """
    return (HEIF_FILES / f"{name}.heic").read_bytes()


def make_icon(*pictures: Image.Image, cursor: bool = False, bitmaps: bool = False) -> bytes:
    """Return an icon or a cursor of several pictures of at most 256 pixels a side, as PNG or as bitmaps."""
    first, *others = pictures
    sizes = [picture.size for picture in pictures]
    kind = "bmp" if bitmaps else "png"
    icon = bytearray(make_file(first, "ICO", sizes=sizes, append_images=others, bitmap_format=kind))
    if cursor:
        icon[2] = 2
        for entry in range(len(pictures)):
            struct.pack_into("<HH", icon, 6 + 16 * entry + 4, 7, 9)  # the hot spot, where an icon has planes and bits
    return bytes(icon)


def make_picture_files(folder: Path, count: int, names: str = "{}.png") -> Path:
    """Write ``count`` different pictures under a folder, which is returned."""
    for number in range(count):
        path = folder / names.format(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        make_picture(160, 120, seed=number).save(path)
    return folder

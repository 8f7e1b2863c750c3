"""Obscures regions of a picture in every frame and writes it in the format it came in; runs in the sandbox only.

Pixels alone are carried over.  EXIF (its thumbnail is the picture again), XMP, comments, further pictures of a phone's
JPEG and whatever else stands beside the pixels are left behind; the turn that EXIF asks for is made before it goes.  A
colour profile stays where it is small enough to be nothing else.

A blur that can be undone protects nothing: pixelated and smoothly blurred text is read back by programs (Hill et al.,
"On the (In)effectiveness of Mosaicing and Blurring as Tools for Document Redaction", PoPETs 2016).  What is kept of a
blurred region are at most BLUR_CELLS x BLUR_CELLS colours, whatever its size.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from PIL import Image, JpegImagePlugin

from shared.errors import DecodeError, ErrorCode
from shared.types import Obscuring, RedactionOrder, Region
from workers.decoding.formats.frame_walk import ImageFile, orientation_of
from workers.decoding.formats.picture_formats import TURNED_BY_DECODER
from workers.decoding.pixels import reducible, turned

BLUR_CELLS: Final = 6
"""Colours that are left of a blurred region along each side."""
MAX_OBSCURED_FRAMES: Final = 500
"""Of an animation; their pixels together stay within the limit for one picture."""
MAX_PROFILE_BYTES: Final = 16 << 10
"""Colour profiles of displays and cameras take 0.5 to 4 KB; what is larger is for presses, or hides something."""
WEBP_QUALITY: Final = 90
AVIF_QUALITY: Final = 80
AVIF_SPEED: Final = 9
"""Of 10: 0.1 s a megapixel, at 6 it is three times as much."""

_BLACK: Final[dict[str, Any]] = {
    "L": 0,
    "LA": (0, 255),
    "RGB": (0, 0, 0),
    "RGBA": (0, 0, 0, 255),
    "CMYK": (0, 0, 0, 255),
}
_MODES: Final[dict[str, tuple[str, ...]]] = {
    "JPEG": ("L", "RGB", "CMYK"),
    "PNG": ("L", "LA", "RGB", "RGBA"),
    "GIF": ("L", "RGB", "RGBA"),
    "WEBP": ("RGB", "RGBA"),
    "BMP": ("L", "RGB", "RGBA"),
    "TIFF": ("L", "RGB", "RGBA", "CMYK"),
    "AVIF": ("L", "RGB", "RGBA"),
    "ICO": ("RGBA",),
}
"""What each format can hold of what is painted on; anything else becomes RGB or RGBA."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frames:
    """The frames, painted over, and for how long each is shown (milliseconds; empty for pages)."""

    pictures: tuple[Image.Image, ...]
    durations: tuple[float, ...]
    options: dict[str, Any]
    original: Image.Image
    data: bytes


def obscure(file: ImageFile, order: RedactionOrder) -> bytes:
    """Return the file anew.

    Raises DecodeError where there are too many frames or the format cannot be written, and whatever Pillow does.
    """
    if file.format not in _WRITERS:
        raise DecodeError(ErrorCode.UNSUPPORTED_FORMAT, f"{file.format} cannot be obscured")
    if file.frames > MAX_OBSCURED_FRAMES:
        raise DecodeError(ErrorCode.OVER_BUDGET, f"more than {MAX_OBSCURED_FRAMES} frames")
    file.image.load()
    orientation = 1 if file.format in TURNED_BY_DECODER else orientation_of(file.image)
    return _WRITERS[file.format](_painted(file, order, orientation))


def _painted(file: ImageFile, order: RedactionOrder, orientation: int) -> _Frames:
    image, image_format = file.image, file.format
    profile = image.info.get("icc_profile", b"")
    pictures, durations = [], []
    for frame in _frames(file):
        picture = _paintable(turned(frame, orientation), image_format)
        picture.info = {}
        for region in order.regions or ((0, 0, *picture.size),):
            _cover(picture, region, order.how)
        pictures.append(picture)
        durations.append(float(frame.info.get("duration", 0)))
    keeps = isinstance(profile, bytes) and 0 < len(profile) <= MAX_PROFILE_BYTES
    loop = {"loop": image.info["loop"]} if "loop" in image.info else {}
    options = {**loop, **({"icc_profile": profile} if keeps else {})}
    return _Frames(
        pictures=tuple(pictures), durations=tuple(durations), options=options, original=image, data=file.data
    )


def _frames(file: ImageFile) -> Iterator[Image.Image]:
    image = file.image
    if file.format == "JPEG":
        yield image.copy()
        return
    if file.format == "ICO":
        yield from (image.ico.frame(number) for number in range(file.frames))  # type: ignore[attr-defined]
        return
    # The first picture of such a PNG is no frame: it is what programs without animation show.
    first = 1 if file.format == "PNG" and image.info.get("default_image") else 0
    for number in range(first, MAX_OBSCURED_FRAMES):
        try:
            image.seek(number)
        except EOFError:
            return
        yield image.copy()


def _paintable(frame: Image.Image, image_format: str) -> Image.Image:
    picture = frame if frame.mode == "CMYK" else reducible(frame)
    if picture.mode in _MODES[image_format]:
        return picture.copy() if picture is frame else picture
    can_be_clear = picture.mode in {"LA", "RGBA"} and "RGBA" in _MODES[image_format]
    return picture.convert("RGBA" if can_be_clear else "RGB")


def _cover(picture: Image.Image, region: Region, how: Obscuring) -> None:
    left, top, right, bottom = region
    box = max(0, left), max(0, top), min(picture.width, right), min(picture.height, bottom)
    if box[0] >= box[2] or box[1] >= box[3]:
        return
    if how is Obscuring.BOX:
        picture.paste(_BLACK[picture.mode], box)
        return
    size = box[2] - box[0], box[3] - box[1]
    cells = min(BLUR_CELLS, size[0]), min(BLUR_CELLS, size[1])
    coarse = picture.crop(box).resize(cells, Image.Resampling.BOX)
    picture.paste(coarse.resize(size, Image.Resampling.BILINEAR), box)


def _save(frames: _Frames, image_format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    first, *others = frames.pictures
    if others:
        options |= {"save_all": True, "append_images": others}
    first.save(file, image_format, **frames.options, **options)
    return file.getvalue()


def _jpeg(frames: _Frames) -> bytes:
    """Write with the tables it was written with: what is not covered hardly changes."""
    options: dict[str, Any] = {}
    image = frames.original
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        options["qtables"] = image.quantization
        sampling = JpegImagePlugin.get_sampling(image)
        options |= {"subsampling": sampling} if sampling >= 0 else {}
    progressive = bool(image.info.get("progressive") or image.info.get("progression"))
    return _save(frames, "JPEG", progressive=progressive, **options)


def _png(frames: _Frames) -> bytes:
    moving = {"duration": list(frames.durations), "disposal": 0, "blend": 0} if len(frames.pictures) > 1 else {}
    return _save(frames, "PNG", compress_level=1, **moving)


def _gif(frames: _Frames) -> bytes:
    disposal = 2 if any(picture.mode == "RGBA" for picture in frames.pictures) else 1
    moving = {"duration": list(frames.durations), "disposal": disposal} if len(frames.pictures) > 1 else {}
    return _save(frames, "GIF", optimize=False, **moving)


def _webp(frames: _Frames) -> bytes:
    lossless = b"VP8L" in (frames.data if len(frames.pictures) > 1 else frames.data[:64])
    moving = {"duration": [round(each) for each in frames.durations]} if len(frames.pictures) > 1 else {}
    return _save(frames, "WEBP", lossless=lossless, quality=0 if lossless else WEBP_QUALITY, method=0, **moving)


def _bmp(frames: _Frames) -> bytes:
    return _save(frames, "BMP")


def _tiff(frames: _Frames) -> bytes:
    return _save(frames, "TIFF", compression="tiff_adobe_deflate")


def _avif(frames: _Frames) -> bytes:
    moving = {"duration": [round(each) for each in frames.durations]} if len(frames.pictures) > 1 else {}
    return _save(frames, "AVIF", quality=AVIF_QUALITY, speed=AVIF_SPEED, max_threads=1, **moving)


def _ico(frames: _Frames) -> bytes:
    file = io.BytesIO()
    first, *others = frames.pictures
    sizes = [picture.size for picture in frames.pictures]
    first.save(file, "ICO", sizes=sizes, append_images=others)
    return file.getvalue()


_WRITERS: Final[dict[str, Callable[[_Frames], bytes]]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "GIF": _gif,
    "WEBP": _webp,
    "BMP": _bmp,
    "TIFF": _tiff,
    "AVIF": _avif,
    "ICO": _ico,
}
WRITTEN: Final = tuple(_WRITERS)
"""The formats that can be written; of the others (HEIF, cursors) nothing can be obscured."""

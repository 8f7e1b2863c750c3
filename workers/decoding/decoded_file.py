"""From an opened file to what is judged of it, or enrolled.  Runs in the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from PIL import Image

from shared.core.matching import MIN_PDQ_QUALITY
from shared.errors import DecodeError, ErrorCode
from shared.types import DecodedFrame, DecodedImage, ImageInfo
from workers.decoding.description import Described, describe
from workers.decoding.formats.frame_choice import FrameChoice, Thumbnail, thumbnail
from workers.decoding.formats.frame_walk import ImageFile, Picture, pictures
from workers.decoding.pixels import reducible


def judged(file: ImageFile, *, side: int, max_pixels: int, max_frames: int, planes: bool = True) -> DecodedImage:
    """Return the frames of a file that look different, ``max_frames`` at most, with their ``planes`` or without.

    ``side`` is that of the encoder's input; ``max_pixels`` holds for all frames together.  Raises DecodeError for a
    first picture that is too large, and whatever its parser does.
    """
    choice = FrameChoice(max_frames)
    described: dict[int, list[DecodedFrame]] = {}
    size: tuple[int, int] | None = None
    for picture in pictures(file, max_pixels=max_pixels, least_side=side):
        size = size or picture.size
        plain, seen = _seen(picture, several=file.frames > 1)
        is_last = picture.index == file.frames - 1
        if seen is None or choice.offer(picture.index, seen, last=is_last):
            described[picture.index] = [each.frame for each in _described(picture, plain, side, planes=planes)]
    if file.frames > 1:
        described = {index: described[index] for index in choice.chosen}
    frames = tuple(frame for index in sorted(described) for frame in described[index])
    return DecodedImage(
        info=_info(file, size, frames, choice.represented() if file.frames > 1 else 1), side=side, frames=frames
    )


def reference(file: ImageFile, *, side: int, max_pixels: int) -> DecodedImage:
    """Return one frame with its views, as it is enrolled: the first that shows something.

    An animation's title and a scanner's cover sheet are often blank, and what people copy by hand is what is shown
    first.  Raises as ``judged`` does.
    """
    size: tuple[int, int] | None = None
    best: Described | None = None
    for picture in pictures(file, max_pixels=max_pixels, least_side=side):
        size = size or picture.size
        for each in _described(picture, reducible(picture.image), side):
            if best is None or _tells(each.frame) > _tells(best.frame):
                best = replace(each, picture=each.picture.copy())  # the next one is decoded into its memory
        if best is not None and _tells(best.frame) == _MOST:
            break
    if best is None:
        raise DecodeError(ErrorCode.CORRUPT, "there is no picture in it")
    return DecodedImage(info=_info(file, size, (best.frame,), 1), side=side, frames=(best.with_views(),))


_MOST = (True, True)


def _tells(frame: DecodedFrame) -> tuple[bool, bool]:
    return not frame.low_information, frame.pdq_quality >= MIN_PDQ_QUALITY


def _seen(picture: Picture, *, several: bool) -> tuple[Image.Image, Thumbnail | None]:
    """Return the picture in a mode that averages correctly, and its thumbnail where it must be told from others."""
    plain = reducible(picture.image)
    return plain, thumbnail(plain) if several else None


def _described(picture: Picture, plain: Image.Image, side: int, *, planes: bool = True) -> Iterator[Described]:
    try:
        yield from describe(picture, plain, side, planes=planes)
    except (MemoryError, DecodeError):
        raise
    except Exception as error:
        raise DecodeError(ErrorCode.INTERNAL_ERROR, f"{type(error).__name__} after decoding") from error


def _info(file: ImageFile, size: tuple[int, int] | None, frames: tuple[DecodedFrame, ...], inspected: int) -> ImageInfo:
    if size is None:
        raise DecodeError(ErrorCode.CORRUPT, "there is no picture in it")
    return ImageInfo(
        format=file.format,
        width=size[0],
        height=size[1],
        frames=file.frames,
        frames_inspected=min(inspected, file.frames),
        low_information=all(frame.low_information for frame in frames),
    )

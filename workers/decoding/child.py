"""The process that meets hostile bytes: ``python -m workers.decoding.child SIDE MAX_PIXELS MAX_FRAMES PARENT``.

It loads everything it will ever need, decodes a picture of each format once (decoders load lazily), enters the sandbox,
says so, and then answers one request after the other on its pipes until its input ends.  It is lost without harm: a
crash, a hang or a bomb costs the item it was at.

Pillow's bomb warning is an error, checked on the header, before a pixel is decoded.
"""

from __future__ import annotations

import io
import os
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Final

from PIL import Image, ImageFile, UnidentifiedImageError

from shared.errors import DecodeError, ErrorCode, SafelightError
from shared.extract.sniff import sniff
from shared.types import DecodedImage, Obscuring, RedactionOrder
from workers.decoding import sandbox
from workers.decoding.decoded_file import judged, reference
from workers.decoding.formats.frame_walk import EXIF_ORIENTATION, open_file
from workers.decoding.formats.picture_formats import MEDIA_TYPES, register
from workers.decoding.formats.truncation import cut_off
from workers.decoding.obscuring import WRITTEN, obscure
from workers.decoding.protocol import (
    MAX_OBSCURED_BYTES,
    READY,
    READY_UNCONFINED,
    REQUEST,
    ObscuredImage,
    Operation,
    Reply,
    Unpacked,
    frame,
    pack_reply,
    unpack_order,
)
from workers.decoding.unpack_protocol import pack_find, unpack_unpack_order
from workers.unpacking.unpack import unpack, warm_up

ITEMS_PER_CHILD: Final = 3000
"""Then a fresh one: memory that a decoder leaked, or a trap it was led into, goes with it.  To start one takes 0.65 s
of a core: 0.2 ms an item, where a photograph takes 5."""

_CODECS: Final = ("ascii", "latin-1", "utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """``side`` of the encoder's input; images of more than ``max_pixels``, in all frames that are decoded, are not.

    Of an animation's frames ``max_frames`` are judged at most.
    """

    side: int
    max_pixels: int
    max_frames: int = 16


def decode(data: bytes, limits: Limits, *, views: bool = False, planes: bool = True) -> DecodedImage:
    """Return an image's facts and the pixels of every frame to be judged; with ``views`` as a reference is enrolled.

    Without ``planes`` there is nothing for local features to come from, and a photograph costs a sixth less.
    Raises DecodeError with the reason, and nothing else but MemoryError.
    """
    media_type = sniff(data)
    if media_type is not None and media_type not in MEDIA_TYPES:
        raise DecodeError(ErrorCode.UNSUPPORTED_FORMAT, f"{media_type} cannot be decoded yet")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            file = open_file(data, media_type)
            if views:
                return reference(file, side=limits.side, max_pixels=limits.max_pixels)
            return judged(
                file, side=limits.side, max_pixels=limits.max_pixels, max_frames=limits.max_frames, planes=planes
            )
    except (DecodeError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DecodeError(ErrorCode.TOO_MANY_PIXELS, f"over {limits.max_pixels} pixels") from error
    except Exception as error:
        raise _unreadable(data, media_type, error) from error


def _unreadable(data: bytes, media_type: str | None, error: Exception) -> DecodeError:
    complaint = " ".join(str(error).split()) or type(error).__name__
    if media_type is None and isinstance(error, UnidentifiedImageError):
        return DecodeError(ErrorCode.NOT_AN_IMAGE, "no image format that is known")
    if isinstance(error, UnidentifiedImageError):
        complaint = "the header cannot be read"
    if isinstance(error, NotImplementedError) or "unsupported" in complaint.lower():
        return DecodeError(ErrorCode.UNSUPPORTED_FORMAT, complaint)
    short = cut_off(data, MEDIA_TYPES.get(media_type or "", ""), f"{type(error).__name__} {complaint}")
    return DecodeError(ErrorCode.TRUNCATED if short else ErrorCode.CORRUPT, complaint)


def obscured(data: bytes, order: RedactionOrder, limits: Limits) -> ObscuredImage:
    """Return the image file with an order carried out; raises DecodeError and MemoryError as ``decode`` does."""
    media_type = sniff(data)
    if media_type not in MEDIA_TYPES:
        raise DecodeError(ErrorCode.UNSUPPORTED_FORMAT, f"{media_type} cannot be obscured")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            opened = open_file(data, media_type)
            if opened.image.width * opened.image.height * opened.frames > limits.max_pixels:
                raise DecodeError(ErrorCode.TOO_MANY_PIXELS, f"over {limits.max_pixels} pixels in all frames")
            file = obscure(opened, order)
    except (DecodeError, MemoryError):
        raise
    except Exception as error:
        raise _unreadable(data, media_type, error) from error
    if len(file) > MAX_OBSCURED_BYTES:
        raise DecodeError(ErrorCode.TOO_LARGE, f"over {MAX_OBSCURED_BYTES} bytes once obscured")
    return ObscuredImage(data=file)


def answer(data: bytes, limits: Limits, operation: Operation = Operation.DECODE) -> Reply:
    """Return the outcome of one item."""
    try:
        if operation is Operation.OBSCURE:
            order, file = unpack_order(data)
            return Reply(outcome=obscured(file, order, limits))
        views, planes = operation is Operation.DECODE_WITH_VIEWS, operation is not Operation.DECODE_WITHOUT_PLANES
        return Reply(outcome=decode(data, limits, views=views, planes=planes))
    except DecodeError as error:
        return Reply(outcome=error)
    except MemoryError:
        return Reply(outcome=DecodeError(ErrorCode.OVER_BUDGET, "decoding needs too much memory"), retire=True)


def unpacked(payload: bytes, reply: Callable[[bytes], None]) -> Reply:
    """Take a container apart, and say each find as it is found."""
    order, file = unpack_unpack_order(payload)
    unpack(file, order.limits(), lambda find: reply(frame(pack_find(find))))
    return Reply(outcome=Unpacked())


def prepare(limits: Limits) -> None:
    """Load all that decoding loads lazily; afterwards no file needs to be opened."""
    warm_up()
    Image.MAX_IMAGE_PIXELS = limits.max_pixels
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    register()
    for codec in _CODECS:
        "".encode(codec)
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6
    for name in WRITTEN:
        for mode in ("RGB", "L"):
            file = io.BytesIO()
            metadata = {} if name in {"BMP", "GIF", "ICO"} else {"exif": exif}
            Image.linear_gradient("L").convert(mode).save(file, name, **metadata)
            # Views take 40 ms, whatever the format: once is enough.
            decode(file.getvalue(), limits, views=(name, mode) == (WRITTEN[0], "RGB"))
            for how in Obscuring:
                obscured(file.getvalue(), RedactionOrder(how=how), limits)
    answer(b"not an image", limits)


def serve(requests: BinaryIO, reply: Callable[[bytes], None], limits: Limits, *, items: int = ITEMS_PER_CHILD) -> None:
    """Answer until the input ends or this child has had its share."""
    for number in range(1, items + 1):
        head = requests.read(REQUEST.size)
        if len(head) < REQUEST.size:
            return
        length, operation = REQUEST.unpack(head)
        try:
            if operation == Operation.UNPACK:
                outcome = unpacked(requests.read(length), reply)
            else:
                outcome = answer(requests.read(length), limits, Operation(operation))
        except MemoryError:  # the file itself
            outcome = Reply(outcome=DecodeError(ErrorCode.OVER_BUDGET, "the file needs too much memory"), retire=True)
        spent = number == items or time.process_time() > sandbox.CPU_SECONDS / 2
        reply(frame(pack_reply(Reply(outcome=outcome.outcome, retire=outcome.retire or spent))))


def _write_all(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


def main(arguments: list[str]) -> int:
    """Prepare, confine, serve."""
    side, max_pixels, max_frames, parent = (int(argument) for argument in arguments)
    limits = Limits(side=side, max_pixels=max_pixels, max_frames=max_frames)
    prepare(limits)
    try:
        confinement = sandbox.enter(parent)
    except (OSError, ValueError, SafelightError) as error:
        _write_all(frame(f"cannot be confined: {error}".encode()))
        return 1
    _write_all(frame(READY if confinement.seccomp else READY_UNCONFINED))
    serve(sys.stdin.buffer, _write_all, limits)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

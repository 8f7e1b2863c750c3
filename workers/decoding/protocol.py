"""Frames between the pool and a decode child: a length of four bytes, big-endian, then that many bytes.

A request's length is followed by one more byte, the operation, and then the image file; before the file of one that is
to be obscured stands the order, length-prefixed JSON.  A reply is a length-prefixed JSON head and, for a decoded image,
frame after frame, the grey plane, the encoder's pixels and the views', for an obscured one the new file.
The pool reads replies as it reads anything from a process that hostile bytes may have taken over: bounded and checked.
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any, Final

from shared.errors import DecodeError, ErrorCode, WireError
from shared.types import PDQ_HEX, DecodedFrame, DecodedImage, ImageInfo, Obscuring, RedactionOrder
from workers.decoding.pixels import PLANE_SIDE

LENGTH: Final = struct.Struct(">I")
REQUEST: Final = struct.Struct(">IB")
MAX_REPLY_BYTES: Final = 32 << 20
"""An encoder of 256 pixels a side takes 0.5 MB a frame, one of 512 with a reference's 25 views 20 MB."""
MAX_OBSCURED_BYTES: Final = 64 << 20
"""Of an obscured file; a photograph of 12 megapixels as PNG takes 40 MB at worst."""
MAX_ENCODER_SIDE: Final = 512
MAX_MESSAGE_CHARACTERS: Final = 200
MAX_SIDE: Final = (1 << 31) - 1
FORMATS: Final = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "HEIF", "ICO", "CUR")
MAX_FRAMES: Final = 10_000
MAX_VIEWS: Final = 64
READY: Final = b"ready"
READY_UNCONFINED: Final = b"ready without seccomp"


class Operation(IntEnum):
    """What is done with an image file."""

    DECODE = 0
    DECODE_WITH_VIEWS = 1
    OBSCURE = 2
    UNPACK = 3
    DECODE_WITHOUT_PLANES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ObscuredImage:
    """A new image file, in the format of the one it was made from."""

    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpacked:
    """A container's end: what it holds has been told before (``unpack_protocol``)."""


Outcome = DecodedImage | ObscuredImage | Unpacked | DecodeError


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One item's outcome; ``retire`` says that the child should not be given another."""

    outcome: Outcome
    retire: bool = False


def frame(payload: bytes) -> bytes:
    """Prefix a payload with its length."""
    return LENGTH.pack(len(payload)) + payload


def pack_order(order: RedactionOrder) -> bytes:
    """Return what stands before the file of an image that is to be obscured."""
    return frame(json.dumps({"regions": order.regions, "how": order.how}).encode())


def unpack_order(payload: bytes) -> tuple[RedactionOrder, bytes]:
    """Return the order and the image file; the pool wrote them."""
    (length,) = LENGTH.unpack_from(payload)
    end = LENGTH.size + length
    head = json.loads(payload[LENGTH.size : end])
    regions = tuple((left, top, right, bottom) for left, top, right, bottom in head["regions"])
    return RedactionOrder(regions=regions, how=Obscuring(head["how"])), payload[end:]


def pack_reply(reply: Reply) -> bytes:
    """Return a reply's payload."""
    head: dict[str, Any] = {"retire": reply.retire}
    pixels = b""
    if isinstance(reply.outcome, DecodeError):
        head["error"] = [reply.outcome.code, str(reply.outcome)[:MAX_MESSAGE_CHARACTERS]]
    elif isinstance(reply.outcome, ObscuredImage):
        head["obscured"] = True
        pixels = reply.outcome.data
    elif isinstance(reply.outcome, Unpacked):
        head["unpacked"] = True
    else:
        image = reply.outcome
        head |= {"info": asdict(image.info), "side": image.side, "frames": [_head(each) for each in image.frames]}
        pixels = b"".join(part for each in image.frames for part in (each.plane, each.pixels, *each.views))
    return frame(json.dumps(head).encode()) + pixels


def _head(picture: DecodedFrame) -> dict[str, Any]:
    return {
        "index": picture.index,
        "size": picture.size,
        "pdq": picture.pdq,
        "pdq_quality": picture.pdq_quality,
        "low_information": picture.low_information,
        "views": len(picture.views),
        "plane": picture.plane_size,
    }


def unpack_reply(payload: bytes) -> Reply:
    """Return the reply; raises WireError for anything a sane child would not say."""
    try:
        (length,) = LENGTH.unpack_from(payload)
        body = LENGTH.size + length
        head = json.loads(payload[LENGTH.size : body])
        return Reply(outcome=_outcome(head, payload[body:]), retire=bool(head["retire"]))
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WireError(f"a decode child answered nonsense: {error!r}") from error


def _outcome(head: dict[str, Any], pixels: bytes) -> Outcome:
    if "error" in head:
        code, message = head["error"]
        return DecodeError(ErrorCode(code), str(message)[:MAX_MESSAGE_CHARACTERS])
    if head.get("obscured") is True:
        return ObscuredImage(data=pixels)
    if head.get("unpacked") is True:
        return Unpacked()
    side = _within(head["side"], 1, MAX_ENCODER_SIDE)
    parts = _Parts(pixels)
    frames = tuple(_frame(each, parts, side * side * 3) for each in head["frames"])
    if parts.left():
        raise ValueError("there are more pixels than the head tells of")
    return DecodedImage(info=_info(head["info"]), side=side, frames=frames)


class _Parts:
    """Cuts the pixels of a reply into parts of the sizes that its head tells."""

    def __init__(self, pixels: bytes) -> None:
        self._pixels = pixels
        self._at = 0

    def take(self, size: int) -> bytes:
        part = self._pixels[self._at : self._at + size]
        if len(part) != size:
            raise ValueError("there are fewer pixels than the head tells of")
        self._at += size
        return part

    def left(self) -> int:
        return len(self._pixels) - self._at


def _frame(fields: dict[str, Any], parts: _Parts, encoder_bytes: int) -> DecodedFrame:
    width, height = (_within(length, 0, PLANE_SIDE) for length in fields["plane"])
    across, down = (_within(length, 1, MAX_SIDE) for length in fields["size"])
    plane, pixels = parts.take(width * height), parts.take(encoder_bytes)
    return DecodedFrame(
        index=_within(fields["index"], 0, MAX_FRAMES - 1),
        size=(across, down),
        pdq=tuple(_hash(value) for value in fields["pdq"]),
        pdq_quality=_within(fields["pdq_quality"], 0, 100),
        pixels=pixels,
        low_information=fields["low_information"] is True,
        views=tuple(parts.take(encoder_bytes) for _ in range(_within(fields["views"], 0, MAX_VIEWS))),
        plane=plane,
        plane_size=(width, height),
    )


def _info(fields: dict[str, Any]) -> ImageInfo:
    if fields["format"] not in FORMATS:
        raise ValueError("unknown format")
    return ImageInfo(
        format=fields["format"],
        width=_within(fields["width"], 1, MAX_SIDE),
        height=_within(fields["height"], 1, MAX_SIDE),
        frames=_within(fields["frames"], 1, MAX_FRAMES),
        frames_inspected=_within(fields["frames_inspected"], 1, MAX_FRAMES),
        low_information=fields["low_information"] is True,
    )


def _within(value: object, low: int, high: int) -> int:
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{value!r} is not within {low}..{high}")
    return value


def _hash(value: str) -> str:
    if not PDQ_HEX.fullmatch(value):
        raise ValueError("not a hash")
    return value

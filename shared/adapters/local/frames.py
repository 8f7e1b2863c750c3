"""What the embedded bus says on its socket: four bytes of length (big endian), then one MessagePack value.

Sans-I/O except for the two helpers at the end.  A length over ``MAX_FRAME`` or bytes that are not a frame raise
WireError; the connection that sent them is closed, and no other.
"""

from __future__ import annotations

import asyncio
import struct
from typing import Final

import msgspec

from shared.errors import BusError, WireError
from shared.types import BusMessage

MAX_FRAME: Final = 1 << 20
"""Bytes; the default limit of a Kafka broker too (message.max.bytes), so that both buses take the same messages.
Bodies over 512 KiB travel by claim check and never come near it."""
MAX_MESSAGE: Final = MAX_FRAME - 4096
"""Bytes of one message's key, value and correlation id; the rest is for what frames put around it."""
_LENGTH: Final = struct.Struct(">I")


class Hello(msgspec.Struct, tag="hello", array_like=True, frozen=True):
    """A client's first frame: ``instance`` is an asker's reply partition, -1 for a worker."""

    instance: int


class Welcome(msgspec.Struct, tag="welcome", array_like=True, frozen=True):
    """The hub's answer to Hello: from here on replies reach this connection."""


class Ask(msgspec.Struct, tag="ask", array_like=True, frozen=True):
    """Asker to hub: one request; ``number`` is the asker's own."""

    number: int
    message: BusMessage


class Asked(msgspec.Struct, tag="asked", array_like=True, frozen=True):
    """Hub to asker: the request is queued, or ``refused`` says why not."""

    number: int
    refused: str = ""


class Want(msgspec.Struct, tag="want", array_like=True, frozen=True):
    """Worker to hub: send at most ``limit`` requests, when there are any."""

    limit: int


class Given(msgspec.Struct, tag="given", array_like=True, frozen=True):
    """Hub to worker: requests, each under the number that commits it."""

    requests: tuple[tuple[int, BusMessage], ...]


class Reply(msgspec.Struct, tag="reply", array_like=True, frozen=True):
    """Worker to hub, hub to asker: one reply."""

    message: BusMessage


class Done(msgspec.Struct, tag="done", array_like=True, frozen=True):
    """Worker to hub: these requests are committed."""

    numbers: tuple[int, ...]


Frame = Hello | Welcome | Ask | Asked | Want | Given | Reply | Done

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final[msgspec.msgpack.Decoder[Frame]] = msgspec.msgpack.Decoder(Frame)


def encode_frame(frame: Frame) -> bytes:
    """Return a frame with its length; raises BusError where it is over ``MAX_FRAME``."""
    body = _encoder.encode(frame)
    if len(body) > MAX_FRAME:
        raise BusError(f"a message of {len(body)} bytes is over the bus's limit of {MAX_FRAME}")
    return _LENGTH.pack(len(body)) + body


def fits(message: BusMessage) -> bool:
    """Tell whether a message is within ``MAX_MESSAGE``."""
    return len(message.key) + len(message.value) + 4 * len(message.correlation_id) <= MAX_MESSAGE


def frame_length(prefix: bytes) -> int:
    """Return the length that the four bytes announce; raises WireError where it is over ``MAX_FRAME``."""
    (length,) = _LENGTH.unpack(prefix)
    if length > MAX_FRAME:
        raise WireError(f"a frame of {length} bytes is over the limit of {MAX_FRAME}")
    return int(length)


def decode_frame(body: bytes) -> Frame:
    """Return the frame; raises WireError."""
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise WireError(f"not a frame: {error}") from error


async def read_frame(reader: asyncio.StreamReader) -> Frame:
    """Read one frame; raises WireError, or IncompleteReadError and OSError where the other side has gone."""
    length = frame_length(await reader.readexactly(_LENGTH.size))
    return decode_frame(await reader.readexactly(length))


def abort(writer: asyncio.StreamWriter) -> None:
    """Drop a connection at once: a graceful close would wait for a peer that may not read."""
    writer.transport.abort()

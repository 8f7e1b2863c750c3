"""What a decode child says while it unpacks a container: each picture in a frame of its own, as soon as it is found.

So what was found before a crash, a hang or the end of the budget is there.  The frame of a find has a head with its
path and then the picture's file; the reply that ends the container is one of ``decode_protocol``.
"""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass
from typing import Any, Final

from shared.errors import DecodeError, ErrorCode, WireError
from workers.decoding.protocol import LENGTH, frame
from workers.unpacking.budget import Limit, Limits
from workers.unpacking.names import MAX_PATH
from workers.unpacking.walk import Found, Unread

MAX_HEAD: Final = 16 << 10
MAX_MESSAGE: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpackOrder:
    """What a container may cost: ``seconds`` of wall time, bytes that come out."""

    seconds: float
    max_inflated_bytes: int

    def limits(self) -> Limits:
        """Return all limits of the walk."""
        return Limits(seconds=self.seconds, max_inflated_bytes=self.max_inflated_bytes)


class Findings:
    """Takes in what a child says; bounded whatever it says.  ``error``: why there is no more, where it ended early."""

    def __init__(self, limits: Limits) -> None:
        self.found: list[Found] = []
        self.unread: list[Unread] = []
        self.error: DecodeError | None = None
        self._limits = limits
        self._bytes = 0

    def take(self, payload: bytes) -> bool:
        """Take a frame; False where it is the reply that ends the container.  Raises WireError for nonsense."""
        find = unpack_find(payload)
        if isinstance(find, Found):
            self.found.append(find)
            self._bytes += len(find.data)
        elif find is not None:
            self.unread.append(find)
        limits = self._limits
        if (
            len(self.found) > limits.max_images
            or len(self.unread) > limits.max_problems + 1
            or self._bytes > limits.max_image_bytes
        ):
            raise WireError("a decode child found more than it may")
        return find is not None


def pack_unpack_order(order: UnpackOrder) -> bytes:
    """Return what stands before the file of a container."""
    return frame(json.dumps([order.seconds, order.max_inflated_bytes]).encode())


def unpack_unpack_order(payload: bytes) -> tuple[UnpackOrder, bytes]:
    """Return the order and the file; the pool wrote them."""
    (length,) = LENGTH.unpack_from(payload)
    end = LENGTH.size + length
    seconds, inflated = json.loads(payload[LENGTH.size : end])
    return UnpackOrder(seconds=seconds, max_inflated_bytes=inflated), payload[end:]


def pack_find(find: Found | Unread) -> bytes:
    """Return the payload of a find's frame."""
    if isinstance(find, Found):
        return frame(json.dumps({"found": find.path}).encode()) + find.data
    unread = [find.path, find.code, find.message[:MAX_MESSAGE], find.limit]
    return frame(json.dumps({"unread": unread}).encode())


def unpack_find(payload: bytes) -> Found | Unread | None:
    """Return a find, or None for a payload that is none; raises WireError for anything a sane child would not say."""
    try:
        (length,) = LENGTH.unpack_from(payload)
        if length > MAX_HEAD:
            return None
        body = LENGTH.size + length
        head: dict[str, Any] = json.loads(payload[LENGTH.size : body])
        if "found" in head:
            data = payload[body:]
            return Found(path=_path(head["found"]), data=data, sha256=hashlib.sha256(data).hexdigest())
        if "unread" not in head:
            return None
        path, code, message, limit = head["unread"]
        return Unread(
            path=_path(path),
            code=ErrorCode(code),
            message=str(message)[:MAX_MESSAGE],
            limit=None if limit is None else Limit(limit),
        )
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WireError(f"a decode child found nonsense: {error!r}") from error


def _path(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_PATH or not value.isprintable():
        raise ValueError("not a path")
    return value

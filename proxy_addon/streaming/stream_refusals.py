"""What takes the place of a unit of a stream that may not pass, in the words of the stream's own protocol.

Server-sent events and lines go on without the one that is blocked: a client whose stream breaks off connects again and
asks for the same.  gRPC ends with status 7, PERMISSION_DENIED (gRPC over HTTP/2, "Responses"); gRPC-Web carries its
trailers in a last frame of the body, Connect an end of the stream in JSON.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from proxy_addon.responses.reply import Reply
from shared.extract.units import is_framed
from shared.types import Direction, Headers

MAX_MESSAGE: Final = 200
_TRAILERS_FRAME: Final = 0x80
_END_OF_STREAM: Final = 0x02
_MARK: Final = "X-Safelight"
_STATUS: Final = ("grpc-status", "grpc-message")
_DENIED: Final = (("grpc-status", "7"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """``data`` goes on in the unit's place; where it ``ends`` the stream, ``trailers`` follow.

    ``answer`` is the whole answer to a request that has none yet.  What ends without anything is broken off.
    """

    data: bytes = b""
    ends: bool = True
    trailers: Headers = ()
    answer: Reply | None = None


def refusal(media_type: str, direction: Direction, reply: Reply, *, is_coded: bool) -> Refusal:
    """Return what is done instead of passing a unit; ``reply`` is what a request that is not streamed would get.

    ``media_type``: of the stream, lower case, without parameters.  A coded stream cannot go on without a unit.
    """
    mark = dict(reply.headers).get(_MARK, "")
    if is_framed(media_type):
        return _framed(media_type, mark, reply, is_coded=is_coded)
    if direction is Direction.OUTBOUND:
        return Refusal(answer=reply)
    if is_coded:
        return Refusal()
    comment = f": {mark}\n\n".encode("ascii", "replace") if media_type == "text/event-stream" else b""
    return Refusal(data=comment, ends=False)


def _framed(media_type: str, mark: str, reply: Reply, *, is_coded: bool) -> Refusal:
    if media_type.startswith("application/connect+"):
        error = {"error": {"code": "permission_denied", "message": f"blocked by policy: {mark}"[:MAX_MESSAGE]}}
        last = _frame(_END_OF_STREAM, json.dumps(error).encode())
        return Refusal(data=b"" if is_coded else last, answer=reply)
    status = tuple((name, value) for name, value in reply.headers if name in _STATUS) or _DENIED
    status += ((_MARK.lower(), mark),)
    if media_type.startswith("application/grpc-web"):
        lines = "".join(f"{name}: {value}\r\n" for name, value in status)
        return Refusal(data=b"" if is_coded else _frame(_TRAILERS_FRAME, lines.encode()), answer=reply)
    return Refusal(trailers=status, answer=reply)


def _frame(flags: int, data: bytes) -> bytes:
    return bytes((flags,)) + len(data).to_bytes(4) + data

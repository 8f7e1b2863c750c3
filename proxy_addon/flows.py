"""mitmproxy's flows as the rest of the program sees them, and replies as mitmproxy sends them.

Together with ``http_stream`` (its HTTP layer) and ``launcher`` (its start) the only code that knows mitmproxy's types.
Every text that comes out of here encodes as UTF-8: bytes that do not are written as ``\\xNN``.
"""

from __future__ import annotations

from typing import Final, cast

from mitmproxy.connection import Client, Server
from mitmproxy.http import Headers, HTTPFlow, Response

from proxy_addon.responses.reply import Reply
from proxy_addon.responses.rewriting import Rewritten
from shared.types import Actor, Direction, HttpHead, HttpMessage

_CLAIMED: Final = "safelight.claimed"
TRACE_HEADER: Final = "X-Safelight"
_ACTOR: Final = "safelight_actor"
_HEAD: Final = "safelight_head"
_RESPONSE_HEAD: Final = "safelight_response_head"


def request_head(flow: HTTPFlow) -> HttpHead:
    """Return the request's head.

    ``host`` is where the bytes really go: inside TLS the name that the origin's certificate is verified for, else the
    address asked for.  The Host header is the sender's word only.  Read again only where an addon changed the request.
    """
    request = flow.request
    known = flow.metadata.get(_HEAD)
    # The fields are an immutable tuple: as long as it is the same one, nobody has touched a header.
    data = request.data
    state = (data.headers.fields, data.path, data.method, data.host, data.port)
    if known is not None and known[0][0] is state[0] and known[0][1:] == state[1:]:
        return cast(HttpHead, known[1])
    head = _read_head(flow)
    flow.metadata[_HEAD] = (state, head)
    return head


def _read_head(flow: HTTPFlow) -> HttpHead:
    path, _, query = _text(flow.request.path).partition("?")
    return HttpHead(
        method=_text(flow.request.method).upper(),
        scheme=flow.request.scheme,
        host=host(flow),
        port=flow.request.port,
        path=path,
        query=query,
        headers=_headers(flow.request.headers),
    )


def host(flow: HTTPFlow) -> str:
    """Return the host that the bytes of a flow really go to, in lower case; see ``request_head``."""
    name = flow.client_conn.sni if flow.request.scheme == "https" else None
    return _text(name or flow.request.host).lower()


def has_field(headers: Headers, name: bytes) -> bool:
    """Tell whether a field (its name in lower case) is there, in a fraction of mitmproxy's own look-up's time."""
    return any(len(each) == len(name) and each.lower() == name for each, _ in headers.fields)


def client_ip(client: Client) -> str:
    """Return the address that a client connection comes from."""
    return str(client.peername[0])


def tunnel_host(client: Client, server: Server) -> str:
    """Return the host that a tunnel leads to: the name in its TLS, else the address asked for."""
    return _text(client.sni or (server.address[0] if server.address else "")).lower()


def response_head(flow: HTTPFlow) -> HttpHead:
    """Return the response's head, with the method and address of its request; read again only where it was changed."""
    request, response = request_head(flow), _response(flow)
    known = flow.metadata.get(_RESPONSE_HEAD)
    fields, status = response.data.headers.fields, response.data.status_code
    if known is not None and known[0] is request and known[1] is fields and known[2] == status:
        return cast(HttpHead, known[3])
    head = HttpHead(
        method=request.method,
        scheme=request.scheme,
        host=request.host,
        port=request.port,
        path=request.path,
        query=request.query,
        headers=_headers(response.headers),
        status=status,
    )
    flow.metadata[_RESPONSE_HEAD] = (request, fields, status, head)
    return head


def request_message(flow: HTTPFlow, body: bytes | None = None) -> HttpMessage:
    """Return the whole request, its body as it was sent: mitmproxy's, or ``body`` where it was streamed."""
    body = flow.request.raw_content or b"" if body is None else body
    return HttpMessage(head=request_head(flow), body=body, direction=Direction.OUTBOUND, exchange=flow.id)


def response_message(flow: HTTPFlow, body: bytes | None = None) -> HttpMessage:
    """Return the whole response, its body as it was sent: mitmproxy's, or ``body`` where it was streamed."""
    body = _response(flow).raw_content or b"" if body is None else body
    head, request = response_head(flow), request_head(flow)
    return HttpMessage(head=head, body=body, direction=Direction.INBOUND, request=request, exchange=flow.id)


def is_empty(flow: HTTPFlow, direction: Direction) -> bool:
    """Tell whether a held message turned out to have no body."""
    return not (flow.request if direction is Direction.OUTBOUND else _response(flow)).raw_content


def actor(flow: HTTPFlow) -> Actor:
    """Return who is behind the flow: at least the address it comes from."""
    found = flow.metadata.get(_ACTOR)
    return found if isinstance(found, Actor) else Actor(ip=str(flow.client_conn.peername[0]))


def set_actor(flow: HTTPFlow, actor: Actor) -> None:
    """Remember who is behind the flow."""
    flow.metadata[_ACTOR] = actor


def claim(flow: HTTPFlow) -> None:
    """Take a request out of inspection: the proxy itself is its origin."""
    flow.metadata[_CLAIMED] = True


def is_claimed(flow: HTTPFlow) -> bool:
    """Tell whether the proxy itself is a request's origin."""
    return flow.metadata.get(_CLAIMED) is True


def answer(flow: HTTPFlow, reply: Reply) -> None:
    """Answer in the origin's place."""
    response = Response.make(reply.status)
    # Not through make: it would put the body's length where a reply to HEAD names the length GET would have had.
    response.headers = Headers([(name.encode(), value.encode()) for name, value in reply.headers])
    response.raw_content = reply.body
    # Refused on its head, a request is not invited to send its body (RFC 9110, section 10.1.1).
    flow.request.headers.pop("expect", None)
    flow.response = response


def rewrite(flow: HTTPFlow, direction: Direction, rewritten: Rewritten) -> None:
    """Put a changed message in the place of the one that came."""
    message = flow.request if direction is Direction.OUTBOUND else _response(flow)
    for name in rewritten.edits.drop:
        message.headers.pop(name, None)
    for name, value in rewritten.edits.put:
        message.headers[name] = value
    message.raw_content = rewritten.body
    if direction is Direction.INBOUND:
        mark(flow, rewritten.mark)


def mark(flow: HTTPFlow, value: str) -> None:
    """Mark a response whose exchange passed changed."""
    headers = _response(flow).headers
    headers[TRACE_HEADER] = value
    headers["Cache-Control"] = "no-store"


def trace(flow: HTTPFlow) -> None:
    """Mark a response that was inspected and passed."""
    _response(flow).headers[TRACE_HEADER] = "allow"


def forget_request_body(flow: HTTPFlow) -> None:
    """Let go of a body that has been sent on; mitmproxy would keep it until the response is through."""
    flow.request.raw_content = None


def _response(flow: HTTPFlow) -> Response:
    if flow.response is None:
        raise ValueError("the flow has no response yet")
    return flow.response


def _headers(headers: Headers) -> tuple[tuple[str, str], ...]:
    return tuple(
        [
            (name.decode("utf-8", "backslashreplace").lower(), value.decode("utf-8", "backslashreplace"))
            for name, value in headers.fields
        ]
    )


def _text(value: str | bytes) -> str:
    raw = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    return raw.decode("utf-8", "backslashreplace")

"""What an endpoint gets instead of the transfer that was blocked.

A picture where a picture was asked for, a page where a person is looking, problem details (RFC 9457) for programs.
Scripts of another origin could not read any of it without CORS headers and would take a block for a broken network and
try again, so the request's origin is echoed; for the same reason there is never a Retry-After.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import quote

from proxy_addon.responses.pages import (
    COACH_PATH,
    HTML,
    Told,
    content_policy,
    escaped,
    problem_details,
    refusal_page,
    sentence,
)
from proxy_addon.responses.placeholders import placeholder
from shared.types import Action, Activity, Decision, Headers, HttpHead

DEFAULT_PLACEHOLDER: Final = (320, 240)
"""Where the size of the blocked picture is not known."""
MAX_ORIGIN: Final = 512
"""Characters of an Origin header that is echoed: a host name has 253 at most."""
MAX_ASKED: Final = 4096
"""Characters of the header names that a preflight asks for and gets."""
MARK: Final = "X-Safelight"

_FORBIDDEN: Final = 403
_NO_CONTENT: Final = 204
_PERMISSION_DENIED: Final = "7"
_ORIGIN: Final = re.compile(r"null|[a-z][a-z0-9+.-]*://[\x21-\x7e]+", re.IGNORECASE)
_NAMES: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+(?:[ \t]*,[ \t]*[A-Za-z0-9!#$%&'*+.^_`|~-]+)*")
_S3_HOST: Final = re.compile(r"(?:^|\.)s3(?:[.-][a-z0-9-]+)*\.amazonaws\.com(?:\.cn)?$")
_S3_QUERY: Final = re.compile(r"(?:^|&)(?:x-amz-credential=[^&]*(?:%2f|/)s3(?:%2f|/)|awsaccesskeyid=)", re.IGNORECASE)
_S3_ERROR: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code><Message>{message}</Message>'
    "<Resource>{resource}</Resource><RequestId>{request}</RequestId></Error>"
)
_SAFE_IN_HEADER: Final = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A whole response; ``body`` is empty for a HEAD request, whose Content-Length is that of the GET.

    ``incident`` is the id that ``X-Safelight`` carries.
    """

    status: int
    headers: Headers
    body: bytes
    incident: str = ""


def block_reply(
    request: HttpHead,
    decision: Decision,
    incident: str,
    activity: Activity,
    image_size: tuple[int, int] | None,
    at: datetime | None = None,
) -> Reply:
    """Return what the endpoint gets; ``image_size`` is the blocked picture's (None: not known).

    ``at`` is shown on the page, in its own time zone.
    """
    return _refusal(request, Told(decision, incident, activity, at=at), image_size)


def coach_reply(
    request: HttpHead,
    decision: Decision,
    incident: str,
    activity: Activity,
    image_size: tuple[int, int] | None,
    ticket: str,
) -> Reply:
    """Return what an endpoint gets whose user may go on once a reason is given for ``ticket``."""
    default = {"http": 80, "https": 443}.get(request.scheme) == request.port
    host = f"[{request.host}]" if ":" in request.host else request.host
    place = f"{request.scheme}://{host}{'' if default else f':{request.port}'}{COACH_PATH}?ticket={ticket}"
    return _refusal(request, Told(decision, incident, activity, ticket=ticket, justify=place), image_size)


def preflight_reply(request: HttpHead) -> Reply:
    """Return the yes that lets a script send the request which will be refused, and read why.

    A browser asks first (WHATWG Fetch, CORS-preflight) and hides the reply to a request that was not admitted.  Only
    the refusal follows, so everything is admitted; it is not remembered, since policies change.
    """
    headers: list[tuple[str, str]] = list(_cors(request.header("origin")))
    headers.append(("Access-Control-Allow-Methods", _listed(request.header("access-control-request-method"))))
    if asked := _listed(request.header("access-control-request-headers")):
        headers.append(("Access-Control-Allow-Headers", asked))
    if request.header("access-control-request-private-network"):
        headers.append(("Access-Control-Allow-Private-Network", "true"))
    headers += [("Access-Control-Max-Age", "0"), ("Cache-Control", "no-store"), ("Content-Length", "0")]
    return Reply(status=_NO_CONTENT, headers=tuple(headers), body=b"")


def is_preflight(request: HttpHead) -> bool:
    """Tell whether a request only asks whether another one may be sent."""
    return request.method == "OPTIONS" and bool(
        _cors(request.header("origin")) and _listed(request.header("access-control-request-method"))
    )


def _listed(value: str) -> str:
    """Return a list of names as it may be echoed, or an empty string."""
    return value if len(value) <= MAX_ASKED and _NAMES.fullmatch(value) else ""


def _refusal(request: HttpHead, told: Told, image_size: tuple[int, int] | None) -> Reply:
    media_type = request.header("content-type").strip().lower()
    if _wants_image(request):
        media_type, body = placeholder(request.header("accept"), *(image_size or DEFAULT_PLACEHOLDER))
        return _reply(request, told, 200, media_type, body)
    if _wants_page(request):
        page = refusal_page(told).encode()
        return _reply(
            request,
            told,
            _FORBIDDEN,
            HTML,
            page,
            (("Content-Security-Policy", content_policy(form=bool(told.ticket))),),
        )
    if media_type.startswith("application/grpc"):
        return _grpc_reply(request, told, web=media_type.startswith("application/grpc-web"))
    if _is_s3(request):
        body = _S3_ERROR.format(
            message=escaped(_with_link(told)), resource=escaped(request.path), request=escaped(told.incident)
        ).encode()
        return _reply(request, told, _FORBIDDEN, "application/xml", body, (("x-amz-request-id", told.incident),))
    problem = json.dumps(problem_details(told)).encode()
    return _reply(request, told, _FORBIDDEN, "application/problem+json", problem)


def _grpc_reply(request: HttpHead, told: Told, *, web: bool) -> Reply:
    """Answer as a gRPC server does that refuses at once: the status stands where the trailers would, without a body.

    https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md (Trailers-Only), and PROTOCOL-WEB.md.
    """
    exposed = f"{MARK}, grpc-status, grpc-message"
    headers = (
        ("Content-Type", "application/grpc-web+proto" if web else "application/grpc"),
        ("grpc-status", _PERMISSION_DENIED),
        ("grpc-message", quote(_with_link(told), safe=_SAFE_IN_HEADER, errors="replace")),
        ("Cache-Control", "no-store"),
        (MARK, x_safelight(told.decision.action, told.decision.policy or "", told.incident)),
        *_cors(request.header("origin"), exposed),
    )
    return Reply(status=200, headers=headers, body=b"")


def _with_link(told: Told) -> str:
    link = f" Give a reason at {told.justify} and try again." if told.justify else ""
    return sentence(told) + link


def _is_s3(request: HttpHead) -> bool:
    signed = request.header("authorization").startswith("AWS4-") and "/s3/aws4_request" in request.header(
        "authorization"
    )
    old = request.header("authorization").startswith("AWS ")
    return signed or old or _S3_QUERY.search(request.query) is not None or _S3_HOST.search(request.host) is not None


def x_safelight(action: Action, policy: str, incident: str) -> str:
    """Return the value of ``X-Safelight``.

    Names are quoted strings (RFC 9110); characters other than visible ASCII, and ``%``, are percent-encoded UTF-8.
    """
    return f"{action}; policy={_quoted(policy)}; incident={_quoted(incident)}"


def _reply(
    request: HttpHead,
    told: Told,
    status: int,
    media_type: str,
    body: bytes,
    more: Headers = (),
) -> Reply:
    headers = (
        ("Content-Type", media_type),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        (MARK, x_safelight(told.decision.action, told.decision.policy or "", told.incident)),
        *more,
        *_cors(request.header("origin")),
    )
    return Reply(status=status, headers=headers, body=b"" if request.method == "HEAD" else body)


def _cors(origin: str, exposed: str = MARK) -> Headers:
    if len(origin) > MAX_ORIGIN or not _ORIGIN.fullmatch(origin):
        return ()
    return (
        ("Access-Control-Allow-Origin", origin),
        ("Access-Control-Allow-Credentials", "true"),
        ("Access-Control-Expose-Headers", exposed),
        ("Vary", "Origin"),
    )


def _quoted(text: str) -> str:
    encoded = quote(text, safe=_SAFE_IN_HEADER, errors="replace")
    return '"' + encoded.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _wants_image(request: HttpHead) -> bool:
    if request.header("sec-fetch-dest").strip().lower() == "image":
        return True
    return request.header("accept").strip().lower().startswith("image/")


def _wants_page(request: HttpHead) -> bool:
    destination = request.header("sec-fetch-dest").strip().lower()
    if destination == "document":
        return True
    from_fetch = any(name.startswith("sec-fetch-") for name, _ in request.headers)
    return not from_fetch and "text/html" in request.header("accept").lower()

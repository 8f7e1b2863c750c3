"""What an endpoint gets instead of the transfer that was blocked.

A picture where a picture was asked for, a page where a person is looking, problem details (RFC 9457) for programs.
Scripts of another origin could not read any of it without CORS headers and would take a block for a broken network and
try again, so the request's origin is echoed; for the same reason there is never a Retry-After.
"""

from __future__ import annotations

import html
import json
import math
import re
import struct
import zlib
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from importlib.resources import files
from string import Template
from typing import Final
from urllib.parse import quote

from shared.types import Action, Activity, Decision, Finding, Headers, HttpHead

MAX_PLACEHOLDER_SIDE: Final = 16_384
"""Pixels of a placeholder's longer side; a larger picture is replaced by a smaller one of its proportions."""
DEFAULT_PLACEHOLDER: Final = (320, 240)
"""Where the size of the blocked picture is not known."""
MAX_ORIGIN: Final = 512
"""Characters of an Origin header that is echoed: a host name has 253 at most."""

PROBLEM_BLOCKED: Final = "urn:safelight:problem:blocked"
PROBLEM_UNINSPECTED: Final = "urn:safelight:problem:uninspected"

_MAX_RADIUS: Final = 128  # pixels of the sign
_RUN: Final = 64 * 1024  # zeros that are compressed once
_ADLER_MODULUS: Final = 65_521

_FORBIDDEN: Final = 403
_CONTENT_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_ORIGIN: Final = re.compile(r"null|[a-z][a-z0-9+.-]*://[\x21-\x7e]+", re.IGNORECASE)
_NOT_VISIBLE: Final = re.compile(r"[\x00-\x1f\x7f]")
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
    if _wants_image(request):
        body = placeholder_png(*(image_size or DEFAULT_PLACEHOLDER))
        return _reply(request, decision, incident, 200, "image/png", body)
    if _wants_page(request):
        page = _page(decision, incident, activity, at).encode()
        headers = (("Content-Security-Policy", _CONTENT_POLICY),)
        return _reply(request, decision, incident, _FORBIDDEN, "text/html; charset=utf-8", page, headers)
    problem = json.dumps(_problem(decision, incident, activity)).encode()
    return _reply(request, decision, incident, _FORBIDDEN, "application/problem+json", problem)


def x_safelight(action: Action, policy: str, incident: str) -> str:
    """Return the value of ``X-Safelight``.

    Names are quoted strings (RFC 9110); characters other than visible ASCII, and ``%``, are percent-encoded UTF-8.
    """
    return f"{action}; policy={_quoted(policy)}; incident={_quoted(incident)}"


def placeholder_png(width: int, height: int) -> bytes:
    """Return a grey PNG with a no-entry sign, ``width`` x ``height`` pixels, within MAX_PLACEHOLDER_SIDE."""
    width, height = max(1, width), max(1, height)
    longer = max(width, height)
    if longer > MAX_PLACEHOLDER_SIDE:
        width = max(1, width * MAX_PLACEHOLDER_SIDE // longer)
        height = max(1, height * MAX_PLACEHOLDER_SIDE // longer)
    return _drawn(width, height)


def _reply(
    request: HttpHead,
    decision: Decision,
    incident: str,
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
        ("X-Safelight", x_safelight(decision.action, decision.policy or "", incident)),
        *more,
        *_cors(request.header("origin")),
    )
    return Reply(status=status, headers=headers, body=b"" if request.method == "HEAD" else body)


def _cors(origin: str) -> Headers:
    if len(origin) > MAX_ORIGIN or not _ORIGIN.fullmatch(origin):
        return ()
    return (
        ("Access-Control-Allow-Origin", origin),
        ("Access-Control-Allow-Credentials", "true"),
        ("Access-Control-Expose-Headers", "X-Safelight"),
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


def _deciding(decision: Decision) -> Finding | None:
    return next((finding for finding in decision.findings if finding.policy == decision.policy), None)


def _uninspected_reason(decision: Decision) -> str:
    """Return the reason where nothing could be judged, else an empty string; its detail is for the SOC alone."""
    finding = _deciding(decision)
    return finding.reason.partition(":")[0] if finding is not None and finding.kind == "uninspected" else ""


def _sentence(decision: Decision, activity: Activity) -> str:
    reason = _uninspected_reason(decision)
    doing = activity.replace("_", " ")
    if reason:
        return f"This {doing} could not be inspected ({reason.replace('_', ' ')}), and a policy does not let it pass."
    return f"A policy of your organisation does not allow this {doing}."


def _problem(decision: Decision, incident: str, activity: Activity) -> dict[str, object]:
    reason = _uninspected_reason(decision)
    problem: dict[str, object] = {
        "type": PROBLEM_UNINSPECTED if reason else PROBLEM_BLOCKED,
        "title": "Blocked: could not be inspected" if reason else "Blocked by policy",
        "status": _FORBIDDEN,
        "detail": _sentence(decision, activity),
        "incident": incident,
        "policy": decision.policy or "",
        "activity": activity.value,
    }
    return {**problem, "reason": reason} if reason else problem


def _page(decision: Decision, incident: str, activity: Activity, at: datetime | None) -> str:
    shown = f"{at:%Y-%m-%d %H:%M:%S %Z}".strip() if at else ""
    return _template().substitute(
        what=_escaped(_sentence(decision, activity)),
        activity=_escaped(activity.replace("_", " ")),
        policy=_escaped(decision.policy or ""),
        incident=_escaped(incident),
        time=f"<dt>Time</dt><dd>{_escaped(shown)}</dd>" if shown else "",
    )


def _escaped(text: str) -> str:
    return html.escape(_NOT_VISIBLE.sub(" ", text))


@cache
def _template() -> Template:
    return Template(files("proxy_addon").joinpath("templates", "blocked.html").read_text(encoding="utf-8"))


@lru_cache(maxsize=64)
def _drawn(width: int, height: int) -> bytes:
    """Draw in one bit a pixel.  Empty rows are compressed once and repeated: a big picture must not hold the loop."""
    size = (width + 7) // 8
    radius = min(width // 4, height // 4, _MAX_RADIUS)
    above = (height - 2 * radius) // 2
    mark = b"".join(_row(width, size, radius, dy) for dy in range(-radius, radius))
    stream = _Deflate()
    stream.zeros((1 + size) * above)  # a row is its filter type, 0, and its pixels, palette entry 0
    stream.data(mark)
    stream.zeros((1 + size) * (height - 2 * radius - above))
    header = struct.pack(">IIBBBBB", width, height, 1, 3, 0, 0, 0)  # one bit, palette, no interlace
    palette = bytes((0xE4, 0xE4, 0xE4, 0x8C, 0x8C, 0x8C))
    chunks = ((b"IHDR", header), (b"PLTE", palette), (b"IDAT", stream.end()), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


class _Deflate:
    """A zlib stream (RFC 1950) in which long runs of zeros cost next to nothing to make."""

    def __init__(self) -> None:
        self._out = [b"\x78\x01"]
        self._low, self._high = 1, 0  # Adler-32

    def data(self, data: bytes) -> None:
        self._out.append(_deflated(data))
        adler = zlib.adler32(data, self._high << 16 | self._low)
        self._low, self._high = adler & 0xFFFF, adler >> 16

    def zeros(self, count: int) -> None:
        self._out.append(_deflated(bytes(_RUN)) * (count // _RUN) + _deflated(bytes(count % _RUN)))
        self._high = (self._high + self._low * count) % _ADLER_MODULUS

    def end(self) -> bytes:
        return b"".join([*self._out, zlib.compressobj(1, wbits=-15).flush(), struct.pack(">HH", self._high, self._low)])


def _deflated(data: bytes) -> bytes:
    """Return blocks that neither look back nor end the stream, so that they can be put side by side."""
    deflate = zlib.compressobj(1, wbits=-15)
    return deflate.compress(data) + deflate.flush(zlib.Z_FULL_FLUSH)


def _row(width: int, size: int, radius: int, dy: int) -> bytes:
    """Return one row of the sign: a disc with a bar left out."""
    half = math.isqrt(radius * radius - dy * dy)
    bits = _run(width, half)
    if abs(dy) <= radius // 6:
        bits ^= _run(width, radius * 2 // 3)
    return b"\0" + (bits << (size * 8 - width)).to_bytes(size, "big")


def _run(width: int, half: int) -> int:
    """Return ``width`` bits with a run of 2 x ``half`` in the middle."""
    return ((1 << 2 * half) - 1) << (width // 2 - half)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

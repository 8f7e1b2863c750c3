"""Exchanges of real applications, written from their documentation: ``tests/fixtures/apps/APP/*.toml``.

    row = "Google Drive API, resumable"         # of the list of how applications upload
    source = "https://…"                        # where the exchange is described
    app = "google-drive"                        # what it is to be taken for
    mutated = [0, 2, 1, 1]                      # steps again in another order; default: each one twice
    lookalike = ["POST https://…"]              # what must not be taken for it

    [[step]]
    request = '''
    PUT https://www.googleapis.com/upload/…
    Content-Range: bytes {from 1/2}-{to 1/2}/{size}

    {piece 1/2}'''
    reply = '''
    308
    Range: bytes=0-{to 1/2}
    '''
    activity = "upload"                         # default upload
    app = "aws-s3"                              # where it is another one than the fixture's
    image = true                                # the whole image is seen and judged here, and blocked where protected
    names = true                                # no image, but an object that was seen before: blocked by that
    session = "//www.googleapis.com/…"          # key and offset of a part
    offset = "{from 1/2}"

Placeholders stand for the picture, in requests and replies: its bytes, a piece of them (``{piece 1/3}`` is the first of
three; ``{from …}``, ``{to …}`` and ``{length …}`` its first and last byte and its length), ``{size}``, ``{hexsize}``,
``{base64}``, ``{base64url}``, ``{sha1}``; ``{mail}`` is a mail with it in base64url, ``{ipp}`` the head of a print job.
Line ends of multipart and aws-chunked bodies are made CRLF.
"""

from __future__ import annotations

import base64
import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from workers.training.drawing import draw
from workers.training.edits import encode

FOLDER: Final = Path(__file__).parent / "fixtures" / "apps"
MAIL: Final = b"""MIME-Version: 1.0
To: b@elsewhere.example
Subject: plan
Content-Type: multipart/mixed; boundary="m1"

--m1
Content-Type: image/png; name="pump.png"
Content-Transfer-Encoding: base64

PICTURE
--m1--
"""
# Print-Job, version 2.0, request 1 (RFC 8010, section 3.1): operation attributes, then the document.
IPP: Final = (
    b"\x02\x00\x00\x02\x00\x00\x00\x01\x01"
    b"\x47\x00\x12attributes-charset\x00\x05utf-8"
    b"\x48\x00\x1battributes-natural-language\x00\x02en"
    b"\x45\x00\x0bprinter-uri\x00\x1fipp://printer.example/ipp/print"
    b"\x49\x00\x0fdocument-format\x00\x09image/png\x03"
)
_PLACE: Final = re.compile(
    rb"\{(image|size|hexsize|base64url|base64|sha1|mail|ipp|(?P<what>piece|from|to|length) (?P<k>\d)/(?P<n>\d))\}"
)
_STEP_KEYS: Final = frozenset({"request", "reply", "activity", "app", "image", "names", "session", "offset"})
_KEYS: Final = frozenset({"row", "source", "app", "mutated", "lookalike", "step"})


@cache
def picture() -> bytes:
    """The picture in all exchanges; about 40 KB."""
    return encode(draw("whiteboard", 5, size=(480, 320)))


@dataclass(frozen=True)
class Text:
    """A request or a reply: its first line's words, its fields and its body."""

    line: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), "")


@dataclass(frozen=True)
class Step:
    """One exchange and what is expected of it."""

    request: Text
    reply: Text
    activity: str
    app: str
    image: bool
    names: bool
    session: str
    offset: int | None

    @property
    def method(self) -> str:
        return self.request.line.split()[0]

    @property
    def url(self) -> str:
        return self.request.line.split()[1]


@dataclass(frozen=True)
class Fixture:
    """All exchanges of one row."""

    name: str
    row: str
    source: str
    app: str
    steps: tuple[Step, ...]
    mutated: tuple[int, ...]
    lookalikes: tuple[tuple[str, str], ...] = field(default=())

    @property
    def hosts(self) -> set[str]:
        return {
            urlsplit(url).hostname or ""
            for url in [*(step.url for step in self.steps), *(x for _, x in self.lookalikes)]
        }


def load_fixtures() -> list[Fixture]:
    """Read all of them."""
    return [_fixture(path) for path in sorted(FOLDER.glob("*/*.toml"))]


def _fixture(path: Path) -> Fixture:
    values = tomllib.loads(path.read_text())
    assert values.keys() <= _KEYS, path
    steps = tuple(_step(step, values["app"], path) for step in values["step"])
    doubled = tuple(number for number in range(len(steps)) for _ in range(2))
    return Fixture(
        name=f"{path.parent.name}/{path.stem}",
        row=values["row"],
        source=values["source"],
        app=values["app"],
        steps=steps,
        mutated=tuple(values.get("mutated", doubled)),
        lookalikes=tuple((line.split()[0], line.split()[1]) for line in values["lookalike"]),
    )


def _step(values: Mapping[str, Any], app: str, path: Path) -> Step:
    assert values.keys() <= _STEP_KEYS, (path, values.keys())
    offset = values.get("offset")
    return Step(
        request=_text(values["request"]),
        reply=_text(values.get("reply", "200\n")),
        activity=values.get("activity", "upload"),
        app=values.get("app", app),
        image=values.get("image", False),
        names=values.get("names", False),
        session=values.get("session", ""),
        offset=None if offset is None else int(_filled(str(offset).encode())),
    )


def _text(text: str) -> Text:
    head, _, body = text.strip("\n").partition("\n\n")
    line, *fields = head.splitlines()
    headers = tuple(
        (name, _filled(value.strip().encode()).decode()) for name, _, value in (f.partition(":") for f in fields)
    )
    raw = body.encode()
    if any("multipart/" in value or value == "aws-chunked" for _, value in headers):
        raw = raw.replace(b"\n", b"\r\n") + b"\r\n\r\n"
    return Text(line=_filled(line.encode()).decode(), headers=headers, body=_filled(raw))


def _filled(raw: bytes) -> bytes:
    return _PLACE.sub(_place, raw)


def _place(match: re.Match[bytes]) -> bytes:
    image = picture()
    if match["what"]:
        count, number = int(match["n"]), int(match["k"])
        length = -(-len(image) // count)
        start, end = (number - 1) * length, min(number * length, len(image))
        pieces = {
            b"piece": image[start:end],
            b"from": b"%d" % start,
            b"to": b"%d" % (end - 1),
            b"length": b"%d" % (end - start),
        }
        return pieces[match["what"]]
    return {
        b"image": image,
        b"size": b"%d" % len(image),
        b"hexsize": b"%x" % len(image),
        b"ipp": IPP,
        b"base64": base64.b64encode(image),
        b"base64url": base64.urlsafe_b64encode(image),
        b"mail": base64.urlsafe_b64encode(MAIL.replace(b"PICTURE", base64.encodebytes(image))),
        b"sha1": hashlib.sha1(image).hexdigest().encode(),  # noqa: S324 - as Box and X ask for
    }[match[1]]

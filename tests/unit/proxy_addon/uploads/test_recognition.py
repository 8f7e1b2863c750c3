"""Requests as the protocols' documents write them, and what is read out of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from proxy_addon.uploads.recognition import Recognition, load_protocols
from shared.core.activity import Catalogue
from shared.core.catalogue_file import parse_app
from shared.extract.budget import Limits
from shared.extract.upload_steps import read_reply, read_steps
from shared.types import Direction, Headers, HttpMessage, StepKind, UploadStep
from tests.factories import make_head
from tests.unit.shared.extract.pictures import run

RECOGNITION = Recognition(Catalogue(), load_protocols())
TUS: Headers = (("tus-resumable", "1.0.0"),)
FORM: Headers = (("content-type", "multipart/form-data; boundary=b"),)


@dataclass(frozen=True)
class Request:
    line: str
    headers: Headers = ()
    body: bytes = b""

    def message(self) -> HttpMessage:
        method, _, address = self.line.partition(" ")
        parts = urlsplit(f"https://{address}")
        head = make_head(method=method, host=parts.netloc, path=parts.path, query=parts.query, headers=self.headers)
        return HttpMessage(head=head, body=self.body, direction=Direction.OUTBOUND)


def steps(request: Request) -> tuple[UploadStep, ...]:
    message = request.message()
    selection = RECOGNITION.selection(message.head)
    return run(read_steps(selection, message, Limits())).steps if selection else ()


def learned(request: Request, headers: Headers = (), body: bytes = b"") -> tuple[str, ...]:
    message = request.message()
    selection = RECOGNITION.selection(message.head)
    assert selection is not None
    reply = HttpMessage(head=make_head(status=200, headers=headers), body=body, direction=Direction.INBOUND)
    return run(read_reply(selection, message, reply)).sessions


def form(**fields: str) -> bytes:
    parts = [
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()
    ]
    return "".join([*parts, "--b--\r\n"]).encode()


PART = StepKind.PART
LINES: list[tuple[Request, dict[str, Any]]] = [
    (
        Request("PUT up.example/s?id=7", (("content-range", "bytes 0-4/9"),), b"12345"),
        {"kind": PART, "session": "//up.example/s?id=7", "offset": 0, "total": 9, "span": (0, 5)},
    ),
    (
        Request("PUT www.googleapis.com/upload/drive/v3/files?upload_id=7", (("content-range", "bytes */9"),)),
        {"kind": PART, "session": "//www.googleapis.com/upload/drive/v3/files?upload_id=7", "total": 9},
    ),
    (
        Request("POST tus.example/files", (*TUS, ("upload-length", "100"))),
        {"kind": StepKind.START, "total": 100},
    ),
    (
        Request("POST tus.example/files", (*TUS, ("upload-length", "5"), ("upload-concat", "partial")), b"12345"),
        {"kind": StepKind.START, "span": (0, 5)},
    ),
    (
        Request("POST tus.example/files", (*TUS, ("upload-concat", "final;/files/a /files/b"))),
        {"kind": StepKind.COMMIT, "sources": ("//tus.example/files/a?", "//tus.example/files/b?")},
    ),
    (
        Request("PATCH tus.example/files/a", (*TUS, ("upload-offset", "70")), b"123"),
        {"kind": PART, "session": "//tus.example/files/a?", "offset": 70, "span": (0, 3)},
    ),
    (
        Request("POST tus.example/files/a", (*TUS, ("x-http-method-override", "PATCH"), ("upload-offset", "0")), b"1"),
        {"kind": PART, "session": "//tus.example/files/a?", "offset": 0, "span": (0, 1)},
    ),
    (Request("DELETE tus.example/files/a", TUS), {"kind": StepKind.CANCEL, "session": "//tus.example/files/a?"}),
    (
        Request("PATCH any.example/u/1", (("upload-offset", "10"), ("upload-complete", "?1")), b"12"),
        {"kind": StepKind.COMMIT, "session": "//any.example/u/1?", "offset": 10, "span": (0, 2)},
    ),
    (
        Request(
            "POST photos.google.com/_/upload/uploadmedia/interactive",
            (
                ("x-goog-upload-protocol", "resumable"),
                ("x-goog-upload-command", "start"),
                ("x-goog-upload-header-content-length", "12"),
                ("x-goog-upload-file-name", "a.png"),
            ),
        ),
        {"kind": StepKind.START, "total": 12, "name": "a.png"},
    ),
    (
        Request(
            "POST push.clients6.google.com/upload/?upload_id=x",
            (("x-goog-upload-command", "upload, finalize"), ("x-goog-upload-offset", "262144")),
            b"123",
        ),
        {
            "kind": StepKind.COMMIT,
            "session": "//push.clients6.google.com/upload/?upload_id=x",
            "offset": 262144,
            "span": (0, 3),
        },
    ),
    (
        Request("PUT b.s3.amazonaws.com/key?partNumber=3&uploadId=VXBs", (), b"123"),
        {"kind": PART, "session": "s3-multipart VXBs", "number": "3", "span": (0, 3)},
    ),
    (
        Request("POST minio.example/b/key?uploadId=VXBs", (), b"<C><Part><PartNumber>2</PartNumber></Part></C>"),
        {"kind": StepKind.COMMIT, "session": "s3-multipart VXBs", "order": ("2",)},
    ),
    (
        Request("PUT a.blob.core.windows.net/c/b?comp=block&blockid=QUE%3D&sig=s", (), b"123"),
        {"kind": PART, "session": "//a.blob.core.windows.net/c/b?sig=s", "number": "QUE=", "span": (0, 3)},
    ),
    (
        Request(
            "PUT a.blob.core.windows.net/c/b?comp=blocklist&sig=s",
            (),
            b"<BlockList><Latest>QUI=</Latest><Committed>QUE=</Committed></BlockList>",
        ),
        {"kind": StepKind.COMMIT, "session": "//a.blob.core.windows.net/c/b?sig=s", "order": ("QUI=", "QUE=")},
    ),
    (
        Request(
            "POST any.example/up", FORM, form(dzuuid="u-1", dzchunkbyteoffset="10", dztotalfilesize="12", file="ab")
        ),
        {"kind": PART, "session": "chunked-forms u-1", "offset": 10, "total": 12},
    ),
]


@pytest.mark.parametrize(("request_", "expected"), LINES, ids=[request.line for request, _ in LINES])
def test_steps_are_read_from_what_clients_send(request_: Request, expected: dict[str, Any]) -> None:
    (step,) = steps(request_)
    assert {name: getattr(step, name) for name in expected} == expected


@pytest.mark.parametrize(
    "request_",
    [
        Request("POST any.example/up", FORM, form(file="whole")),
        Request("PUT b.s3.amazonaws.com/key", (), b"whole"),
        Request("PUT any.example/key?comp=metadata", (), b"whole"),
        Request("POST any.example/api", (("content-type", "application/json"),), b"{}"),
        Request("POST any.example/up", (("upload-complete", "?1"),), b"whole"),
        Request("GET any.example/up", (("content-range", "bytes 0-1/2"),)),
    ],
    ids=lambda request: str(request.line),
)
def test_whole_uploads_are_no_steps(request_: Request) -> None:
    assert steps(request_) == ()


def test_replies_to_starts_name_the_upload() -> None:
    tus = Request("POST tus.example/files", (*TUS, ("upload-length", "100")))
    assert learned(tus, (("location", "https://tus.example/files/a"),)) == ("//tus.example/files/a?",)
    s3 = Request("POST b.s3.amazonaws.com/key?uploads")
    assert learned(s3, (), b"<R><UploadId>VXBs</UploadId></R>") == ("s3-multipart VXBs",)


def test_the_rules_of_an_application_come_first() -> None:
    text = """
[app]
name = "drive"
hosts = ["drive.example"]
written = 2026-11-21
source = "https://drive.example/docs"
[[rule]]
activity = "upload"
path = '^/s/(?P<id>.+)$'
step = "part"
select = { session = "path:id" }
[[rule]]
activity = "share"
"""
    own = Recognition(Catalogue(entries=(parse_app("drive.toml", text),)), load_protocols())
    ranged = (("content-range", "bytes 0-4/9"),)
    by_app = own.selection(make_head(host="drive.example", path="/s/7", headers=ranged))
    by_protocol = own.selection(make_head(method="PUT", host="drive.example", path="/other", headers=ranged))
    assert by_app is not None
    assert by_protocol is not None
    assert (by_app.app, by_protocol.app) == ("drive", "content-range")


def test_sessions_are_ended_only_where_that_deletes_no_file() -> None:
    ranged: Headers = (("content-range", "bytes 0-4/9"),)
    ends = {
        line: (selection := RECOGNITION.selection(Request(line, ranged).message().head)) and selection.cancel
        for line in (
            "PUT www.googleapis.com/upload/drive/v3/files?upload_id=7",
            "PUT corp.sharepoint.com/sites/x/_api/v2.0/drives/d/items/i/uploadSession?guid=g",
            "PUT abc.up.1drv.com/up/fe6987",
            "PUT any.example/upload/picture.png",
            "PUT www.googleapis.com/other",
        )
    }
    assert [cancel.method if cancel else None for cancel in ends.values()] == ["DELETE"] * 3 + [None] * 2

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import quopri
import zlib
from urllib.parse import quote

import pytest

from shared.errors import ErrorCode
from shared.extract.pipeline import Extraction, Limits, extract, extract_steps
from shared.types import Direction, HttpMessage
from tests.factories import make_head
from tests.unit.shared.extract.pictures import BMP, BY_TYPE, JPEG, PNG, form, make_message, old_tar


def codes(result: Extraction) -> list[ErrorCode]:
    return [problem.code for problem in result.problems]


def where(result: Extraction) -> list[tuple[str, str]]:
    return [(part.locator, part.name) for part in result.parts]


@pytest.mark.parametrize(
    "declared", ["", "image/png", "application/x-www-form-urlencoded", "multipart/form-data", "{}"]
)
@pytest.mark.parametrize(("media_type", "data"), BY_TYPE.items())
def test_a_raw_image_whatever_is_declared(declared: str, media_type: str, data: bytes) -> None:
    (part,) = extract(make_message(data, declared)).parts
    assert (part.data, part.media_type, part.locator) == (data, media_type, "body")
    assert part.sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("body", [b"", b"hello", b"BM", b"{}", b'{"a": "b"}', b"\0" * 1000])
def test_nothing_to_find(body: bytes) -> None:
    assert extract(make_message(body, "application/json")) == Extraction()


def test_a_form_with_files_and_fields() -> None:
    body = form(
        ('Content-Disposition: form-data; name="title"', b"hello"),
        ('Content-Disposition: form-data; name="file"; filename="a.png"\nContent-Type: image/png', PNG),
        ('Content-Disposition: form-data; name="file"; filename="b.txt"\nContent-Type: text/plain', JPEG),
        ('Content-Disposition: form-data; name="again"; filename="c.png"', PNG),
        (
            'Content-Disposition: form-data; name="payload_json"',
            json.dumps({"i": base64.b64encode(BMP).decode()}).encode(),
        ),
    )
    result = extract(make_message(body, "multipart/form-data; boundary=bnd"))
    offset = body.index(base64.b64encode(BMP))
    assert where(result) == [
        ("multipart[1]/file", "a.png"),
        ("multipart[2]/file", "b.txt"),
        (f"multipart[4]/payload_json/base64@{offset}", ""),
    ]
    assert [part.data for part in result.parts] == [PNG, JPEG, BMP]


def test_base64_parts() -> None:
    wrapped = base64.encodebytes(JPEG)
    text = base64.encodebytes(json.dumps({"i": base64.b64encode(PNG).decode()}).encode())
    head = "Content-Transfer-Encoding: BASE64\nContent-Disposition: form-data; name=f; filename*=UTF-8''%C3%A4.jpg"
    body = form((head, wrapped), (head, text), (head, BMP))
    result = extract(make_message(body, "multipart/related; boundary=bnd"))
    assert [part.data for part in result.parts] == [JPEG, PNG, BMP]
    assert where(result)[0] == ("multipart[0]/f", "ä.jpg")


def test_an_unknown_transfer_encoding_is_opaque() -> None:
    body = form(("Content-Transfer-Encoding: x-uuencode", b"begin 644 a.png"))
    assert codes(extract(make_message(body, "multipart/mixed; boundary=bnd"))) == [ErrorCode.OPAQUE]


def test_multipart_inside_multipart() -> None:
    inner = form(("Content-Type: image/png", PNG), boundary="inner")
    body = form(("Content-Type: multipart/mixed; boundary=inner", inner), ("", JPEG))
    result = extract(make_message(body, 'multipart/form-data; boundary="bnd"'))
    assert where(result) == [("multipart[0]/multipart[0]", ""), ("multipart[1]", "")]


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def mail(newline: bytes = b"\r\n") -> bytes:
    parts = form(
        ("Content-Type: text/plain\nContent-Transfer-Encoding: quoted-printable", b"Gr=C3=BC=C3=9Fe"),
        ("Content-Type: image/png\nContent-Transfer-Encoding: base64\nContent-ID: <a>", base64.encodebytes(PNG)),
        ("Content-Type: image/gif\nContent-Transfer-Encoding: quoted-printable", quopri.encodestring(BMP)),
        newline=newline,
    )
    head = b"From: a@example.test\nMIME-Version: 1.0\nContent-Type: multipart/related;\n boundary=bnd\n\n"
    return head.replace(b"\n", newline) + parts


def batch() -> bytes:
    http = b"POST /upload HTTP/1.1\r\nContent-Type: image/png\r\n"
    coded = http + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(BMP)
    return form(
        ("Content-Type: application/http\nContent-ID: <1>", http + b"\r\n" + PNG),
        ("Content-Type: application/http", b"HTTP/1.1 200 OK\nContent-Type: application/json\n\n" + MAIL_API.encode()),
        ("Content-Type: application/http\nContent-Transfer-Encoding: binary", coded),
    )


MAIL_API = json.dumps({"raw": base64.urlsafe_b64encode(mail()).decode().rstrip("=")})
DEEP = json.dumps(
    {"a": b64(json.dumps({"b": b64(json.dumps({"c": f"data:image/png;base64,{b64(PNG)}"}).encode())}).encode())}
)
SVG = f"<svg xmlns='http://www.w3.org/2000/svg'><image href='data:image/png;base64,{b64(PNG)}'/></svg>"
INSIDE = {
    "a mail": ("message/rfc822", mail(), [PNG, BMP]),
    "a mail with bare line feeds": ("", mail(b"\n"), [PNG, BMP]),
    "a mail in base64url in JSON": ("application/json", MAIL_API.encode(), [PNG, BMP]),
    "a mail in base64url in a form": ("", b"raw=" + base64.urlsafe_b64encode(mail()) + b"&a=b", [PNG, BMP]),
    "base64 of JSON of base64 of JSON": ("application/json", DEEP.encode(), [PNG]),
    "JSON in JSON in a form": ("", f"payload={quote(json.dumps({'a': DEEP}))}".encode(), [PNG]),
    "base64 of gzip of JSON": ("", json.dumps({"z": b64(gzip.compress(DEEP.encode()))}).encode(), [PNG]),
    "gzip that nothing declares": ("application/octet-stream", gzip.compress(gzip.compress(DEEP.encode())), [PNG]),
    "a batch": ("multipart/mixed; boundary=bnd", batch(), [PNG, BMP]),
    "percent-encoded bytes": ("application/x-www-form-urlencoded", f"f={quote(PNG)}&g=1".encode(), [PNG]),
    "HTML": ("text/html", f'<img src="data:image/bmp;base64,{b64(BMP)}"><img src={SVG!r}>'.encode(), [BMP, PNG]),
    "CSS": ("text/css", f'a{{background:url("data:image/svg+xml,{quote(SVG)}")}}'.encode(), [PNG]),
    "an SVG in base64": (
        "text/css",
        f"a{{background:url(data:image/svg+xml;base64,{b64(SVG.encode())})}}".encode(),
        [PNG],
    ),
    "protobuf": (
        "application/x-protobuf",
        b"\x0a\x04name\x12" + bytes((len(PNG) & 127 | 128, len(PNG) >> 7)) + PNG,
        [PNG],
    ),
    "base64 in protobuf": ("application/x-protobuf", b"\x0a\xb4\x41" + b64(PNG).encode() + b"\x12\x01a", [PNG]),
    "base64 of protobuf": ("", json.dumps({"p": b64(b"\x12\x80\x40" + bytes(4000) + BMP + PNG)}).encode(), [BMP, PNG]),
    "engine.io": ("text/plain", b"4hello\x1eb" + b64(PNG).encode() + b"\x1e2", [PNG]),
}


@pytest.mark.parametrize("how", INSIDE)
def test_pictures_inside_of_other_things(how: str) -> None:
    media_type, body, expected = INSIDE[how]
    result = extract(make_message(body, media_type))
    assert [part.data[: len(image)] for part, image in zip(result.parts, expected, strict=True)] == expected
    assert result.problems == ()


def test_codings_inside_each_other_are_bounded() -> None:
    body = b'{"data": "' + base64.b64encode(PNG) + b'"}'
    for _ in range(9):
        body = b'{"data": "' + base64.b64encode(body) + b'"}'
    assert codes(extract(make_message(body))) == [ErrorCode.OVER_BUDGET]
    assert [part.data for part in extract(make_message(body), Limits(max_nesting=9)).parts] == [PNG]


def test_what_parts_inflate_to_is_one_budget() -> None:
    part = ("Content-Type: text/plain\nContent-Encoding: gzip", gzip.compress(bytes(60_000)))
    result = extract(
        make_message(form(*[part] * 3), "multipart/mixed; boundary=bnd"), Limits(max_inflated_bytes=150_000)
    )
    assert codes(result) == [ErrorCode.OVER_BUDGET]


def framed(data: bytes, flags: int = 0) -> bytes:
    return bytes((flags,)) + len(data).to_bytes(4) + data


def test_grpc_messages() -> None:
    message = b"\x0a" + bytes((len(PNG) & 127 | 128, len(PNG) >> 7)) + PNG
    body = framed(b"") + framed(message) + framed(zlib.compress(BMP), 1) + framed(b"grpc-status:0", 0x80)
    head = make_head(headers=(("content-type", "application/grpc+proto"), ("grpc-encoding", "deflate")))
    result = extract(HttpMessage(head=head, body=body, direction=Direction.OUTBOUND))
    assert [part.data for part in result.parts] == [PNG, BMP]
    assert result.parts[1].locator == "message[2]"


def test_grpc_messages_are_bounded() -> None:
    body = framed(b"") * 20 + framed(PNG)
    result = extract(make_message(body, "application/grpc"), Limits(max_base64_candidates=10))
    assert (result.parts, codes(result)) == ((), [ErrorCode.OVER_BUDGET])


def test_nesting_is_bounded() -> None:
    body = PNG
    for level in range(10):
        kind = f"Content-Type: multipart/mixed; boundary=b{level - 1}" if level else ""
        body = form((kind, body), boundary=f"b{level}")
    result = extract(make_message(body, "multipart/mixed; boundary=b9"))
    assert codes(result) == [ErrorCode.OVER_BUDGET]
    deeper = extract(make_message(body, "multipart/mixed; boundary=b9"), Limits(max_multipart_depth=10))
    assert [part.data for part in deeper.parts] == [PNG]


@pytest.mark.parametrize("declared", ["text/plain", "multipart/form-data", "multipart/form-data; boundary="])
def test_a_form_that_does_not_say_its_boundary(declared: str) -> None:
    body = form(("Content-Disposition: form-data; name=f", PNG))
    assert [part.data for part in extract(make_message(body, declared)).parts] == [PNG]


def test_a_form_without_its_boundary_is_searched_as_text() -> None:
    body = json.dumps({"image": base64.b64encode(PNG).decode()}).encode()
    result = extract(make_message(body, "multipart/form-data; boundary=bnd"))
    assert [part.data for part in result.parts] == [PNG]
    assert codes(result) == [ErrorCode.CORRUPT]


@pytest.mark.parametrize("encoding", [["gzip"], ["identity, gzip"], ["gzip", "identity"]])
def test_codings_are_undone(encoding: list[str]) -> None:
    (part,) = extract(make_message(gzip.compress(PNG), "image/png", encoding)).parts
    assert part.data == PNG


def test_two_field_lines_are_one_list() -> None:
    body = gzip.compress(gzip.compress(PNG))
    assert len(extract(make_message(body, "", ["gzip", "gzip"])).parts) == 1


def test_a_coding_that_was_never_applied() -> None:
    result = extract(make_message(PNG, "image/png", ["gzip"]))
    assert [part.data for part in result.parts] == [PNG]
    assert codes(result) == [ErrorCode.CORRUPT]


def test_an_unknown_coding_is_opaque() -> None:
    assert codes(extract(make_message(b"???", "", ["secret"]))) == [ErrorCode.OPAQUE]


def test_a_bomb_keeps_the_images_before_it() -> None:
    body = form(("", PNG), ("", bytes(1 << 20)))
    result = extract(
        make_message(gzip.compress(body), "multipart/form-data; boundary=bnd", ["gzip"]),
        Limits(max_inflated_bytes=100_000),
    )
    assert [part.data for part in result.parts] == [PNG]
    assert codes(result) == [ErrorCode.OVER_BUDGET]


def test_a_cut_image_over_budget_is_only_a_problem() -> None:
    limits = Limits(max_inflated_bytes=100_000)
    result = extract(make_message(gzip.compress(PNG + bytes(1 << 20)), "image/png", ["gzip"]), limits)
    assert result.parts == ()
    assert codes(result) == [ErrorCode.OVER_BUDGET]


def test_archives_and_documents_are_parts() -> None:
    files = (b"PK\x03\x04\x14\x00\x00\x00", b"%PDF-1.4", gzip.compress(old_tar()))
    result = extract(make_message(form(*(("", file) for file in files)), "multipart/form-data; boundary=bnd"))
    types = [part.media_type for part in result.parts]
    assert types == ["application/zip", "application/pdf", "application/gzip"]
    assert [part.data for part in result.parts] == list(files)
    assert not result.problems


def test_an_archive_that_nobody_opens_is_reported() -> None:
    result = extract(make_message(b"Rar!\x1a\x07\x01\x00" + bytes(64)))
    assert (result.parts, codes(result)) == ((), [ErrorCode.OPAQUE])


def test_an_archive_in_json_is_a_part() -> None:
    archive = b"PK\x03\x04\x14\x00\x00\x00" + bytes(range(256)) * 2
    (part,) = extract(make_message(json.dumps({"file": b64(archive)}).encode(), "application/json")).parts
    assert (part.media_type, part.data) == ("application/zip", archive)


def test_images_are_bounded() -> None:
    body = form(*[("", PNG + bytes([number])) for number in range(70)])
    result = extract(make_message(body, "multipart/form-data; boundary=bnd"))
    assert len(result.parts) == 64
    assert codes(result) == [ErrorCode.OVER_BUDGET]


def test_parts_are_bounded() -> None:
    body = form(*[("", b"x")] * 5, ("", PNG))
    result = extract(make_message(body, "multipart/form-data; boundary=bnd"), Limits(max_multipart_parts=5))
    assert codes(result) == [ErrorCode.OVER_BUDGET]


def test_heads_of_parts_are_bounded() -> None:
    body = form(("A: " + "b" * 9000, PNG))
    assert codes(extract(make_message(body, "multipart/form-data; boundary=bnd"))) == [ErrorCode.OVER_BUDGET]


def test_a_large_body_is_taken_in_many_steps() -> None:
    text = base64.b64encode(PNG + bytes(1 << 20))
    steps = sum(1 for _ in extract_steps(make_message(b'{"i":"' + text + b'"}', "application/json")))
    assert steps >= len(text) // (64 * 1024)

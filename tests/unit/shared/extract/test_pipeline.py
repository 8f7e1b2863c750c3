from __future__ import annotations

import base64
import gzip
import hashlib
import json

import pytest

from shared.errors import ErrorCode
from shared.extract.pipeline import Extraction, Limits, extract, extract_steps
from tests.unit.shared.extract.pictures import BMP, BY_TYPE, JPEG, PNG, form, make_message


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


def test_nesting_is_bounded() -> None:
    body = PNG
    for level in range(6):
        kind = f"Content-Type: multipart/mixed; boundary=b{level - 1}" if level else ""
        body = form((kind, body), boundary=f"b{level}")
    result = extract(make_message(body, "multipart/mixed; boundary=b5"))
    assert codes(result) == [ErrorCode.OVER_BUDGET]
    deeper = extract(make_message(body, "multipart/mixed; boundary=b5"), Limits(max_multipart_depth=6))
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


def test_archives_and_documents_are_reported() -> None:
    body = form(("", b"PK\x03\x04\x14\x00\x01\x00 locked"), ("", b"PK\x03\x04\x14\x00\x00\x00"), ("", b"%PDF-1.4"))
    result = extract(make_message(body, "multipart/form-data; boundary=bnd"))
    assert codes(result) == [ErrorCode.ENCRYPTED, ErrorCode.OPAQUE, ErrorCode.OPAQUE]


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

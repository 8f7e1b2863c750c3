from __future__ import annotations

import pytest

from shared.extract.fields import MAX_BOUNDARY, boundary_of, field_name, file_name, parse_block, parse_value


@pytest.mark.parametrize(
    ("text", "main", "params"),
    [
        ("text/plain", "text/plain", {}),
        (" Text/HTML ; Charset=UTF-8", "text/html", {"charset": "UTF-8"}),
        ('multipart/form-data; boundary="a;b=c"', "multipart/form-data", {"boundary": "a;b=c"}),
        (
            'form-data; name="a\\"b"; filename="C:\\dir\\x.png"',
            "form-data",
            {"name": 'a"b', "filename": "C:\\dir\\x.png"},
        ),
        ('form-data; name="never ends', "form-data", {"name": "never ends"}),
        ("form-data; name=a; name=b", "form-data", {"name": "a"}),
        ("form-data;;; x; =y; z=", "form-data", {"z": ""}),
        ("", "", {}),
    ],
)
def test_values_and_their_parameters(text: str, main: str, params: dict[str, str]) -> None:
    value = parse_value(text)
    assert (value.main, dict(value.params)) == (main, params)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('form-data; filename="plan.png"', "plan.png"),
        ("attachment; filename*=UTF-8''pl%C3%A4ne.png; filename=plane.png", "pläne.png"),
        ("attachment; filename*=iso-8859-1'de'%E4.png", "ä.png"),
        ("attachment; filename*=klingon''x; filename=plain.png", "plain.png"),
        ("attachment; filename*=broken; filename=plain.png", "plain.png"),
        ('attachment; filename="a\x00\x1bb.png"', "ab.png"),
        ("inline", ""),
    ],
)
def test_file_names(text: str, name: str) -> None:
    assert file_name(parse_value(text)) == name


def test_a_field_name_fits_into_a_locator() -> None:
    assert field_name(parse_value('form-data; name="a/b\r\nc"')) == "a_bc"
    assert len(field_name(parse_value(f"form-data; name={'x' * 500}"))) == 64


@pytest.mark.parametrize(
    ("text", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('multipart/related; boundary="a b"', b"a b"),
        ("multipart/form-data", None),
        ("multipart/form-data; boundary=", None),
        (f"multipart/form-data; boundary={'x' * (MAX_BOUNDARY + 1)}", None),
        ("text/plain; boundary=abc", None),
    ],
)
def test_boundaries(text: str, boundary: bytes | None) -> None:
    assert boundary_of(parse_value(text)) == boundary


def test_a_block_of_fields() -> None:
    block = b"Content-Type: image/png\r\nX-Long: a\r\n  b\nno colon\n folded\nContent-Type: text/plain\n\tagain"
    assert parse_block(block) == {"content-type": "image/png", "x-long": "a b"}

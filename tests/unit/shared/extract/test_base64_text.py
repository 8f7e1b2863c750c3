from __future__ import annotations

import base64
import gzip
import json
from collections import deque

import pytest

from shared.errors import ErrorCode
from shared.extract.base64_text import DECODE_WINDOW, ESCAPED_WINDOW, MIN_RUN, SCAN_WINDOW, find_runs, plain, scan
from shared.extract.budget import Extraction, Findings, Limits, Steps
from tests.unit.shared.extract.pictures import BY_TYPE, JPEG, PNG

BIG = PNG + bytes(range(256)) * 1024  # its base64 spans windows of every kind


def found(text: bytes, limits: Limits | None = None) -> Extraction:
    findings = Findings(limits or Limits())
    deque(scan(text, 0, len(text), findings, ""), maxlen=0)
    return findings.result()


def images(text: bytes) -> list[bytes]:
    return [part.data for part in found(text).parts]


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def uri(data: bytes) -> str:
    return f"data:image/png;base64,{b64(data)}"


@pytest.mark.parametrize(("media_type", "data"), BY_TYPE.items())
def test_each_kind_of_picture(media_type: str, data: bytes) -> None:
    (part,) = found(json.dumps({"a": [{"b": b64(data)}]}).encode()).parts
    assert (part.data, part.media_type) == (data, media_type)


WRITTEN = {
    "data uri": uri(BIG),
    "slashes escaped": uri(BIG).replace("/", "\\/"),
    "unicode escapes": uri(BIG).replace("+", "\\u002b").replace("/", "\\u002F").replace("=", "\\u003d"),
    "every character escaped": "".join(f"\\u{ord(char):04x}" for char in b64(BIG)),
    "line ends escaped": "\\n".join(b64(BIG)[at : at + 76] for at in range(0, len(b64(BIG)), 76)),
    "json inside json": json.dumps(json.dumps({"i": uri(BIG).replace("/", "\\/")}))[1:-1],
    "base64url": base64.urlsafe_b64encode(BIG).decode(),
    "base64url without padding": base64.urlsafe_b64encode(BIG).decode().rstrip("="),
}


@pytest.mark.parametrize("how", WRITTEN)
def test_ways_to_write_a_picture_in_json(how: str) -> None:
    text = f'{{"model": "m", "content": [{{"type": "image", "image": "{WRITTEN[how]}"}}, "more"]}}'
    assert images(text.encode()) == [BIG]


def test_form_fields_and_mail_and_xml() -> None:
    escaped = (
        uri(BIG).replace("+", "%2B").replace("/", "%2f").replace(":", "%3A").replace(",", "%2C").replace("=", "%3D")
    )
    mail = "Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(BIG).decode().replace("\n", "\r\n")
    assert images(f"a=1&image={escaped}&b=2".encode()) == [BIG]
    assert images(f"{mail}\r\n--boundary--\r\n".encode()) == [BIG]
    assert images(f"<image>\n{base64.encodebytes(BIG).decode()}</image>".encode()) == [BIG]


@pytest.mark.parametrize("glue", [b"", b"b", b"b4", b"\x12\xb4A", b"abc"])
def test_what_stands_right_before(glue: bytes) -> None:
    assert images(b'"' + glue + b64(BIG).encode()) == [BIG]


def inside(text: bytes) -> list[tuple[bytes, str]]:
    seen: list[tuple[bytes, str]] = []

    def look(data: bytes, locator: str) -> Steps[None]:
        seen.append((data, locator))
        yield

    deque(scan(text, 0, len(text), Findings(Limits()), "", look), maxlen=0)
    return seen


NESTED = json.dumps({"mail": "From: a@example.test" * 20}).encode()


@pytest.mark.parametrize("glue", [b"", b"b", b"b4", b"raw=", b"%22a%22%3A%22"])
@pytest.mark.parametrize("data", [NESTED, NESTED * 500, gzip.compress(bytes(range(256)), mtime=0)])
def test_what_a_run_stands_for_is_looked_into(data: bytes, glue: bytes) -> None:
    for text in (base64.b64encode(data), base64.urlsafe_b64encode(data).rstrip(b"=")):
        assert inside(b'{"raw":"' + glue + text + b'"}') == [(data, f"base64@{8 + len(glue)}/")]


def test_long_binary_is_looked_into() -> None:
    data = bytes(range(256)) * 40
    assert inside(b'"' + base64.b64encode(data) + b'"') == [(data, "base64@1/")]


def test_each_part_of_a_run_is_looked_into() -> None:
    text = base64.b64encode(NESTED).replace(b"=", b"%3D")
    run = b"%22".join([text, b"short", text, b"x" * 200, text])
    assert [data for data, _ in inside(run)] == [NESTED] * 3


def test_keys_and_digests_are_not_looked_into() -> None:
    assert inside(b'"sha512-' + base64.b64encode(bytes(range(150, 214))) + b'"') == []
    assert inside("".join(f"%{byte:02X}" for byte in bytes(range(256)) * 40).encode()) == []
    assert inside(b64(BIG).encode()) == []


def test_several_pictures_in_lines() -> None:
    lines = "".join(json.dumps({"image": uri(data)}) + "\n" for data in (JPEG, PNG, JPEG))
    assert images(lines.encode()) == [JPEG, PNG]


def test_the_locator_is_the_offset() -> None:
    text = ('{"image": "' + b64(PNG)).encode()
    assert found(text).parts[0].locator == "base64@11"


def test_short_strings_and_other_base64_are_nothing() -> None:
    assert images(b64(PNG)[: MIN_RUN - 4].encode()) == []
    assert images(b64(b"%PDF-1.7" + bytes(200)).encode()) == []
    assert images(b"BM" * 200) == []
    assert found(b64(b"\xff\x0a" + bytes(200)).encode()) == Extraction()


@pytest.mark.parametrize("offset", [*range(SCAN_WINDOW - MIN_RUN - 2, SCAN_WINDOW + 2), 2 * SCAN_WINDOW - 10])
def test_runs_are_found_across_windows(offset: int) -> None:
    for length in (MIN_RUN, MIN_RUN + 70, 3 * SCAN_WINDOW):
        text = b" " * offset + b"x" * length + b" ; " + b"y" * (MIN_RUN - 1)
        runs = [run for run in find_runs(text, 0, len(text)) if run is not None]
        assert runs == [(offset, offset + length)]


@pytest.mark.parametrize("shift", range(7))
@pytest.mark.parametrize("window", [DECODE_WINDOW, ESCAPED_WINDOW])
def test_escapes_across_windows(shift: int, window: int) -> None:
    text = b64(BIG)
    cut = window - shift
    escaped = text[:cut] + f"\\u{ord(text[cut]):04x}" + text[cut + 1 :]
    assert images(f'"{escaped}"'.encode()) == [BIG]


def test_images_are_bounded() -> None:
    text = json.dumps([b64(PNG + bytes([number])) for number in range(9)]).encode()
    result = found(text, Limits(max_images=4))
    assert len(result.parts) == 4
    assert [problem.code for problem in result.problems] == [ErrorCode.OVER_BUDGET]


def test_decoded_bytes_are_bounded() -> None:
    result = found(json.dumps([b64(JPEG), b64(BIG)]).encode(), Limits(max_base64_bytes=10_000))
    assert [part.data for part in result.parts] == [JPEG]
    assert [problem.code for problem in result.problems] == [ErrorCode.OVER_BUDGET]


def test_candidates_are_bounded() -> None:
    text = json.dumps([b64(PNG)] + ["A" * MIN_RUN] * 50).encode()
    result = found(text, Limits(max_base64_candidates=20))
    assert [part.data for part in result.parts] == [PNG]
    assert [problem.code for problem in result.problems] == [ErrorCode.OVER_BUDGET]


@pytest.mark.parametrize(
    ("window", "text"),
    [
        (b"ab\\/c", b"ab/c"),
        (b"ab\\\\\\/c\\n\\r\\t", b"ab/c"),
        (b"\\u002b\\u002F%3D", b"+/="),
        (b"-_ =\r\n\"'", b"+/="),
        (b"\\", b""),
        (b"\\u12", b"u12"),
        (b"%zz", b"zz"),
    ],
)
def test_plain(window: bytes, text: bytes) -> None:
    assert plain(window) == text

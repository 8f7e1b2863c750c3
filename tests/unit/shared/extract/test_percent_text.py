from __future__ import annotations

from collections import deque
from urllib.parse import quote_from_bytes

import pytest

from shared.errors import ErrorCode
from shared.extract.budget import Extraction, Findings, Limits
from shared.extract.percent_text import DECODE_WINDOW, scan
from tests.unit.shared.extract.pictures import GIF, JPEG, PNG, WEBP

BIG = PNG + bytes(range(256)) * 200


def found(text: bytes, limits: Limits | None = None, *, is_form: bool = False) -> Extraction:
    findings = Findings(limits or Limits())
    deque(scan(text, 0, len(text), findings, "", is_form=is_form), maxlen=0)
    return findings.result()


def images(text: bytes, *, is_form: bool = False) -> list[bytes]:
    return [part.data for part in found(text, is_form=is_form).parts]


@pytest.mark.parametrize("data", [PNG, JPEG, GIF, WEBP, BIG])
def test_form_fields(data: bytes) -> None:
    safe = quote_from_bytes(data, safe="'()*!~").replace("%20", "+")
    everything = "".join(f"%{byte:02x}" for byte in data)
    for written in (safe, safe.replace("+", "%20"), everything, everything.upper()):
        assert images(f"title=a+b&file={written}&more=1".encode(), is_form=True) == [data]


def test_data_uris_in_css() -> None:
    css = f"a{{background:url(data:image/png,{quote_from_bytes(PNG)})}} b{{c:url('data:,{quote_from_bytes(JPEG)}')}}"
    assert images(css.encode()) == [PNG, JPEG]


def test_a_drawing_is_no_picture() -> None:
    assert images(b"url(data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'%3E%3C/svg%3E)") == []
    assert images(b"RIFF GIF89a 100 % " * 20) == []


@pytest.mark.parametrize("shift", range(4))
def test_escapes_across_windows(shift: int) -> None:
    data = JPEG + b"x" * (DECODE_WINDOW - len(quote_from_bytes(JPEG)) - 3 + shift) + b"\xfe" * 100
    assert images(f"f={quote_from_bytes(data)}".encode()) == [data]


def test_decoded_bytes_are_bounded() -> None:
    result = found(f"f={quote_from_bytes(BIG)}".encode(), Limits(max_embedded_bytes=1000))
    assert result.parts == ()
    assert [problem.code for problem in result.problems] == [ErrorCode.OVER_BUDGET]

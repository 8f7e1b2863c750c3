from __future__ import annotations

import pytest

from shared.errors import ErrorCode
from shared.extract.budget import Limits
from shared.extract.multipart import HITS_PER_STEP, Multipart, guess_boundary, split
from tests.unit.shared.extract.pictures import JPEG, PNG, form


def parts_of(body: bytes, boundary: bytes = b"bnd", limits: Limits | None = None) -> Multipart:
    steps = split(body, 0, len(body), boundary, limits or Limits())
    while True:
        try:
            next(steps)
        except StopIteration as done:
            found = done.value
            assert isinstance(found, Multipart)
            return found


def contents(body: bytes, boundary: bytes = b"bnd") -> list[bytes]:
    return [body[part.start : part.end] for part in parts_of(body, boundary).parts]


@pytest.mark.parametrize("newline", [b"\r\n", b"\n"])
@pytest.mark.parametrize("close", [True, False])
def test_parts_come_back_as_they_are(newline: bytes, close: bool) -> None:
    body = form(("A: b", JPEG), ("", PNG + b"\r"), ("C: d\nE: f", b""), newline=newline, close=close)
    found = parts_of(body)
    assert contents(body) == [JPEG, PNG + b"\r", b""]
    assert [dict(part.headers) for part in found.parts] == [{"a": "b"}, {}, {"c": "d", "e": "f"}]
    assert found.problem is None


def test_preamble_and_epilogue_are_no_parts() -> None:
    body = b"preamble\r\n--bndX\r\n" + form(("", b"one")) + b"epilogue\r\n--bnd\r\n\r\nhidden"
    assert contents(body) == [b"one"]


def test_a_boundary_inside_a_line_or_with_a_tail_is_content() -> None:
    content = b"x--bnd\r\n--bndage\r\n--bn"
    assert contents(form(("", content))) == [content]


def test_blanks_after_the_boundary() -> None:
    assert contents(b"--bnd \t\r\n\r\none\r\n--bnd-- \r\n") == [b"one"]


def test_a_body_without_its_boundary_is_a_problem() -> None:
    found = parts_of(b"nothing of the kind")
    assert (found.parts, found.problem and found.problem[0]) == ((), ErrorCode.CORRUPT)


def test_parts_are_bounded() -> None:
    body = form(*[("", b"%d" % number) for number in range(9)])
    found = parts_of(body, limits=Limits(max_multipart_parts=4))
    assert len(found.parts) == 4
    assert found.problem
    assert found.problem[0] is ErrorCode.OVER_BUDGET
    assert body[found.rest :].startswith(b"\r\n4\r\n")


def test_a_head_without_end_makes_all_of_it_content() -> None:
    body = form(("", b"")).replace(b"\r\n\r\n", b"\r\nA: b")
    assert contents(body) == [b"A: b"]


def test_heads_are_bounded() -> None:
    body = form(("A: " + "b" * 100, JPEG))
    (part,) = parts_of(body, limits=Limits(max_header_bytes=50)).parts
    assert part.oversized_head
    assert not parts_of(body).parts[0].oversized_head


def test_false_delimiters_pause() -> None:
    body = b"--bnd\n\n" + b"\n--bndX" * (4 * HITS_PER_STEP)
    assert len(list(split(body, 0, len(body), b"bnd", Limits()))) >= 4


@pytest.mark.parametrize(
    ("body", "boundary"),
    [
        (form(("Content-Disposition: form-data", b"x"), boundary="gu ess"), b"gu ess"),
        (form(("content-type: image/png", b"x"), newline=b"\n"), b"bnd"),
        (b"--bnd\r\n\r\nx", None),
        (b"--\nContent-Type: text/plain", None),
        (b"text", None),
        (b"", None),
    ],
)
def test_guessing_the_boundary(body: bytes, boundary: bytes | None) -> None:
    assert guess_boundary(body, 0, len(body)) == boundary

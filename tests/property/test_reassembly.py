"""Any split of an object into parts, in any order, with any repetition and overlap, gives the same object."""

from __future__ import annotations

import hashlib
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ExtractionError
from shared.extract.reassembly import Parts, Piece, SpoolLimits, join, readings, variants
from tests.unit.shared.extract.pictures import run

LIMITS = SpoolLimits(max_bytes=400, max_pieces=40)


def piece(key: int, body: bytes, offset: int | None, number: str = "") -> Piece:
    return Piece(key=str(key), size=len(body), sha256=hashlib.sha256(body).hexdigest(), offset=offset, number=number)


def collect(pieces: list[tuple[bytes, int | None, str]], total: int | None) -> tuple[Parts, dict[str, bytes]]:
    parts, data = Parts(total=total), {}
    for key, (body, offset, number) in enumerate(pieces):
        parts = parts.with_piece(piece(key, body, offset, number), LIMITS)
        data[str(key)] = body
    return parts, data


@st.composite
def uploads(draw: st.DrawFn) -> tuple[bytes, list[tuple[int, int]]]:
    """An object and the ranges that cover it, with others of it, in any order."""
    whole = draw(st.binary(min_size=1, max_size=60))
    cuts = draw(st.sets(st.integers(0, len(whole)), max_size=6)) | {0, len(whole)}
    ranges = list(pairwise(sorted(cuts)))
    more = draw(st.lists(st.tuples(st.integers(0, len(whole)), st.integers(0, len(whole))), max_size=6))
    return whole, draw(st.permutations([*ranges, *((min(pair), max(pair)) for pair in more)]))


@given(uploads(), st.booleans())
def test_ranges(upload: tuple[bytes, list[tuple[int, int]]], total_known: bool) -> None:
    whole, ranges = upload
    total = len(whole) if total_known else None
    parts, data = collect([(whole[start:end], start, "") for start, end in ranges], total)
    layout = run(readings(run(parts.layout()), data))
    assert [run(join(each, data)) for each in variants(layout)] == [whole]
    assert (layout.missing, layout.ambiguous, parts.is_complete) == (0, False, total_known)


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=8), st.data())
def test_numbers(pieces: list[bytes], data: st.DataObject) -> None:
    numbered = [(body, None, str(at)) for at, body in enumerate(pieces)]
    again = data.draw(st.lists(st.sampled_from(numbered), max_size=4))
    parts, bodies = collect(data.draw(st.permutations([*numbered, *again])), sum(map(len, pieces)))
    layout = run(readings(run(parts.layout()), bodies))
    assert [run(join(each, bodies)) for each in variants(layout)] == [b"".join(pieces)]
    assert parts.is_complete
    wanted = data.draw(st.lists(st.integers(0, len(pieces) - 1), min_size=1, unique=True))
    ordered = run(readings(run(parts.layout([str(at) for at in wanted])), bodies))
    assert [run(join(each, bodies)) for each in variants(ordered)] == [b"".join(pieces[at] for at in wanted)]


@given(
    st.lists(
        st.tuples(st.binary(max_size=20), st.none() | st.integers(0, 30), st.sampled_from(["", "1", "2", "x"])),
        max_size=12,
    ),
    st.none() | st.integers(0, 60),
    st.lists(st.sampled_from(["1", "2", "x", "9"]), max_size=3),
)
def test_any_parts_give_readings_or_a_named_error(
    pieces: list[tuple[bytes, int | None, str]], total: int | None, order: list[str]
) -> None:
    try:
        parts, data = collect(pieces, total)
    except ExtractionError:
        return
    layout = run(readings(run(parts.layout(order)), data))
    read = [run(join(each, data)) for each in variants(layout)]
    assert 1 <= len(read) <= 8
    if parts.is_complete and not order and all(offset is not None for _, offset, _ in pieces):
        assert layout.missing == 0


@given(st.binary(min_size=1, max_size=60), st.data())
def test_what_the_origin_may_hold_is_among_the_readings(whole: bytes, data: st.DataObject) -> None:
    """However an origin resolves one overlap with other bytes, that reading is looked into."""
    start = data.draw(st.integers(0, len(whole) - 1))
    other = data.draw(st.binary(min_size=1, max_size=len(whole) - start))
    pieces = [(whole, 0, ""), (other, start, "")]
    parts, bodies = collect(data.draw(st.permutations(pieces)), len(whole))
    layout = run(readings(run(parts.layout()), bodies))
    read = [run(join(each, bodies)) for each in variants(layout)]
    assert whole in read
    assert whole[:start] + other + whole[start + len(other) :] in read

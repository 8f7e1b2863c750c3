"""What whole uploads come to is in ``test_split_pictures``; here is where single pieces are looked for."""

from __future__ import annotations

import base64

import pytest

from shared.extract.budget import finished
from shared.extract.text_pieces import MAX_RUNS, Piece, Place, pieces_at, pieces_in
from tests.unit.shared.extract.pictures import PNG

BEGINNING = base64.b64encode(PNG[:60] + bytes(60))
MIDDLE = base64.b64encode(bytes(range(120)))


def found(data: bytes) -> list[tuple[bytes, bytes]]:
    return [(each.place.before, data[each.start : each.end]) for each in finished(pieces_in(data))]


@pytest.mark.parametrize(
    ("before", "place"),
    [
        (b'{"a":1,"data": "', b'"data": "'),
        (b'{"data":"data:image\\/png;base64,', b'"data":"'),
        (b'["chunk","', b'"chunk","'),
        (b'{\\"data\\":\\"', b'\\"data\\":\\"'),
        (b"<a><b>", b"<b>"),
        (b"hello\ndata: ", b"data: "),
        (b"chunk 17 of 20: ", b"chunk 0 of 0: "),
        (b"", b""),
    ],
)
def test_the_place_of_a_beginning(before: bytes, place: bytes) -> None:
    assert found(before + BEGINNING + b'"') == [(place, BEGINNING)]


def test_a_place_that_nothing_tells() -> None:
    assert found(b"x " * 40 + BEGINNING) == []


def test_a_middle_counts_where_it_has_a_number() -> None:
    assert found(b'{"seq":3,"data":"' + MIDDLE + b'"}') == [(b'"data":"', MIDDLE)]
    assert found(b'{"key":"' + MIDDLE + b'"}') == []


def test_what_is_looked_at_is_bounded() -> None:
    data = b",".join([b'{"seq":3,"data":"' + MIDDLE + b'"}'] * (MAX_RUNS + 5))
    assert len(found(data)) == MAX_RUNS


@pytest.mark.parametrize(
    ("data", "owner", "counts"),
    [
        (b'{"fileId":"a","n":1,"d":"%b","last":true}', {(b"fileId", b"a")}, {b"n": 1}),
        (b'{"d":"%b","index":"12","meta":{"upload":7}}', {(b"upload", b"7")}, {b"index": 12}),
        (b'{"n":1,"d":"%b"},{"n":2,"d":"' + MIDDLE + b'"}', set(), {b"n": 1}),
        (b'{"n":1,"d":"' + MIDDLE + b'"},{"n":2,"d":"%b"}', set(), {b"n": 2}),
        (b'{"total":9,"size":4,"d":"%b"}', set(), {}),
    ],
)
def test_what_stands_around_a_piece(data: bytes, owner: set[tuple[bytes, bytes]], counts: dict[bytes, int]) -> None:
    whole = data % BEGINNING
    start = whole.index(BEGINNING)
    piece = Piece(data=whole, start=start, end=start + len(BEGINNING), place=Place(before=b'"d":"'))
    assert piece.members() == (frozenset(owner), counts)


def test_a_place_is_found_again_however_little_stands_there() -> None:
    data = b'{"d":"abc="} {"d":""} {"e":"xyz"} {"d":"data:image/png;base64,' + BEGINNING + b'"}'
    pieces = finished(pieces_at(data, Place(before=b'"d":"')))
    assert [data[each.start : each.end] for each in pieces] == [b"abc=", b"", BEGINNING]
    assert [each.media_type for each in pieces] == ["", "", "image/png"]


def test_a_line_may_have_another_number() -> None:
    data = b"part 12/13: abcd\npart 13/13: efgh\n part 1/2: no"
    pieces = finished(pieces_at(data, Place(before=b"part 0/0: ", line=True)))
    assert [data[each.start : each.end] for each in pieces] == [b"abcd", b"efgh"]

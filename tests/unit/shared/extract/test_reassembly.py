from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest

from shared.errors import ErrorCode, ExtractionError
from shared.extract.budget import WINDOW
from shared.extract.reassembly import (
    MAX_LAYERS,
    MAX_VARIANTS,
    Parts,
    Piece,
    SpoolLimits,
    join,
    readings,
    variants,
)
from tests.unit.shared.extract.pictures import run

LIMITS = SpoolLimits(max_bytes=1 << 20)


class Upload:
    """Parts and their bytes."""

    def __init__(self, total: int | None = None, limits: SpoolLimits = LIMITS) -> None:
        self.parts = Parts(total=total)
        self.data: dict[str, bytes] = {}
        self._limits = limits

    def put(self, body: bytes, offset: int | None = None, number: str = "") -> Upload:
        key = f"k{len(self.data)}"
        self.data[key] = body
        piece = Piece(key=key, size=len(body), sha256=hashlib.sha256(body).hexdigest(), offset=offset, number=number)
        self.parts = self.parts.with_piece(piece, self._limits)
        return self

    def read(self, order: Sequence[str] = ()) -> tuple[list[bytes], int, bool]:
        layout = run(readings(run(self.parts.layout(order)), self.data))
        return [run(join(each, self.data)) for each in variants(layout)], layout.missing, layout.ambiguous


def test_parts_in_any_order_repeated_and_overlapping() -> None:
    upload = Upload(total=10).put(b"6789", 6).put(b"0123", 0).put(b"0123", 0)
    assert (upload.parts.is_complete, len(upload.parts.pieces)) == (False, 2)
    assert upload.read() == ([b"01236789"], 2, False)
    assert upload.put(b"234567", 2).parts.is_complete
    assert upload.read() == ([b"0123456789"], 0, False)


def test_holes_are_counted_at_the_start_and_at_the_end() -> None:
    assert Upload(total=9).put(b"345", 3).read() == ([b"345"], 6, False)
    assert Upload(total=5).read() == ([b""], 5, False)
    assert Upload().read() == ([b""], 0, False)


def test_bytes_whose_place_nobody_says_are_the_first() -> None:
    assert Upload().put(b"abc").read() == ([b"abc"], 0, False)


def test_without_a_size_nothing_is_complete() -> None:
    assert not Upload().put(b"abc", 0).parts.is_complete
    assert Upload(total=0).parts.is_complete


def test_where_parts_differ_every_reading_is_given() -> None:
    upload = Upload(total=6).put(b"abcd", 0).put(b"XYef", 2)
    assert upload.read() == ([b"abcdef", b"abXYef"], 0, False)
    upload.put(b"?", 5)
    assert sorted(upload.read()[0]) == [b"abXYe?", b"abXYef", b"abcde?", b"abcdef"]


def test_parts_by_number_in_the_order_of_the_commit() -> None:
    upload = Upload().put(b"B", number="2").put(b"J", number="10").put(b"A", number="1")
    assert upload.read() == ([b"ABJ"], 0, False)
    assert upload.read(["10", "1"]) == ([b"JA"], 0, False)
    assert upload.read(["1", "3"]) == ([b"A"], 1, False)
    assert sorted(upload.put(b"a", number="1").read(["1", "2"])[0]) == [b"AB", b"aB"]


def test_ids_that_are_no_numbers_stand_in_order_of_arrival() -> None:
    assert Upload().put(b"one", number="zz").put(b"two", number="aa").read() == ([b"onetwo"], 0, False)


def test_numbered_parts_are_complete_by_their_sizes() -> None:
    upload = Upload(total=5).put(b"ab", number="1").put(b"ax", number="1")
    assert (upload.parts.is_complete, len(upload.parts.pieces)) == (False, 2)
    assert upload.put(b"cde", number="2").parts.is_complete


def test_too_many_readings_are_told_and_the_outermost_given() -> None:
    upload = Upload()
    for number in "1234":
        upload.put(b"a", number=number).put(b"b", number=number)
    read, missing, ambiguous = upload.read()
    assert (read, missing, ambiguous) == ([b"aaaa", b"bbbb"], 0, True)
    assert 2**3 <= MAX_VARIANTS < 2**4


@pytest.mark.parametrize("numbered", [False, True])
def test_layers_are_bounded(numbered: bool) -> None:
    upload = Upload()
    for at in range(MAX_LAYERS + 1):
        upload.put(bytes([65 + at]), None if numbered else 0, "1" if numbered else "")
    read, _, ambiguous = upload.read()
    assert read == [bytes([65 + at]) for at in (0, 1, 2, 3, 5, 6, 7, 8)]
    assert ambiguous


@pytest.mark.parametrize(
    ("body", "offset", "limits"),
    [
        (b"12345", 0, SpoolLimits(max_bytes=4)),
        (b"1", 4, SpoolLimits(max_bytes=4)),
        (b"1", 0, SpoolLimits(max_bytes=4, max_pieces=0)),
    ],
)
def test_over_the_budget(body: bytes, offset: int, limits: SpoolLimits) -> None:
    with pytest.raises(ExtractionError) as error:
        Upload(limits=limits).put(body, offset)
    assert error.value.code is ErrorCode.OVER_BUDGET


def test_large_objects_are_joined_in_steps() -> None:
    upload = Upload().put(bytes(3 * WINDOW), 0)
    (slices,) = variants(run(upload.parts.layout()))
    assert len(list(join(slices, upload.data))) == 3

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.extract.protobuf import MAX_DEPTH, path_to, values_at

# 1: "abc", 2: 300, 3: { 5: "xyz", 6: fixed32 }, 3: { 5: "later" }, 4: fixed64
MESSAGE = b"\x0a\x03abc\x10\xac\x02\x1a\x0a\x2a\x03xyz\x35\x01\x02\x03\x04\x1a\x07\x2a\x05later\x21" + bytes(8)


@pytest.mark.parametrize(("value", "path"), [(b"abc", (1,)), (b"xyz", (3, 5)), (b"later", (3, 5))])
def test_the_path_of_a_value(value: bytes, path: tuple[int, ...]) -> None:
    assert path_to(MESSAGE, MESSAGE.index(value)) == path


def test_what_begins_within_a_value_has_none() -> None:
    assert path_to(MESSAGE, MESSAGE.index(b"bc")) is None
    assert path_to(MESSAGE, len(MESSAGE) - 2) is None
    assert path_to(b"\x0a\xff\x01short", 3) is None


def test_the_values_of_a_path() -> None:
    assert [MESSAGE[start:end] for start, end in values_at(MESSAGE, (3, 5))] == [b"xyz", b"later"]
    assert values_at(MESSAGE, (7,)) == []


def test_nesting_is_bounded() -> None:
    data = b"x"
    for _ in range(MAX_DEPTH):
        data = b"\x0a" + bytes((len(data),)) + data
    assert path_to(data, len(data) - 1) == (1,) * MAX_DEPTH
    assert path_to(b"\x0a" + bytes((len(data),)) + data, len(data) + 1) is None


@given(st.binary(max_size=60), st.integers(0, 60), st.lists(st.integers(0, 20), max_size=4))
def test_any_bytes_have_paths_and_values_or_none(data: bytes, at: int, path: list[int]) -> None:
    known = path_to(data, at)
    if known is not None:
        assert at in [start for start, _ in values_at(data, known)]
    assert all(0 <= start <= end <= len(data) for start, end in values_at(data, tuple(path)))

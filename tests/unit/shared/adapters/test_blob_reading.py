"""Blobs by name from a function that knows them; the stores' own contract has the rest."""

from __future__ import annotations

import threading

import pytest

from shared.adapters.blob_reading import AT_ONCE, all_of, check_size, read_each
from shared.errors import StoreError

BLOBS = {f"part/{number}": bytes([number]) * number for number in range(20)}


async def get(name: str) -> bytes | None:
    return BLOBS.get(name)


async def test_each_blob_is_taken_once_in_a_thread() -> None:
    taken: list[tuple[int, bytes]] = []
    threads: set[int] = set()

    def take(place: int, data: memoryview) -> None:
        taken.append((place, bytes(data)))
        threads.add(threading.get_ident())

    assert await read_each(get, list(BLOBS), 20, take)
    assert sorted(taken) == list(enumerate(BLOBS.values()))
    assert threading.get_ident() not in threads


@pytest.mark.parametrize("place", [0, 7, 19])
async def test_one_that_is_gone_ends_it(place: int) -> None:
    names = [name if number != place else "gone" for number, name in enumerate(BLOBS)]
    taken: list[int] = []
    assert not await read_each(get, names, 20, lambda number, _: taken.append(number))
    assert place not in taken


async def test_one_that_is_too_large_is_an_error() -> None:
    with pytest.raises(StoreError, match="19 bytes, more than the 18"):
        await read_each(get, list(BLOBS), 18, lambda *_: None)
    check_size("part", 18, 18)


async def test_where_one_fails_the_others_end_and_its_error_is_the_error() -> None:
    ended: list[int] = []

    async def work(number: int) -> int:
        if number == AT_ONCE:
            raise StoreError("away")
        ended.append(number)
        return number

    assert await all_of(work(number) for number in range(AT_ONCE)) == [0, 1, 2]
    with pytest.raises(StoreError, match="away"):
        await all_of(work(number) for number in range(AT_ONCE + 1))
    assert ended == [0, 1, 2, 0, 1, 2]

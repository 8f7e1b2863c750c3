"""What every store does: inherit, and supply the fixtures ``store`` and ``other`` (the same data, another client)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from shared.errors import IntegrityError, StoreError
from shared.ports import Store

BRIEFLY = 1.0  # to live for whom the test expires: a machine with much to do takes a while to look
AT_ONCE = 10.0  # told from a wait of LONG, not from a slow machine
LONG = 60.0


async def until_gone(look: Callable[[], Awaitable[object]]) -> None:
    """Wait for what expires."""
    async with asyncio.timeout(LONG):
        while await look() is not None:  # noqa: ASYNC110 - a store has no event for it
            await asyncio.sleep(0.05)


class StoreContract:
    """Each test runs on an empty store."""

    cancellations = 300

    async def test_a_key_that_was_never_written_is_none(self, store: Store) -> None:
        assert await store.get("absent") is None

    async def test_versions_count_the_writes(self, store: Store) -> None:
        assert await store.compare_and_set("key", None, b"one") == 1
        assert await store.compare_and_set("key", 1, b"two") == 2
        value = await store.get("key")
        assert value is not None
        assert (value.value, value.version) == (b"two", 2)

    async def test_binary_and_empty_values_come_back_as_they_were(self, store: Store) -> None:
        for number, value in enumerate((b"", bytes(range(256)), "é\n\0".encode())):
            await store.compare_and_set(f"key/{number}", None, value)
            got = await store.get(f"key/{number}")
            assert got is not None
            assert got.value == value

    async def test_a_write_at_another_version_changes_nothing(self, store: Store, other: Store) -> None:
        await store.compare_and_set("key", None, b"one")
        assert await other.compare_and_set("key", None, b"no") is None
        assert await other.compare_and_set("key", 7, b"no") is None
        assert await other.compare_and_set("absent", 1, b"no") is None
        value = await other.get("key")
        assert value is not None
        assert (value.value, value.version) == (b"one", 1)

    async def test_of_twenty_writers_exactly_one_wins_each_version(self, store: Store, other: Store) -> None:
        expected: int | None = None
        for _ in range(3):
            writers = [
                client.compare_and_set("race", expected, f"{number}".encode())
                for number, client in enumerate([store, other] * 10)
            ]
            winners = [version for version in await asyncio.gather(*writers) if version is not None]
            assert winners == [(expected or 0) + 1]
            expected = winners[0]

    async def test_a_key_expires(self, store: Store) -> None:
        await store.compare_and_set("lease", None, b"held", ttl=BRIEFLY)
        assert await store.get("lease") is not None
        await until_gone(lambda: store.get("lease"))
        assert await store.compare_and_set("lease", 1, b"renewed too late", ttl=5) is None

    async def test_a_write_without_ttl_clears_an_earlier_one(self, store: Store) -> None:
        await store.compare_and_set("key", None, b"short", ttl=BRIEFLY)
        assert await store.compare_and_set("key", 1, b"for ever") == 2
        await asyncio.sleep(BRIEFLY + 0.1)
        assert await store.get("key") is not None

    async def test_a_version_never_comes_back(self, store: Store) -> None:
        first = await store.compare_and_set("lease", None, b"a", ttl=0.2)
        await asyncio.sleep(0.3)
        second = await store.compare_and_set("lease", None, b"b", ttl=5)
        assert second is not None
        assert await store.compare_and_set("lease", first, b"a again") is None
        assert await store.delete("lease")
        assert await store.compare_and_set("lease", None, b"c") not in (None, first, second)

    async def test_delete_tells_whether_the_key_was_there(self, store: Store) -> None:
        await store.compare_and_set("key", None, b"one")
        assert not await store.delete("key", expected=9)
        assert await store.delete("key", expected=1)
        assert not await store.delete("key")
        assert await store.get("key") is None

    async def test_a_blob_of_5_mib_comes_back_whole(self, store: Store, other: Store) -> None:
        data = bytes(range(256)) * (5 * 4096)
        await store.put_blob("snapshot", data)
        assert await other.get_blob("snapshot") == data

    async def test_blobs_are_handed_over_whole_by_their_place(self, store: Store, other: Store) -> None:
        blobs = [bytes([number]) * size for number, size in enumerate((5 << 20, 0, 1, 3 << 20, 600 << 10, 7))]
        for number, data in enumerate(blobs):
            await store.put_blob(f"part/{number}", data)
        names = [f"part/{number}" for number in range(len(blobs))]
        taken: dict[int, bytes] = {}
        assert await other.read_blobs(names, 5 << 20, lambda place, data: taken.update({place: bytes(data)}))
        assert [taken[place] for place in range(len(blobs))] == blobs
        assert await other.read_blobs([], 1, lambda *_: None)

    async def test_where_one_blob_is_not_there_or_too_large_reading_says_so(self, store: Store, other: Store) -> None:
        await store.put_blob("part", bytes(1000))
        assert not await other.read_blobs(["part", "absent", "part"], 1000, lambda *_: None)
        with pytest.raises(StoreError, match="more than"):
            await other.read_blobs(["part"], 999, lambda *_: None)

    async def test_what_goes_wrong_with_a_blob_ends_the_reading(self, store: Store, other: Store) -> None:
        await store.put_blob("part", bytes(1000))
        taken: list[int] = []

        def refuse(place: int, _: memoryview) -> None:
            taken.append(place)
            raise IntegrityError("no")

        with pytest.raises(IntegrityError, match="no"):
            await other.read_blobs(["part"] * 100, 1000, refuse)
        assert 0 < len(taken) < 100

    async def test_an_empty_blob_is_a_blob(self, store: Store) -> None:
        await store.put_blob("empty", b"")
        assert await store.get_blob("empty") == b""
        assert await store.get_blob("absent") is None

    async def test_a_blob_replaced_while_it_is_read_is_one_or_the_other(self, store: Store, other: Store) -> None:
        versions = [bytes([number]) * (2 << 20) for number in range(4)]
        await store.put_blob("blob", versions[0])
        stop = asyncio.Event()

        async def replace() -> None:
            for version in versions[1:]:
                await store.put_blob("blob", version)
            stop.set()

        replacing = asyncio.get_running_loop().create_task(replace())
        reads = 0
        while not stop.is_set():
            assert await other.get_blob("blob") in versions
            reads += 1
        await replacing
        assert reads > 0
        assert await other.get_blob("blob") == versions[-1]

    async def test_a_blob_expires_and_can_be_deleted(self, store: Store) -> None:
        await store.put_blob("claim", b"image", ttl=BRIEFLY)
        assert await store.get_blob("claim") == b"image"
        await until_gone(lambda: store.get_blob("claim"))
        await store.put_blob("claim", b"image")
        await store.delete_blob("claim")
        await store.delete_blob("claim")
        assert await store.get_blob("claim") is None

    async def test_positions_start_at_1_and_go_on(self, store: Store) -> None:
        assert await store.last_position("log") == 0
        assert await store.append("log", [b"a"]) == 1
        assert await store.append("log", [b"b", b"c"]) == 3
        assert await store.append("elsewhere", [b"x"]) == 1
        entries = await store.read("log", 1, 10)
        assert [(entry.position, entry.value) for entry in entries] == [(2, b"b"), (3, b"c")]
        assert len(await store.read("log", 0, 2)) == 2
        assert await store.read("log", 3, 10) == ()

    async def test_appending_nothing_changes_nothing(self, store: Store) -> None:
        await store.append("log", [b"a"])
        assert await store.append("log", []) == 1
        assert await store.last_position("log") == 1

    async def test_concurrent_appenders_leave_no_hole_and_keep_each_batch_together(
        self, store: Store, other: Store
    ) -> None:
        async def append(client: Store, writer: int) -> None:
            for batch in range(10):
                await client.append("log", [b"%d %d %d" % (writer, batch, item) for item in range(3)])

        await asyncio.gather(*(append(client, number) for number, client in enumerate([store, other] * 2)))
        entries = await store.read("log", 0, 1000)
        assert [entry.position for entry in entries] == list(range(1, 121))
        values = [entry.value.split() for entry in entries]
        for start in range(0, 120, 3):
            batch = values[start : start + 3]
            assert len({(writer, number) for writer, number, _ in batch}) == 1
            assert [item for _, _, item in batch] == [b"0", b"1", b"2"]

    async def test_an_append_wakes_who_waits(self, store: Store, other: Store) -> None:
        await store.append("log", [b"old"])
        waiting = asyncio.get_running_loop().create_task(other.wait("log", 1, LONG))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        await store.append("log", [b"new"])
        began = time.monotonic()
        assert await waiting
        assert time.monotonic() - began < AT_ONCE

    async def test_wait_ends_at_once_or_in_time(self, store: Store) -> None:
        began = time.monotonic()
        assert not await store.wait("log", 0, 0.3)
        assert 0.25 < time.monotonic() - began < AT_ONCE
        await store.append("log", [b"a"])
        assert await store.wait("log", 0, LONG)
        assert not await store.wait("log", 1, 0)

    async def test_a_wait_that_is_cancelled_leaves_the_store_in_order(self, store: Store) -> None:
        waiting = asyncio.get_running_loop().create_task(store.wait("log", 0, 30))
        await asyncio.sleep(0.1)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert await store.append("log", [b"a"]) == 1
        assert await store.wait("log", 0, LONG)

    async def test_truncation_shows_as_a_gap_and_positions_go_on(self, store: Store) -> None:
        await store.append("log", [b"%d" % number for number in range(1, 6)])
        await store.truncate("log", 3)
        assert [entry.position for entry in await store.read("log", 0, 10)] == [4, 5]
        await store.truncate("log", 5)
        assert await store.read("log", 0, 10) == ()
        assert await store.last_position("log") == 5
        assert not await store.wait("log", 5, 0.1)
        assert await store.append("log", [b"6"]) == 6
        assert [entry.position for entry in await store.read("log", 0, 10)] == [6]

    async def test_calls_cancelled_in_flight_never_give_one_key_anothers_value(self, store: Store) -> None:
        for number in range(20):
            await store.compare_and_set(f"key/{number}", None, b"%d" % number)
        loop = asyncio.get_running_loop()
        for turn in range(self.cancellations):
            task = loop.create_task(store.get(f"key/{turn % 20}"))
            for _ in range(turn % 7):
                await asyncio.sleep(0)
            task.cancel()
            number = (turn * 7 + 3) % 20
            value = await store.get(f"key/{number}")
            assert value is not None
            assert value.value == b"%d" % number
            await asyncio.gather(task, return_exceptions=True)

    async def test_stop_is_idempotent(self, store: Store) -> None:
        await store.stop()
        await store.stop()

import asyncio

import pytest

from shared.errors import IntegrityError
from tests.memory_store import MemoryStore
from workers.index.pending_parts import PENDING_KEY, SETTLED_SECONDS, Pending, PendingParts


def pending(blob: str, *, encoder: str = "a", at: float = 0.0) -> Pending:
    return Pending(encoder=encoder, blob=blob, parts=3, at=at)


async def orphans(parts: PendingParts, *published: str, now: float = 0.0) -> list[str]:
    return [each.blob for each in await parts.orphans("a", published, now)]


async def test_what_was_announced_and_never_published_is_an_orphan_of_its_encoder() -> None:
    parts = PendingParts(MemoryStore())
    assert await orphans(parts) == []
    await parts.announce(pending("x"), pending("y"), pending("z", encoder="b"))
    assert await orphans(parts, "y") == ["x"]
    await parts.forget({"x"})
    assert await orphans(parts) == ["y"]


async def test_a_settled_snapshot_is_one_only_after_a_while() -> None:
    parts = PendingParts(MemoryStore())
    await parts.announce(pending("x"))
    assert await parts.settle("x")
    assert await orphans(parts, now=SETTLED_SECONDS) == []
    assert await orphans(parts, now=SETTLED_SECONDS + 1) == ["x"]


async def test_what_was_deleted_meanwhile_cannot_be_settled() -> None:
    parts = PendingParts(MemoryStore())
    await parts.announce(pending("x"))
    await parts.forget({"x"})
    assert not await parts.settle("x")


async def test_announcing_again_replaces() -> None:
    parts = PendingParts(MemoryStore())
    await parts.announce(pending("x"))
    await parts.announce(pending("x", at=7.0))
    assert [each.at for each in await parts.orphans("a", (), 0.0)] == [7.0]


async def test_writers_at_once_lose_nothing() -> None:
    store = MemoryStore()
    await asyncio.gather(*(PendingParts(store).announce(pending(f"{number}")) for number in range(20)))
    assert sorted(await orphans(PendingParts(store)), key=int) == [f"{number}" for number in range(20)]


@pytest.mark.parametrize("value", [b"", b"7", b'[{"blob": "x"}]'])
async def test_a_list_that_makes_no_sense_is_refused(value: bytes) -> None:
    store = MemoryStore()
    await store.compare_and_set(PENDING_KEY, None, value)
    with pytest.raises(IntegrityError, match="pending"):
        await orphans(PendingParts(store))

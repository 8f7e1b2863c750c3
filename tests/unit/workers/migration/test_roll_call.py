import pytest

from shared.errors import IntegrityError
from tests.inspection_doubles import StillClock
from tests.memory_store import MemoryStore
from workers.migration.comparing import Tally
from workers.migration.roll_call import GONE_SECONDS, ROLL_KEY, RollCall, WorkerWord


class Interrupted(MemoryStore):
    """A store where another worker speaks between a read and a write, once."""

    def __init__(self, other: WorkerWord, clock: StillClock) -> None:
        super().__init__()
        self.others = [RollCall(self, clock)]
        self.word = other

    async def compare_and_set(
        self, key: str, expected: int | None, value: bytes, *, ttl: float | None = None
    ) -> int | None:
        if self.others:
            await self.others.pop().say(self.word)
        return await super().compare_and_set(key, expected, value, ttl=ttl)


def word(worker: str, clock: StillClock, **overrides: object) -> WorkerWord:
    return WorkerWord(worker=worker, at=clock.wall(), serving="one", **overrides)  # type: ignore[arg-type]


async def test_each_worker_has_one_entry_and_the_last_word_counts() -> None:
    clock = StillClock()
    roll = RollCall(MemoryStore(), clock)
    assert await roll.present() == ()
    await roll.say(word("a", clock))
    await roll.say(word("b", clock, error="no such file"))
    told = word("a", clock, beside="two", tally=Tally(images=3, agreeing=2))
    await roll.say(told)
    assert await roll.present() == (word("b", clock, error="no such file"), told)


async def test_two_at_once_are_both_heard() -> None:
    clock = StillClock()
    store = Interrupted(word("b", clock), clock)
    await RollCall(store, clock).say(word("a", clock))
    assert {each.worker for each in await RollCall(store, clock).present()} == {"a", "b"}


async def test_who_is_silent_or_signs_off_is_gone() -> None:
    clock = StillClock()
    roll = RollCall(MemoryStore(), clock)
    await roll.say(word("a", clock))
    clock.today += GONE_SECONDS + 1
    assert await roll.present() == ()
    await roll.say(word("b", clock))
    assert [each.worker for each in await roll.present()] == ["b"]
    await roll.leave("b")
    await roll.leave("b")
    assert await roll.present() == ()


@pytest.mark.parametrize("value", [b"", b"{}x", b"[1]", b'[{"worker": "a"}]'])
async def test_words_that_make_no_sense_are_refused(value: bytes) -> None:
    store = MemoryStore()
    await store.compare_and_set(ROLL_KEY, None, value)
    with pytest.raises(IntegrityError, match="workers"):
        await RollCall(store, StillClock()).present()

import pytest

from shared.errors import IntegrityError, UsageError
from shared.types import GENERATION_KEY
from tests.memory_store import MemoryStore
from workers.encoders.generations import (
    Generation,
    GenerationBook,
    Phase,
    begun,
    copied,
    given_up,
    returned,
    settled,
    switched,
)
from workers.encoders.names import EncoderName


def name(text: str) -> EncoderName:
    return EncoderName(id=f"{text}.int8", version=text, precision="int8")


ONE, TWO, THREE = name("one"), name("two"), name("three")
START = Generation(encoder=ONE)


def test_a_change_goes_step_by_step_and_back() -> None:
    copying = begun(START, TWO)
    assert (copying.encoder, copying.other, copying.phase) == (ONE, TWO, Phase.COPYING)
    shadow = copied(copying)
    assert (shadow.encoder, shadow.other, shadow.phase) == (ONE, TWO, Phase.SHADOW)
    there = switched(shadow)
    assert there == Generation(encoder=TWO, number=1, other=ONE, phase=Phase.SWITCHED)
    back = switched(returned(there))
    assert back == Generation(encoder=ONE, number=2, other=TWO, phase=Phase.SWITCHED)
    assert begun(back, TWO).phase is Phase.SHADOW, "its index is still there"
    assert given_up(returned(there)) == there
    assert given_up(copying) == given_up(shadow) == START
    assert settled(there) == Generation(encoder=TWO, number=1)
    assert settled(copying) == START


@pytest.mark.parametrize("now", [begun(START, TWO), copied(begun(START, TWO))])
def test_who_begins_again_goes_on_where_it_was(now: Generation) -> None:
    assert begun(now, TWO) == now
    assert copied(copied(now)) == copied(now)


def test_to_the_encoder_in_force_is_nothing_to_do() -> None:
    assert begun(START, ONE) == START


@pytest.mark.parametrize("now", [begun(START, TWO), copied(begun(START, TWO)), switched(copied(begun(START, TWO)))])
def test_two_changes_at_once_are_refused(now: Generation) -> None:
    with pytest.raises(UsageError, match="--rollback"):
        begun(now, THREE)


def test_what_was_not_begun_cannot_be_ended() -> None:
    for step in (switched, returned, given_up):
        with pytest.raises(UsageError):
            step(START)
    with pytest.raises(UsageError, match="copying"):
        switched(begun(START, TWO))


async def test_the_store_says_what_the_last_step_was() -> None:
    store = MemoryStore()
    book = GenerationBook(store)
    assert await book.read() is None
    assert await book.move(lambda now: begun(now, TWO), ONE) == begun(START, TWO)
    assert await GenerationBook(store).read() == begun(START, TWO)
    version = store.keys[GENERATION_KEY].version
    await book.move(lambda now: begun(now, TWO), THREE)
    assert store.keys[GENERATION_KEY].version == version, "nothing to write"
    with pytest.raises(UsageError):
        await book.move(switched, ONE)


async def test_who_was_overtaken_takes_the_step_from_where_it_is_then() -> None:
    store = MemoryStore()
    book, seen = GenerationBook(store), []

    def step(now: Generation) -> Generation:
        seen.append(now.phase)
        if len(seen) == 1:  # somebody else, between the read and the write
            held = store.keys[GENERATION_KEY]
            store.keys[GENERATION_KEY] = type(held)(
                value=held.value.replace(b"copying", b"shadow"), version=held.version + 1
            )
        return switched(copied(now))

    await book.move(lambda now: begun(now, TWO), ONE)
    assert (await book.move(step, ONE)).encoder == TWO
    assert seen == [Phase.COPYING, Phase.SHADOW]


@pytest.mark.parametrize("value", [b"", b"[]", b"{}", b'{"encoder": {}, "number": 0, "other": null, "phase": "x"}'])
async def test_a_key_that_makes_no_sense_is_refused(value: bytes) -> None:
    store = MemoryStore()
    await store.compare_and_set(GENERATION_KEY, None, value)
    with pytest.raises(IntegrityError, match="encoder"):
        await GenerationBook(store).read()

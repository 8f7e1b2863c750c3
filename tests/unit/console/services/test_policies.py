"""The deployment's policies: what was written is what is kept, and a mistake changes nothing."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from console.services.policies import EMPTY, WRITE_ATTEMPTS, PolicyBook
from shared.core.policy_file import POLICIES_KEY, KnownNames, unpack_document
from shared.errors import PolicyError, StoreError, UsageError
from tests.memory_store import MemoryStore

TEXT = """\
# What must not leave.
policies:
  # Ticket SEC-12
  - name: designs   # the pumps
    when: {any: [{set: designs}]}
    then: {action: block}

  # Everything personal is watched.
  - name: watch
    when:
      accounts: [personal]
      any: [{image: any}]
    then: {action: allow}
    mode: monitor

  # The last word.
  - {name: last, then: {action: allow}}
# The end.
"""


class Clock:
    """Stands still."""

    def monotonic(self) -> float:
        return 5.0

    def wall(self) -> float:
        return 1_800_000_000.0


async def known() -> KnownNames:
    return KnownNames(sets=frozenset({"designs"}))


class ContestedStore(MemoryStore):
    """Somebody else writes between every reading and the writing that follows, ``contests`` times."""

    def __init__(self, contests: int, meddle: Callable[[], Awaitable[None]] | None = None) -> None:
        super().__init__()
        self.contests = contests
        self.meddle = meddle

    async def compare_and_set(
        self, key: str, expected: int | None, value: bytes, *, ttl: float | None = None
    ) -> int | None:
        if self.contests:
            self.contests -= 1
            if self.meddle is None:
                return None
            await self.meddle()
        return await super().compare_and_set(key, expected, value, ttl=ttl)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def book(store: MemoryStore) -> PolicyBook:
    return PolicyBook(store, Clock(), known)


async def names(store: MemoryStore) -> list[str]:
    return [policy.name for policy in await book(store).list()]


async def test_without_a_file_there_are_no_policies(store: MemoryStore) -> None:
    assert await book(store).list() == ()
    assert await book(store).text() == EMPTY


async def test_what_was_applied_is_kept_as_it_was_written(store: MemoryStore) -> None:
    applied = await book(store).apply(TEXT)
    assert await book(store).text() == TEXT
    assert await names(store) == ["designs", "watch", "last"]
    stored = await store.get(POLICIES_KEY)
    assert stored is not None
    assert stored.version == applied.version
    assert unpack_document(stored.value).applied_at == 1_800_000_000.0


async def test_every_application_is_a_new_version_and_replaces_the_whole_list(store: MemoryStore) -> None:
    first = await book(store).apply(TEXT)
    second = await book(store).apply("policies: [{name: only, then: {action: block}}]")
    assert second.version > first.version
    assert await names(store) == ["only"]


async def test_what_is_enforced_otherwise_than_written_is_said(store: MemoryStore) -> None:
    applied = await book(store).apply("policies: [{name: soft, then: {action: redact}}]")
    assert any("soft" in note for note in applied.notes)


@pytest.mark.parametrize(
    "text",
    [
        "policies: [{name: x, when: {any: [{set: elsewhere}]}, then: {action: block}}]",
        "policies: [{name: x}]",
        "policies: {",
        "",
    ],
)
async def test_a_file_that_does_not_validate_changes_nothing(store: MemoryStore, text: str) -> None:
    before = await book(store).apply(TEXT)
    with pytest.raises(PolicyError):
        await book(store).apply(text)
    stored = await store.get(POLICIES_KEY)
    assert stored is not None
    assert stored.version == before.version
    assert await book(store).text() == TEXT


async def test_one_policy_is_shown_alone(store: MemoryStore) -> None:
    await book(store).apply(TEXT)
    shown = await book(store).show("watch")
    assert "name: watch" in shown
    assert "accounts: [personal]" in shown
    assert "designs" not in shown


@pytest.mark.parametrize("text", [TEXT, EMPTY])
async def test_an_unknown_name_is_told_with_those_known(store: MemoryStore, text: str) -> None:
    await book(store).apply(text)
    expected = "designs, watch, last" if text == TEXT else "none"
    with pytest.raises(UsageError, match=f"nope.*{expected}"):
        await book(store).show("nope")
    with pytest.raises(UsageError, match=f"nope.*{expected}"):
        await book(store).delete("nope")
    assert await book(store).text() == text


@pytest.mark.parametrize(
    ("name", "gone", "kept"),
    [
        ("designs", ["SEC-12", "pumps"], ["# What must not", "# Everything personal", "# The last", "# The end."]),
        ("watch", ["# Everything personal"], ["# What must not", "SEC-12", "pumps", "# The last", "# The end."]),
        ("last", ["# The last word"], ["# What must not", "SEC-12", "pumps", "# Everything personal", "# The end."]),
    ],
)
async def test_a_deleted_policy_takes_its_own_comment_along_and_no_other(
    store: MemoryStore, name: str, gone: list[str], kept: list[str]
) -> None:
    await book(store).apply(TEXT)
    await book(store).delete(name)
    text = await book(store).text()
    assert await names(store) == [other for other in ("designs", "watch", "last") if other != name]
    assert [words for words in gone if words in text] == []
    assert [words for words in kept if words not in text] == []
    assert set(text.splitlines()) <= set(TEXT.splitlines()), "every line is one that was written"


async def test_all_can_be_deleted_one_by_one(store: MemoryStore) -> None:
    await book(store).apply(TEXT)
    for name in ("watch", "last", "designs"):
        await book(store).delete(name)
    assert await book(store).list() == ()


@pytest.mark.parametrize(
    "text",
    [
        "policies: [{name: a, then: {action: allow}}, {name: b, then: {action: block}}]",
        "policies:\n- \n  name: a\n  then: {action: allow}\n- \n  name: b\n  then: {action: block}\n",
        "policies:\n- name: a\n  then: {action: allow}\n-\n\n  # odd\n  name: b\n  then: {action: block}",
    ],
)
async def test_lists_written_in_other_ways_lose_the_right_policy(store: MemoryStore, text: str) -> None:
    await book(store).apply(text)
    await book(store).delete("a")
    assert await names(store) == ["b"]


async def test_a_writer_that_was_second_begins_again_from_what_the_first_wrote() -> None:
    async def add_another() -> None:
        await book(contested).apply(TEXT + "  - {name: added, then: {action: block}}\n")

    contested = ContestedStore(0, add_another)
    await book(contested).apply(TEXT)
    contested.contests = 1
    await book(contested).delete("designs")
    assert await names(contested) == ["watch", "last", "added"]


async def test_writers_at_the_same_time_all_get_through(store: MemoryStore) -> None:
    await book(store).apply(TEXT)
    await asyncio.gather(*(book(store).delete(name) for name in ("designs", "watch", "last")))
    assert await names(store) == []


async def test_endless_contention_ends_with_a_sentence() -> None:
    store = ContestedStore(WRITE_ATTEMPTS)
    with pytest.raises(StoreError, match="try again"):
        await book(store).apply(TEXT)
    assert await book(store).text() == EMPTY


async def test_a_store_that_is_down_is_told(store: MemoryStore) -> None:
    store.down = True
    with pytest.raises(StoreError):
        await book(store).apply(TEXT)

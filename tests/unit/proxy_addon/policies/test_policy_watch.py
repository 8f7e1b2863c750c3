"""Policies in force: the newest good document, and the last one while the store is down."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy_addon.policies.policy_watch import PolicyWatch
from shared.core.policy_file import POLICIES_KEY, PolicyDocument, pack_document
from shared.errors import StoreError
from shared.sealing import Sealer
from shared.telemetry import Metrics
from tests.memory_store import MemoryStore

SEALER = Sealer(bytes(32))


def make_document(name: str = "no-uploads") -> bytes:
    text = f"policies: [{{name: {name}, then: {{action: block}}}}]"
    return pack_document(PolicyDocument(text=text, applied_at=0.0))


class World:
    """A store and a watch over it."""

    def __init__(self, cache: Path) -> None:
        self.store = MemoryStore()
        self.metrics = Metrics()
        self.cache = cache
        self.watch = self.restarted()

    def restarted(self, sealer: Sealer = SEALER) -> PolicyWatch:
        return PolicyWatch(self.store, sealer, self.metrics, self.cache)

    async def write(self, value: bytes) -> None:
        held = await self.store.get(POLICIES_KEY)
        await self.store.compare_and_set(POLICIES_KEY, held.version if held else None, value)

    def names(self, watch: PolicyWatch | None = None) -> list[str]:
        return [policy.name for policy in (watch or self.watch).current()]


@pytest.fixture
def w(tmp_path: Path) -> World:
    return World(tmp_path / "cache" / "policies-cache.json")


async def test_none_applied_is_known_to_be_none(w: World) -> None:
    assert not w.watch.loaded()
    await w.watch.poll()
    assert w.watch.loaded()
    assert w.names() == []


async def test_a_new_version_is_in_force_at_the_next_poll(w: World) -> None:
    await w.write(make_document("first"))
    await w.watch.poll()
    before = w.watch.current()
    await w.watch.poll()
    assert w.watch.current() is before  # the same version is not parsed again
    await w.write(make_document("second"))
    await w.watch.poll()
    assert w.names() == ["second"]
    assert w.metrics.value("safelight_proxy_policy_version") == 2


@pytest.mark.error_logs("the last good one stays")
@pytest.mark.parametrize("bad", [b"junk", pack_document(PolicyDocument(text="policies: 7", applied_at=0.0))])
async def test_a_bad_document_changes_nothing(w: World, bad: bytes) -> None:
    await w.write(make_document("good"))
    await w.watch.poll()
    await w.write(bad)
    await w.watch.poll()
    assert w.names() == ["good"]
    await w.write(make_document("better"))
    await w.watch.poll()
    assert w.names() == ["better"]


async def test_a_restart_without_the_store_enforces_the_last_ones(w: World) -> None:
    await w.write(make_document("kept"))
    await w.watch.poll()
    w.store.down = True
    again = w.restarted()
    await again.load_cache()
    assert again.loaded()
    assert w.names(again) == ["kept"]
    with pytest.raises(StoreError):
        await again.poll()
    assert w.names(again) == ["kept"]
    w.store.down = False
    await w.write(make_document("newer"))
    await again.poll()
    assert w.names(again) == ["newer"]


async def test_policies_that_were_withdrawn_do_not_come_back(w: World) -> None:
    await w.write(make_document())
    await w.watch.poll()
    await w.write(pack_document(PolicyDocument(text="policies: []", applied_at=0.0)))
    await w.watch.poll()
    assert w.names() == []
    again = w.restarted()
    await again.load_cache()
    assert (again.loaded(), w.names(again)) == (True, [])


@pytest.mark.error_logs("the store has no policies any more; version 1 stays in force")
async def test_a_store_that_lost_everything_withdraws_no_policies(w: World) -> None:
    await w.write(make_document("kept"))
    await w.watch.poll()
    await w.store.delete(POLICIES_KEY)
    await w.watch.poll()
    await w.watch.poll()
    assert w.names() == ["kept"]
    assert w.metrics.value("safelight_store_errors_total", operation="policies") == 1  # and said once
    again = w.restarted()
    await again.load_cache()
    await again.poll()
    assert w.names(again) == ["kept"]
    await w.write(make_document("applied"))
    await again.poll()
    assert w.names(again) == ["applied"]


@pytest.mark.error_logs("are not used")
async def test_a_cache_that_somebody_else_wrote_is_not_used(w: World) -> None:
    await w.write(make_document())
    await w.watch.poll()
    other = w.restarted(Sealer(bytes(range(32))))
    await other.load_cache()
    assert not other.loaded()
    w.cache.write_bytes(w.cache.read_bytes()[:-1] + b" ")
    again = w.restarted()
    await again.load_cache()
    assert not again.loaded()
    assert w.cache.stat().st_mode & 0o777 == 0o600


async def test_the_watch_survives_a_store_that_comes_and_goes(w: World) -> None:
    w.store.down = True
    with pytest.raises(StoreError):
        await w.watch.poll()
    w.store.down = False
    await w.write(make_document("there"))
    await w.watch.poll()
    assert w.names() == ["there"]

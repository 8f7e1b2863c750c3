"""What is remembered of an application's objects, over a store in memory."""

from __future__ import annotations

import asyncio
import logging

import pytest

from proxy_addon.activities.objects import AT_HAND, ObjectMemory
from shared.adapters.role import SystemClock
from shared.core.objects import MAX_NAMES, store_key
from shared.sealing import Sealer
from shared.telemetry import Metrics
from shared.types import ImageJudgement, ObjectName, UninspectedReason
from tests.factories import make_judgement, make_match, make_verdict
from tests.memory_store import MemoryStore

SEALER = Sealer(bytes(32))
PLAN = ObjectName(app="drive", id="1aB")
COPY = ObjectName(app="drive", id="2cD")
MATCHED = make_judgement(locator="body", verdict=make_verdict(matches=(make_match(),)))


class StuckStore(MemoryStore):
    """A store that never answers."""

    async def get_blob(self, name: str) -> bytes | None:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]


class Proxy:
    """One proxy's memory."""

    def __init__(self, store: MemoryStore, sealer: Sealer = SEALER) -> None:
        self.metrics = Metrics()
        self.memory = ObjectMemory(store, sealer, SystemClock(), self.metrics)

    async def recall(self, *names: ObjectName, patience: float = 5.0) -> tuple[ImageJudgement, ...]:
        return await self.memory.recall(names, SystemClock().monotonic() + patience)

    async def reasons(self, *names: ObjectName, patience: float = 5.0) -> list[UninspectedReason | None]:
        return [judgement.uninspected for judgement in await self.recall(*names, patience=patience)]


async def test_what_one_proxy_learns_another_knows() -> None:
    store = MemoryStore()
    first, second = Proxy(store), Proxy(store)
    first.memory.learn([PLAN], [MATCHED])
    (at_once,) = await first.recall(PLAN)
    await first.memory.close()
    (elsewhere,) = await second.recall(PLAN)
    assert at_once == elsewhere
    assert elsewhere.locator == "object:1aB/body"
    assert elsewhere.verdict is not None
    assert [match.matched for match in elsewhere.verdict.matches] == [True]


async def test_nothing_is_kept_in_the_clear() -> None:
    store = MemoryStore()
    proxy = Proxy(store)
    proxy.memory.learn([PLAN], [make_judgement(name="secret-plan.png")])
    await proxy.memory.close()
    ((key, sealed),) = store.blobs.items()
    assert b"secret-plan" not in sealed
    assert PLAN.id not in key


async def test_an_object_without_images_is_known() -> None:
    proxy = Proxy(MemoryStore())
    proxy.memory.learn([PLAN], [])
    assert await proxy.recall(PLAN) == ()
    assert await proxy.reasons(COPY) == [UninspectedReason.UNKNOWN_OBJECT]


async def test_what_is_learnt_later_holds() -> None:
    store = MemoryStore()
    first, second = Proxy(store), Proxy(store)
    first.memory.learn([PLAN], [MATCHED])
    await first.memory.close()
    second.memory.learn([PLAN], [])
    await second.memory.close()
    assert await first.recall(PLAN) == ()


async def test_further_names() -> None:
    store = MemoryStore()
    proxy = Proxy(store)
    proxy.memory.learn_alias([PLAN, COPY], PLAN)
    assert await proxy.reasons(COPY) == [UninspectedReason.UNKNOWN_OBJECT]
    proxy.memory.learn([PLAN], [MATCHED])
    await proxy.memory.close()
    assert [each.verdict for each in await Proxy(store).recall(COPY)] == [MATCHED.verdict]


async def test_names_that_go_round_in_a_circle_end() -> None:
    proxy = Proxy(MemoryStore())
    proxy.memory.learn_alias([PLAN], COPY)
    proxy.memory.learn_alias([COPY], PLAN)
    assert await proxy.reasons(PLAN) == [UninspectedReason.UNKNOWN_OBJECT]


async def test_a_copy_inherits() -> None:
    store = MemoryStore()
    proxy = Proxy(store)
    proxy.memory.inherit(PLAN, COPY)
    assert await proxy.reasons(COPY) == [UninspectedReason.UNKNOWN_OBJECT]
    proxy.memory.learn([PLAN], [MATCHED])
    proxy.memory.inherit(PLAN, COPY)
    assert [each.sha256 for each in await proxy.recall(COPY)] == [MATCHED.sha256]  # waited for
    await proxy.memory.close()
    assert [each.sha256 for each in await Proxy(store).recall(COPY)] == [MATCHED.sha256]


async def test_a_judgement_that_is_coming_is_waited_for() -> None:
    proxy = Proxy(MemoryStore())
    proxy.memory.expect([PLAN])
    asking = asyncio.get_running_loop().create_task(proxy.recall(PLAN))
    assert await proxy.reasons(PLAN, patience=0.0) == [UninspectedReason.TIMEOUT]
    proxy.memory.learn([PLAN], [MATCHED])
    assert [each.sha256 for each in await asking] == [MATCHED.sha256]


async def test_what_is_expected_is_bounded_and_given_up() -> None:
    proxy = Proxy(MemoryStore())
    names = [ObjectName(app="drive", id=str(number)) for number in range(AT_HAND + 1)]
    proxy.memory.expect(names)
    assert await proxy.reasons(names[0]) == [UninspectedReason.UNKNOWN_OBJECT]
    asking = asyncio.get_running_loop().create_task(proxy.reasons(names[1]))
    await proxy.memory.close()
    assert await asking == [UninspectedReason.UNKNOWN_OBJECT]


async def test_a_store_that_does_not_answer_is_waited_for_no_longer_than_the_deadline() -> None:
    proxy = Proxy(StuckStore())
    assert await proxy.reasons(PLAN, patience=0.01) == [UninspectedReason.TIMEOUT]


async def test_a_store_that_is_down(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    proxy = Proxy(store)
    store.down = True
    with caplog.at_level(logging.WARNING):
        proxy.memory.learn([PLAN], [MATCHED])
        assert await proxy.reasons(COPY) == [UninspectedReason.UNKNOWN_OBJECT]
        assert [each.sha256 for each in await proxy.recall(PLAN)] == [MATCHED.sha256]  # not written, still at hand
        proxy.memory.inherit(ObjectName(app="drive", id="gone"), COPY)
        assert await proxy.reasons(COPY) == [UninspectedReason.UNKNOWN_OBJECT]
    assert proxy.metrics.value("safelight_store_errors_total", operation="objects") == 4


async def test_another_object_s_record_is_not_taken() -> None:
    store = MemoryStore()
    proxy = Proxy(store)
    proxy.memory.learn([COPY], [])
    await proxy.memory.close()
    store.blobs[store_key(PLAN)] = store.blobs[store_key(COPY)]
    assert await proxy.reasons(PLAN) == [UninspectedReason.UNKNOWN_OBJECT]
    assert proxy.metrics.value("safelight_store_errors_total", operation="objects") == 1


async def test_more_names_than_are_looked_up_count_as_unknown() -> None:
    proxy = Proxy(MemoryStore())
    names = [ObjectName(app="drive", id=str(number)) for number in range(MAX_NAMES + 1)]
    proxy.memory.learn(names, [])
    assert await proxy.reasons(*names) == [UninspectedReason.UNKNOWN_OBJECT]
    assert proxy.metrics.value("safelight_proxy_limit_hits_total", limit="object_names") == 1
    assert await proxy.recall() == ()

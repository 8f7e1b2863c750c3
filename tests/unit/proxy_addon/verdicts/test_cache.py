"""What is known is told again, until the index moves; who asks about the same image at once shares one question."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from proxy_addon.verdicts.cache import BLIND_SECONDS, FRESH_SECONDS, IndexWatch, VerdictCache, position_of
from proxy_addon.verdicts.decode_budget import DecodeBudget
from proxy_addon.verdicts.judging import judgement_of
from shared.errors import ErrorCode, StoreError
from shared.telemetry import Metrics
from shared.types import INDEX_LOG, ImageJudgement, Inquiry, Part, UninspectedReason, Verdict, VerdictError
from tests.clocks import ManualClock
from tests.factories import make_verdict
from tests.index_factories import make_sha256
from tests.memory_store import MemoryStore

FAR = 1e9


@dataclass
class CountingJudge:
    """Says what it is told to, once ``may_answer`` is set."""

    revision: str = "f1:7"
    error: VerdictError | None = None
    degraded: bool = False
    hurried: bool = False
    asked: list[str] = field(default_factory=list)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    silent: bool = False
    classifier_revision: int = 0

    async def verdicts(self, parts: Sequence[Part], inquiry: Inquiry) -> list[ImageJudgement]:
        self.asked += [part.sha256 for part in parts]
        await self.may_answer.wait()
        return [
            ImageJudgement(locator=part.locator, sha256=part.sha256, size=1, verdict=self._verdict(part))
            for part in parts
        ]

    def _verdict(self, part: Part) -> Verdict | None:
        if self.silent:
            return None
        return make_verdict(
            sha256=part.sha256,
            index_revision=self.revision,
            classifier_revision=self.classifier_revision,
            error=self.error,
            degraded=self.degraded,
            hurried=self.hurried,
        )


class Scene:
    """A cache before a judge that answers at once, and knows where the index stands."""

    def __init__(self, *, budget: DecodeBudget | None = None, **judge: object) -> None:
        self.clock = ManualClock()
        self.judge = CountingJudge(**judge)  # type: ignore[arg-type]
        self.judge.may_answer.set()
        self.metrics = Metrics()
        self.cache = VerdictCache(self.judge, self.clock, self.metrics, capacity=3, budget=budget)
        self.cache.index_at(7)

    async def ask(self, *images: int, deadline: float = FAR, sender: str = "") -> list[ImageJudgement]:
        return await self.cache.verdicts([part(image) for image in images], Inquiry(deadline=deadline, sender=sender))


def part(image: int, locator: str = "body") -> Part:
    return Part(data=b"x", media_type="image/png", locator=locator, sha256=make_sha256(image), name=f"{image}.png")


async def test_a_second_time_nobody_is_asked() -> None:
    scene = Scene()
    first = await scene.ask(1)
    (again,) = await scene.cache.verdicts([part(1, "multipart[0]")], Inquiry(deadline=FAR))
    assert scene.judge.asked == [make_sha256(1)]
    assert again.verdict == first[0].verdict
    assert (again.locator, again.name) == ("multipart[0]", "1.png")


async def test_what_another_encoder_said_counts_no_longer() -> None:
    scene = Scene()
    (said,) = await scene.ask(1)
    assert said.verdict is not None
    scene.cache.encoder_is(said.verdict.encoder)
    await scene.ask(1)
    assert len(scene.judge.asked) == 1
    scene.cache.encoder_is("the next")
    await scene.ask(1)
    assert len(scene.judge.asked) == 2


async def test_each_part_gets_its_own_judgement() -> None:
    scene = Scene()
    found = await scene.ask(2, 1, 2)
    assert [judgement.sha256 for judgement in found] == [make_sha256(2), make_sha256(1), make_sha256(2)]
    assert sorted(scene.judge.asked) == sorted([make_sha256(1), make_sha256(2)])


async def test_when_the_index_moves_everything_is_asked_again() -> None:
    scene = Scene()
    await scene.ask(1)
    scene.cache.index_at(8)
    await scene.ask(1)
    assert len(scene.judge.asked) == 2
    # A worker that is behind still answers at 7: that is not remembered as an answer at 8.
    await scene.ask(1)
    assert len(scene.judge.asked) == 3
    scene.judge.revision = "f1:8"
    await scene.ask(1)
    await scene.ask(1)
    assert len(scene.judge.asked) == 4


async def test_when_the_store_is_set_back_everything_is_asked_again() -> None:
    scene = Scene()
    await scene.ask(1)
    for position in (3, 4):  # from a backup, and on from there
        scene.cache.index_at(position)
        await scene.ask(1)
    assert len(scene.judge.asked) == 3


async def test_labels_count_for_who_asks_for_no_others_and_until_a_classifier_moves() -> None:
    scene = Scene()

    async def ask(*classifiers: str) -> int:
        await scene.cache.verdicts([part(1)], Inquiry(deadline=FAR, classifiers=classifiers))
        return len(scene.judge.asked)

    assert await ask() == 1
    assert await ask("documents", "rooms") == 2
    assert await ask("documents") == await ask() == 2
    scene.cache.index_at(7, 3)
    assert await ask() == 2
    assert await ask("documents") == 3
    scene.judge.classifier_revision = 3
    assert await ask("documents") == await ask("documents") == 4


async def test_who_asks_for_labels_does_not_wait_for_an_answer_without() -> None:
    scene = Scene()
    labels = scene.cache.verdicts([part(1)], Inquiry(deadline=FAR, classifiers=("documents",)))
    await asyncio.gather(scene.ask(1), labels, scene.ask(1))
    assert len(scene.judge.asked) == 2


async def test_who_wants_an_inspection_does_not_wait_for_what_was_said_of_its_like() -> None:
    scene = Scene()
    near = Inquiry(deadline=FAR, near_cache=True)
    await asyncio.gather(scene.cache.verdicts([part(1)], near), scene.ask(1), scene.cache.verdicts([part(1)], near))
    assert len(scene.judge.asked) == 2


@pytest.mark.parametrize("seconds", [BLIND_SECONDS, FRESH_SECONDS])
async def test_without_word_from_the_store_and_after_a_while_nothing_counts(seconds: float) -> None:
    scene = Scene()
    await scene.ask(1)
    scene.clock.now += seconds + 0.1
    if seconds == FRESH_SECONDS:
        scene.cache.index_at(7)
    await scene.ask(1)
    assert len(scene.judge.asked) == 2


async def test_before_the_index_is_known_nothing_counts() -> None:
    scene = Scene()
    cache = VerdictCache(scene.judge, scene.clock, scene.metrics)
    for _ in range(2):
        await cache.verdicts([part(1)], Inquiry(deadline=FAR))
    assert len(scene.judge.asked) == 2


@pytest.mark.parametrize(
    ("judge", "asked"),
    [
        ({"error": VerdictError(code=ErrorCode.CORRUPT, message="")}, 1),
        ({"error": VerdictError(code=ErrorCode.TOO_LATE, message="")}, 2),
        ({"error": VerdictError(code=ErrorCode.DECODE_TIMEOUT, message="")}, 2),
        ({"degraded": True}, 2),
        ({"hurried": True}, 2),
        ({"silent": True}, 2),
        ({"revision": "unknown"}, 2),
    ],
)
async def test_only_what_lasts_is_remembered(judge: dict[str, Any], asked: int) -> None:
    scene = Scene(**judge)
    await scene.ask(1)
    await scene.ask(1)
    assert len(scene.judge.asked) == asked


async def test_the_one_not_asked_for_the_longest_goes_first() -> None:
    scene = Scene()
    await scene.ask(1, 2, 3)
    await scene.ask(1)
    await scene.ask(4)
    scene.judge.asked.clear()
    await scene.ask(1)
    await scene.ask(3)
    assert scene.judge.asked == []
    await scene.ask(2)
    assert scene.judge.asked == [make_sha256(2)]


async def test_those_who_ask_at_once_share_a_question_even_if_the_first_leaves() -> None:
    scene = Scene()
    scene.judge.may_answer.clear()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(scene.ask(1, deadline=2000.0))
        await _until(lambda: bool(scene.judge.asked))
        second = group.create_task(scene.ask(1, deadline=1900.0))
        await _until(lambda: b'outcome="joined"} 1.0' in scene.metrics.exposition())
        first.cancel()
        scene.judge.may_answer.set()
        (judgement,) = await second
    assert judgement.verdict is not None
    assert len(scene.judge.asked) == 1


async def test_who_can_wait_longer_asks_for_himself() -> None:
    scene = Scene()
    scene.judge.may_answer.clear()
    async with asyncio.TaskGroup() as group:
        group.create_task(scene.ask(1, deadline=1900.0))
        await _until(lambda: bool(scene.judge.asked))
        group.create_task(scene.ask(1, deadline=2000.0))
        await _until(lambda: len(scene.judge.asked) == 2)
        scene.judge.may_answer.set()


async def test_an_answer_that_does_not_come_is_a_timeout() -> None:
    scene = Scene()
    scene.judge.may_answer.clear()
    (judgement,) = await scene.ask(1, deadline=scene.clock.now)
    assert judgement.verdict is None
    assert judgement.uninspected is UninspectedReason.TIMEOUT


async def test_who_has_had_enough_decoded_is_told_at_once_and_others_are_judged() -> None:
    scene = Scene(budget=DecodeBudget(2))
    found = await scene.ask(1, 2, 3, sender="a")
    over = UninspectedReason.DECODE_BUDGET
    assert [judgement.uninspected for judgement in found] == [None, None, over]
    assert scene.metrics.value("safelight_proxy_limit_hits_total", limit="decode_budget") == 1
    assert [judgement.uninspected for judgement in await scene.ask(3, sender="b")] == [None]
    assert scene.judge.asked == [make_sha256(1), make_sha256(2), make_sha256(3)]


async def test_what_is_known_or_asked_already_costs_nothing() -> None:
    scene = Scene(budget=DecodeBudget(1))
    for _ in range(3):
        assert (await scene.ask(1, sender="a"))[0].verdict is not None
    scene.judge.may_answer.clear()
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(scene.ask(2, sender="b"))
        await _until(lambda: len(scene.judge.asked) == 2)
        joining = group.create_task(scene.ask(2, sender="a"))
        await _until(lambda: scene.metrics.value("safelight_proxy_verdict_cache_total", outcome="joined") == 1)
        scene.judge.may_answer.set()
    assert asking.result()[0].verdict == joining.result()[0].verdict


async def test_what_an_image_held_is_charged_when_its_verdict_comes() -> None:
    scene = Scene(budget=DecodeBudget(100), error=VerdictError(code=ErrorCode.DECODE_TIMEOUT, message=""))
    await scene.ask(1, sender="a")
    await scene.ask(2, sender="a")
    assert (await scene.ask(3, sender="a"))[0].uninspected is UninspectedReason.DECODE_BUDGET


@pytest.mark.parametrize(
    ("revision", "position"), [("f1-128-v2.int8:12", 12), ("", None), ("f1:", None), ("f1:-3", None), ("7", 7)]
)
def test_a_revision_names_a_position(revision: str, position: int | None) -> None:
    assert position_of(revision) == position


class Broken(MemoryStore):
    """Fails once."""

    def __init__(self) -> None:
        super().__init__()
        self.failed = asyncio.Event()

    async def last_position(self, log: str) -> int:
        if not self.failed.is_set():
            self.failed.set()
            raise StoreError("down")
        return await super().last_position(log)


async def test_the_watch_tells_the_cache_where_the_index_stands_when_the_store_is_back() -> None:
    scene, store = Scene(), Broken()
    await store.append(INDEX_LOG, [b"event"] * 9)
    watching = asyncio.get_running_loop().create_task(IndexWatch(store, scene.cache, scene.metrics).run())
    try:
        scene.judge.revision = "f1:8"
        await asyncio.wait_for(store.failed.wait(), 10)

        async def asked_again() -> bool:
            scene.judge.asked.clear()
            await scene.ask(1)
            return bool(scene.judge.asked)

        async with asyncio.timeout(10):
            while not (await asked_again() and await asked_again()):
                await _turn()
    finally:
        watching.cancel()


async def _turn() -> None:
    turn = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(turn.set_result, None)
    await turn


async def _until(condition: object) -> None:
    async with asyncio.timeout(10):
        while not condition():  # type: ignore[operator]
            await _turn()


async def test_what_is_known_is_told_without_waiting() -> None:
    scene = Scene()
    assert scene.cache.recall(part(1), ()) is None
    assert scene.metrics.value("safelight_proxy_verdict_cache_total", outcome="hit") == 0
    (asked,) = await scene.ask(1)
    assert scene.cache.recall(part(1), ()) == judgement_of(part(1), verdict_of(asked))
    assert scene.metrics.value("safelight_proxy_verdict_cache_total", outcome="hit") == 1
    assert scene.cache.recall(part(1), ("documents",)) is None  # it was not shown to that classifier
    scene.cache.index_at(8)
    assert scene.cache.recall(part(1), ()) is None


def verdict_of(judgement: ImageJudgement) -> Verdict:
    assert judgement.verdict is not None
    return judgement.verdict

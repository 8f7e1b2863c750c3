"""Each image once at a time; what is known is told again for as long as it is true."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace

import pytest

from shared.errors import DecodeError, ErrorCode
from shared.telemetry import Metrics
from shared.types import (
    FrameTrace,
    Inquiry,
    KnownVerdict,
    LabelScore,
    NearVerdict,
    Priority,
    ReferenceMatch,
    Verdict,
    VerdictError,
)
from tests.factories import make_verdict
from tests.inspection_doubles import KnownClassifiers, KnownIndex, StillClock
from workers.search.live_segment import Probe
from workers.serving.admission import Admission
from workers.serving.inspector import SPARE_INSPECTIONS
from workers.serving.verdicts import Question, Verdicts

TRACE = FrameTrace(index=0, vector=b"", pdq=("a" * 64,) * 8, pdq_quality=0, low_information=True)


class MovingIndex(KnownIndex):
    """Stands where it is told to, and is empty."""

    def __init__(self) -> None:
        super().__init__(size=0, matched=False)
        self.revision = "e1:1"

    def search(self, probes: Sequence[Probe]) -> list[tuple[ReferenceMatch, ...]]:
        return [()] * len(probes)


@dataclass
class Examiner:
    """Says what it is told to, once ``may_answer`` is set."""

    index: MovingIndex
    changes: dict[str, object] = field(default_factory=dict)
    revisions: dict[str, int] = field(default_factory=lambda: {"documents": 3, "rooms": 4})
    examined: list[bytes] = field(default_factory=list)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def examine(self, data: bytes, sha256: str, inquiry: Inquiry) -> KnownVerdict:
        self.examined.append(data)
        changes = dict(self.changes)
        await self.may_answer.wait()
        verdict = make_verdict(
            sha256=sha256,
            index_revision=self.index.revision,
            labels=tuple(LabelScore(classifier=name, label="form", score=97.0) for name in inquiry.classifiers),
            timings_ms={"total": 9.0},
        )
        shown = tuple((name, self.revisions.get(name, 0)) for name in inquiry.classifiers)
        return KnownVerdict(verdict=replace(verdict, **changes), traces=(TRACE,), classifiers=shown)  # type: ignore[arg-type]

    def refusal(self, sha256: str, code: ErrorCode, message: str) -> Verdict:
        return make_verdict(sha256=sha256, error=VerdictError(code=code, message=message))


class Others:
    """What other workers know."""

    def __init__(self) -> None:
        self.known: dict[str, KnownVerdict] = {}

    async def get(self, sha256: str) -> KnownVerdict | None:
        return self.known.get(sha256)

    def put(self, sha256: str, known: KnownVerdict) -> None:
        self.known[sha256] = known


class Scene:
    def __init__(self) -> None:
        self.clock, self.metrics, self.index, self.others = StillClock(), Metrics(), MovingIndex(), Others()
        self.classifiers = KnownClassifiers(4, documents=3, rooms=4)
        self.examiner = Examiner(self.index)
        self.examiner.may_answer.set()
        self.verdicts = self.worker()

    def worker(self) -> Verdicts:
        self.admission = Admission(self.clock, self.metrics, places=9)
        return Verdicts(
            self.examiner, self.index, self.classifiers, self.admission, self.clock, self.metrics, sharing=self.others
        )

    def question(
        self,
        data: bytes = b"x",
        *,
        left: float = 100.0,
        fetch: Callable[[], Awaitable[bytes]] | None = None,
        **asked: object,
    ) -> Question:
        async def hand_over() -> bytes:
            return data

        inquiry = Inquiry(deadline=self.clock.now + left, **asked)  # type: ignore[arg-type]
        return Question(sha256="a" * 64, size=1, inquiry=inquiry, fetch=fetch or hand_over)

    async def ask(self, **fields: object) -> Verdict:
        return await self.verdicts.verdict(self.question(**fields))  # type: ignore[arg-type]

    def outcome(self, name: str) -> float:
        return self.metrics.value("safelight_worker_verdict_cache_total", outcome=name)


async def together(scene: Scene, *questions: Question) -> list[Verdict]:
    """Ask all before anything is answered."""
    scene.examiner.may_answer.clear()
    asking = [asyncio.get_running_loop().create_task(scene.verdicts.verdict(each)) for each in questions]
    await asyncio.wait(asking, timeout=0.01)
    scene.examiner.changes = {}
    scene.examiner.may_answer.set()
    return list(await asyncio.gather(*asking))


async def test_a_second_time_it_is_known() -> None:
    scene = Scene()
    first = await scene.ask()
    again = await scene.ask()
    assert len(scene.examiner.examined) == 1
    assert again == replace(first, timings_ms={})  # which were those of an inspection
    assert (scene.outcome("miss"), scene.outcome("hit")) == (1, 1)


async def test_when_the_index_moves_it_is_brought_up_to_date() -> None:
    scene = Scene()
    await scene.ask()
    scene.index.revision = "e1:2"
    assert (await scene.ask()).index_revision == "e1:2"
    assert (await scene.ask()).index_revision == "e1:2"
    assert len(scene.examiner.examined) == 1
    assert (scene.outcome("refreshed"), scene.outcome("hit")) == (1, 1)


async def test_what_another_worker_knows_is_not_found_out_again() -> None:
    scene = Scene()
    await scene.ask()
    scene.index.revision = "e1:2"
    scene.verdicts = scene.worker()
    assert (await scene.ask()).index_revision == "e1:2"
    assert (len(scene.examiner.examined), scene.outcome("shared")) == (1, 1)


@pytest.mark.error_logs("could not be brought up to date")
async def test_a_verdict_that_cannot_be_brought_up_to_date_is_found_out_anew() -> None:
    scene = Scene()
    await scene.ask()
    scene.index.revision = "e1:2"
    scene.index.probe = None  # type: ignore[assignment,method-assign]
    assert (await scene.ask()).index_revision == "e1:2"
    assert len(scene.examiner.examined) == 2


@pytest.mark.parametrize(
    "changes", [{"degraded": True}, {"error": VerdictError(code=ErrorCode.DECODE_TIMEOUT, message="")}]
)
async def test_what_belongs_to_the_moment_is_not_remembered(changes: dict[str, object]) -> None:
    scene = Scene()
    scene.examiner.changes = changes
    await scene.ask()
    await scene.ask()
    assert len(scene.examiner.examined) == 2
    assert scene.others.known == {}


async def test_what_was_looked_at_in_a_hurry_counts_only_while_there_is_no_time_for_more() -> None:
    scene = Scene()
    scene.examiner.changes = {"hurried": True}
    assert (await scene.ask()).hurried
    assert scene.others.known == {}
    async with AsyncExitStack() as stack:
        for _ in range(SPARE_INSPECTIONS + 1):
            await stack.enter_async_context(scene.admission.turn(1, 1e9, Priority.UPLOAD))
        assert (await scene.ask()).hurried
        assert len(scene.examiner.examined) == 1
    scene.examiner.changes = {}
    assert not (await scene.ask()).hurried
    assert len(scene.examiner.examined) == 2
    assert not (await scene.ask()).hurried
    assert len(scene.examiner.examined) == 2


def labelled(verdict: Verdict) -> tuple[list[str], int]:
    return [label.classifier for label in verdict.labels], verdict.classifier_revision


async def test_labels_are_known_to_who_asks_for_them_or_for_fewer() -> None:
    scene = Scene()
    await scene.ask(classifiers=("documents", "rooms"))
    assert labelled(await scene.ask(classifiers=("rooms",))) == (["rooms"], 4)
    assert labelled(await scene.ask()) == ([], 0)
    assert len(scene.examiner.examined) == 1
    assert scene.outcome("hit") == 2


async def test_what_was_said_of_its_like_is_nobodys_own() -> None:
    scene = Scene()
    scene.examiner.changes = {"near": NearVerdict(sha256="b" * 64, distance=3)}
    assert (await scene.ask(near_cache=True)).near is not None
    assert scene.others.known == {}
    scene.examiner.changes = {}
    assert (await scene.ask()).near is None
    assert (await scene.ask(near_cache=True)).near is None, "what is known of the image itself is told first"
    assert len(scene.examiner.examined) == 2


async def test_who_wants_an_inspection_does_not_join_who_does_not() -> None:
    scene = Scene()
    await together(scene, scene.question(near_cache=True), scene.question())
    assert len(scene.examiner.examined) == 2


async def test_labels_stay_when_the_index_moves() -> None:
    scene = Scene()
    await scene.ask(classifiers=("documents",))
    scene.index.revision = "e1:2"
    verdict = await scene.ask(classifiers=("documents",))
    assert (verdict.index_revision, labelled(verdict)) == ("e1:2", (["documents"], 4))
    assert len(scene.examiner.examined) == 1


async def test_a_new_revision_of_a_classifier_takes_another_look_and_leaves_the_others() -> None:
    scene = Scene()
    await scene.ask(classifiers=("documents",))
    await scene.ask(classifiers=("rooms",))
    scene.classifiers.move(5, documents=5, rooms=4)
    scene.examiner.revisions["documents"] = 5
    assert labelled(await scene.ask(classifiers=("rooms",))) == (["rooms"], 5)
    assert len(scene.examiner.examined) == 2
    for _ in range(2):
        assert labelled(await scene.ask(classifiers=("documents", "rooms"))) == (["documents", "rooms"], 5)
    assert len(scene.examiner.examined) == 3


async def test_labels_that_another_worker_knows_are_known() -> None:
    scene = Scene()
    await scene.ask(classifiers=("documents",))
    scene.verdicts = scene.worker()
    assert labelled(await scene.ask(classifiers=("documents",))) == (["documents"], 4)
    await scene.ask(classifiers=("rooms",))
    scene.verdicts = scene.worker()
    assert labelled(await scene.ask(classifiers=("documents", "rooms"))) == (["documents", "rooms"], 4)
    assert (len(scene.examiner.examined), scene.outcome("shared")) == (2, 2)


async def test_the_same_image_is_found_out_once_at_a_time() -> None:
    scene = Scene()
    verdicts = await together(scene, *(scene.question() for _ in range(50)))
    assert len(scene.examiner.examined) == 1
    assert {verdict.error for verdict in verdicts} == {None}
    assert scene.outcome("joined") == 49


async def test_who_can_wait_longer_than_the_first_gets_an_answer_of_their_own() -> None:
    scene = Scene()
    scene.examiner.changes = {"degraded": True}
    first, second, third = await together(scene, scene.question(b"1"), scene.question(b"2"), scene.question(b"3"))
    assert (first.degraded, second.degraded, third.degraded) == (True, False, False)
    assert scene.examiner.examined == [b"1", b"2"]


async def test_an_upload_does_not_wait_for_a_scan() -> None:
    scene = Scene()
    scan, upload = scene.question(b"scan", priority=Priority.BACKGROUND), scene.question(b"upload")
    await together(scene, scan, upload, scene.question(b"another"))
    assert scene.examiner.examined == [b"scan", b"upload"]


async def test_who_cannot_wait_as_long_as_the_first_is_told_so() -> None:
    scene = Scene()
    scene.examiner.may_answer.clear()
    first = asyncio.get_running_loop().create_task(scene.verdicts.verdict(scene.question()))
    await asyncio.wait({first}, timeout=0.01)
    verdict = await scene.verdicts.verdict(scene.question(left=0.01))
    assert verdict.error is not None
    assert verdict.error.code is ErrorCode.TOO_LATE
    scene.examiner.may_answer.set()
    assert (await first).error is None


async def test_a_first_one_that_leaves_takes_nobody_along() -> None:
    scene = Scene()
    scene.examiner.may_answer.clear()
    loop = asyncio.get_running_loop()
    first = loop.create_task(scene.verdicts.verdict(scene.question(b"1")))
    second = loop.create_task(scene.verdicts.verdict(scene.question(b"2")))
    await asyncio.wait({first}, timeout=0.01)
    first.cancel()
    scene.examiner.may_answer.set()
    assert (await second).error is None
    assert scene.examiner.examined == [b"1", b"2"]


async def test_a_file_that_cannot_be_fetched_is_an_error_of_its_asker_alone() -> None:
    async def fail() -> bytes:
        raise DecodeError(ErrorCode.INTERNAL_ERROR, "the image cannot be fetched")

    scene = Scene()
    verdict = await scene.ask(fetch=fail)
    assert verdict.error == VerdictError(code=ErrorCode.INTERNAL_ERROR, message="the image cannot be fetched")
    assert (await scene.ask()).error is None


async def test_a_late_one_is_refused_before_anything_is_done() -> None:
    scene = Scene()
    verdict = await scene.ask(left=0.0)
    assert verdict.error is not None
    assert verdict.error.code is ErrorCode.TOO_LATE
    assert scene.examiner.examined == []

import asyncio
from dataclasses import dataclass, field

import pytest

from shared.errors import ErrorCode
from shared.telemetry import Metrics
from shared.types import Inquiry, KnownVerdict, Priority, Verdict
from tests.factories import make_error_verdict, make_match, make_verdict
from tests.inspection_doubles import StillClock
from workers.migration.shadowing import Shadow
from workers.serving.admission import Admission
from workers.serving.verdicts import Question

METRIC = "safelight_worker_shadow_total"
FOUND = make_verdict(matches=(make_match(matched=True),))


@dataclass
class Judge:
    """The other encoder: says what it is told to, when it may."""

    says: Verdict = FOUND
    asked: list[tuple[bytes, Inquiry]] = field(default_factory=list)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def examine(self, data: bytes, sha256: str, inquiry: Inquiry) -> KnownVerdict:
        self.asked.append((data, inquiry))
        await self.may_answer.wait()
        return KnownVerdict(verdict=self.says)


class Scene:
    def __init__(self, *, share: float = 1.0, chance: float = 0.5) -> None:
        self.metrics, self.judge = Metrics(), Judge()
        self.admission = Admission(StillClock(), self.metrics, places=9)
        self.shadow = Shadow(self.judge, self.admission, self.metrics, share, lambda: chance)

        self.may_answer, self.begun = asyncio.Event(), asyncio.Event()
        self.may_answer.set()

    async def ask(self, verdict: Verdict = FOUND, *, fetches: bool = True) -> Verdict:
        async def fetch() -> bytes:
            return b"image"

        async def answer(question: Question) -> Verdict:
            if fetches:
                assert await question.fetch() == b"image"
            self.begun.set()
            await self.may_answer.wait()
            return verdict

        question = Question(sha256="a" * 64, size=5, inquiry=Inquiry(deadline=200.0, classifiers=("c",)), fetch=fetch)
        return await self.shadow.answered(question, answer)

    async def compared(self) -> None:
        self.judge.may_answer.set()
        async with asyncio.timeout(5):
            while not self.shadow.tally.images:
                await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=0.001)


async def test_the_answer_is_out_before_anything_is_compared() -> None:
    scene = Scene()
    assert await scene.ask() == FOUND
    assert scene.shadow.tally.images == 0
    await scene.compared()
    assert (scene.shadow.tally.images, scene.shadow.tally.agreeing) == (1, 1)
    assert scene.metrics.value(METRIC, outcome="agree") == 1
    (data, inquiry) = scene.judge.asked[0]
    assert (data, inquiry.priority, inquiry.limit, inquiry.classifiers) == (b"image", Priority.BACKGROUND, None, ("c",))


async def test_what_the_two_do_not_agree_on_is_counted() -> None:
    scene = Scene()
    scene.judge.says = make_verdict(matches=())
    await scene.ask()
    await scene.compared()
    assert scene.shadow.tally.sets["designs"].old_only == 1
    assert scene.metrics.value(METRIC, outcome="differ") == 1


@pytest.mark.parametrize(
    ("share", "chance", "verdict", "fetches"),
    [
        (0.05, 0.05, FOUND, True),
        (0.0, 0.0, FOUND, True),
        (1.0, 0.5, FOUND, False),
        (1.0, 0.5, make_verdict(degraded=True), True),
        (1.0, 0.5, make_verdict(hurried=True), True),
        (1.0, 0.5, make_error_verdict(ErrorCode.TOO_LATE), True),
    ],
    ids=["not its turn", "no share", "known already", "degraded", "hurried", "of the moment"],
)
async def test_what_is_not_compared(share: float, chance: float, verdict: Verdict, *, fetches: bool) -> None:
    scene = Scene(share=share, chance=chance)
    scene.judge.may_answer.set()
    assert await scene.ask(verdict, fetches=fetches) == verdict
    await scene.shadow.stop()
    assert scene.judge.asked == []


async def test_an_answer_that_comes_after_the_end_is_an_answer_and_not_compared() -> None:
    """The exchange of encoders ends the judge while questions that were begun before it are under way."""
    scene = Scene()
    scene.judge.may_answer.set()
    scene.may_answer.clear()
    asked = asyncio.get_running_loop().create_task(scene.ask())
    await scene.begun.wait()
    await scene.shadow.stop()
    scene.may_answer.set()
    assert await asked == FOUND
    await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=0.001)  # a comparison would begin here
    assert scene.judge.asked == []


async def test_one_at_a_time_and_only_while_there_is_time() -> None:
    scene = Scene()
    async with scene.admission.turn(1, 200.0, Priority.UPLOAD), scene.admission.turn(1, 200.0, Priority.UPLOAD):
        await scene.ask()
    assert scene.judge.asked == []
    await scene.ask()
    await scene.ask()
    await scene.compared()
    assert len(scene.judge.asked) == 1


async def test_what_the_other_could_not_judge_is_no_difference(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    scene.judge.says = make_error_verdict(ErrorCode.DECODE_TIMEOUT)
    scene.judge.may_answer.set()
    await scene.ask()
    async with asyncio.timeout(5):
        while "not compared" not in caplog.text:
            await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=0.001)
    assert scene.shadow.tally.images == 0
    await scene.shadow.stop()

"""Which engine answers, while the store changes its mind about the encoder."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import pytest

from shared.errors import EncoderUnavailableError, StoreError
from shared.telemetry import Metrics
from shared.types import Inquiry, KnownVerdict, RedactionOrder, Verdict
from tests.factories import make_match, make_verdict
from tests.inspection_doubles import StillClock
from tests.memory_store import MemoryStore
from workers.encoders.generations import GenerationBook, begun, copied, returned, settled, switched
from workers.encoders.names import EncoderName
from workers.engines.engine_room import RETRY_SECONDS, EngineRoom
from workers.migration.roll_call import RollCall
from workers.migration.shadowing import Judges
from workers.serving.admission import Admission
from workers.serving.verdicts import Question


def name(text: str) -> EncoderName:
    return EncoderName(id=f"{text}.int8", version=text, precision="int8")


ONE, TWO = name("one"), name("two")


class Judge:
    """Finds nothing."""

    async def examine(self, data: bytes, sha256: str, inquiry: Inquiry) -> KnownVerdict:
        return KnownVerdict(verdict=make_verdict(sha256=sha256, matches=()))


@dataclass
class Engine:
    """Answers with its name once it may, and is there when it is told to be."""

    name: EncoderName
    ready: bool = True
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    under_way: int = 0
    followed: bool = False
    shown: bool = False
    stopped: bool = False
    judged_until: AsyncExitStack | None = None

    def __post_init__(self) -> None:
        self.may_answer.set()
        self.idle = asyncio.Event()
        self.idle.set()

    def loaded(self) -> bool:
        return self.ready

    def show(self) -> None:
        self.shown = True

    def hide(self) -> None:
        self.shown = False

    async def follow(self) -> None:
        self.followed = True
        await asyncio.get_running_loop().create_future()

    async def verdict(self, question: Question) -> Verdict:
        self.idle.clear()
        assert not self.stopped
        await question.fetch()
        await self.may_answer.wait()
        assert not self.stopped, "an engine that is asked something is not stopped"
        self.idle.set()
        return make_verdict(encoder=self.name.id, matches=(make_match(matched=True),))

    async def obscure(self, data: bytes, order: RedactionOrder, *, deadline: float | None = None) -> bytes:
        return self.name.id.encode()

    async def inspection(self, metrics: Metrics, stack: AsyncExitStack) -> Judges:
        self.judged_until = stack
        return Judge()

    async def stop(self) -> None:
        await self.idle.wait()
        self.stopped = True


class Scene:
    def __init__(self) -> None:
        self.store, self.clock, self.metrics = MemoryStore(), StillClock(), Metrics()
        self.book = GenerationBook(self.store)
        self.opened: list[Engine] = []
        self.fails = ""
        self.ready = True
        self.first = Engine(ONE)
        admission = Admission(self.clock, self.metrics, places=9)
        self.room = EngineRoom(
            self.first, self.open, self.store, self.clock, self.metrics, admission, share=1.0, chance=lambda: 0.0
        )
        self.room.start()

    async def open(self, wanted: EncoderName, source: EncoderName) -> Engine:
        if self.fails:
            raise EncoderUnavailableError(self.fails)
        assert wanted != source
        self.opened.append(Engine(wanted, ready=self.ready))
        return self.opened[-1]

    async def looks(self, times: int = 4) -> None:
        for _ in range(times):
            await self.room.look()
            await turn()

    async def to_shadow(self) -> None:
        await self.book.move(lambda now: begun(now, TWO), ONE)
        await self.book.move(copied, ONE)

    async def said(self) -> list[tuple[str, str, str]]:
        words = await RollCall(self.store, self.clock).present()
        return [(word.serving, word.beside, word.error) for word in words]

    async def ask(self) -> str:
        return (await self.room.verdict(question())).encoder


def question() -> Question:
    async def fetch() -> bytes:
        return b"image"

    return Question(sha256="a" * 64, size=5, inquiry=Inquiry(), fetch=fetch)


async def turn() -> None:
    """Let every task that can go on do so."""
    await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=0.001)


async def test_while_nothing_changes_there_is_one_engine_and_nothing_is_said() -> None:
    scene = Scene()
    await scene.looks()
    await scene.book.move(settled, ONE)
    await scene.looks()
    assert (scene.opened, await scene.said(), await scene.ask()) == ([], [], ONE.id)
    assert scene.first.followed


async def test_while_the_index_is_being_made_nothing_is_loaded() -> None:
    scene = Scene()
    await scene.book.move(lambda now: begun(now, TWO), ONE)
    await scene.looks()
    assert scene.opened == []
    assert await scene.said() == [(ONE.id, "", "")]


async def test_the_second_engine_is_loaded_compared_with_and_takes_over() -> None:
    scene = Scene()
    await scene.to_shadow()
    scene.ready = False
    await scene.looks()
    assert await scene.said() == [(ONE.id, "", "")], "it is not ready before its index is"
    (second,) = scene.opened
    second.ready = True
    await scene.looks()
    assert await scene.said() == [(ONE.id, TWO.id, "")]
    assert (scene.first.shown, second.shown) == (True, False), "the gauges tell of the one that answers"
    assert await scene.ask() == ONE.id
    await turn()
    await scene.looks()
    (word,) = await RollCall(scene.store, scene.clock).present()
    assert (word.tally.images, word.tally.sets["designs"].old_only) == (1, 1)
    await scene.book.move(switched, ONE)
    await scene.looks()
    assert await scene.ask() == TWO.id
    assert await scene.room.obscure(b"", RedactionOrder()) == TWO.id.encode()
    assert await scene.said() == [(TWO.id, "", "")]
    assert (scene.first.stopped, second.stopped, len(scene.opened)) == (True, False, 1)
    assert (scene.first.shown, second.shown) == (False, True)


async def test_a_question_is_finished_with_the_engine_it_was_begun_with() -> None:
    scene = Scene()
    await scene.to_shadow()
    await scene.looks()
    scene.first.may_answer.clear()
    asked = asyncio.get_running_loop().create_task(scene.ask())
    await turn()
    await scene.book.move(switched, ONE)
    await scene.looks()
    assert await scene.ask() == TWO.id
    assert not scene.first.stopped
    scene.first.may_answer.set()
    assert await asked == ONE.id
    await turn()
    assert scene.first.stopped


async def test_the_way_back_is_a_change_like_any_other() -> None:
    scene = Scene()
    await scene.to_shadow()
    await scene.looks()
    await scene.book.move(switched, ONE)
    await scene.looks()
    await scene.book.move(returned, ONE)
    await scene.looks()
    assert await scene.said() == [(TWO.id, ONE.id, "")]
    await scene.book.move(switched, ONE)
    await scene.looks()
    assert await scene.ask() == ONE.id
    assert [each.name for each in scene.opened] == [TWO, ONE]


async def test_a_change_that_is_given_up_leaves_one_engine() -> None:
    scene = Scene()
    await scene.to_shadow()
    await scene.looks()
    await scene.book.move(settled, ONE)
    await scene.looks()
    assert scene.opened[0].stopped
    assert await scene.ask() == ONE.id


async def test_an_encoder_that_is_not_here_is_told_and_tried_again() -> None:
    scene = Scene()
    await scene.to_shadow()
    scene.fails = "no such files"
    await scene.looks()
    assert scene.room.error == "two.int8 cannot be loaded here: no such files"
    assert await scene.said() == [(ONE.id, "", scene.room.error)]
    await scene.book.move(switched, ONE)
    await scene.looks()
    assert scene.room.behind
    assert await scene.ask() == ONE.id, "an answer by the old encoder is better than none"
    scene.fails = ""
    await scene.looks()
    assert scene.opened == [], "not at every look"
    scene.clock.now += RETRY_SECONDS
    await scene.looks()
    assert await scene.ask() == TWO.id
    assert (scene.room.behind, scene.room.error) == (False, "")


async def test_a_worker_that_slept_through_the_shadow_catches_up() -> None:
    scene = Scene()
    await scene.to_shadow()
    await scene.book.move(switched, ONE)
    await scene.looks()
    assert await scene.ask() == TWO.id


async def test_a_store_that_is_away_changes_nothing() -> None:
    scene = Scene()
    await scene.to_shadow()
    await scene.looks()
    scene.store.down = True
    with pytest.raises(StoreError):
        await scene.room.look()
    assert await scene.ask() == ONE.id
    await scene.room.stop()
    assert scene.opened[0].stopped


async def test_who_stops_signs_off() -> None:
    scene = Scene()
    await scene.to_shadow()
    await scene.looks()
    await scene.room.stop()
    assert await scene.said() == []
    assert (scene.first.stopped, scene.opened[0].stopped) == (True, True)


async def test_an_engine_whose_follower_breaks_ends_the_worker() -> None:
    class Breaks(Engine):
        async def follow(self) -> None:
            raise RuntimeError("a bug")

    scene = Scene()
    room = EngineRoom[Engine](
        Breaks(ONE),
        scene.open,
        scene.store,
        scene.clock,
        scene.metrics,
        Admission(scene.clock, scene.metrics, places=9),
        share=0.0,
    )
    room.start()
    await turn()
    with pytest.raises(RuntimeError, match="a bug"):
        await room.look()

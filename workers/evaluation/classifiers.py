"""One evaluation of classifiers from beginning to end: every picture is looked at once, decoded in the sandbox."""

from __future__ import annotations

import asyncio
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np

from shared.errors import DecodeError, UsageError
from shared.types import DecodedFrame, DecodedImage
from workers.classifying.bank import Bank
from workers.classifying.clusters import COSINE
from workers.classifying.dense_features import Floats
from workers.classifying.rates import Scores
from workers.classifying.vectors import FeatureModel, row_of, unit
from workers.encoders.encoder import Encoder
from workers.evaluation import classifiers_baseline, classifiers_figures
from workers.evaluation.classifiers_baseline import Baseline, Course
from workers.evaluation.classifiers_draws import Draw, Outcome, Seen, clusters_of, draw, judge
from workers.evaluation.classifiers_figures import Measured
from workers.evaluation.classifiers_methods import METHODS, Method
from workers.evaluation.classifiers_pictures import Block, Shown
from workers.evaluation.measuring import Progress
from workers.evaluation.tables import Cell, Report, Section
from workers.training.lesson import Lesson, Pixels

SHOTS: Final = (20, 50, 100)
DRAWS: Final = 2


class Decodes(Protocol):
    """What decodes files, such as a DecodePool."""

    async def decode(self, data: bytes) -> DecodedImage:
        """Return the image; raises DecodeError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How many images a label are given, and how often they are drawn; ``baselines`` train on the same images."""

    shots: tuple[int, ...] = SHOTS
    draws: int = DRAWS
    baselines: tuple[Baseline, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What looks at a picture, and the other pictures that ship."""

    decoder: Decodes
    encoder: Encoder
    model: FeatureModel
    bank: Bank
    progress: Progress


class _Eyes:
    """Looks at every picture once, though two blocks show it, and keeps the seconds of one core that this took."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._known: dict[Shown, tuple[str, Floats] | None] = {}
        self._encoding = self._describing = 0.0
        self._count = 0

    async def see(self, shown: Sequence[Shown], what: str) -> Seen:
        """Return the vectors of those that can be read."""
        kept: list[tuple[Shown, str, Floats]] = []
        for number, one in enumerate(shown):
            self._parts.progress(what, number + 1, len(shown))
            if one not in self._known:
                self._known[one] = await self._look(one)
            if (known := self._known[one]) is not None:
                kept.append((one, *known))
        length = self._parts.encoder.dimension + self._parts.model.length
        return Seen(
            labels=tuple(one.label for one, _, _ in kept),
            unseen=np.array([one.unseen for one, _, _ in kept], np.bool_),
            pdqs=tuple(pdq for _, pdq, _ in kept),
            rows=np.array([row for _, _, row in kept], np.float32).reshape(-1, length),
        )

    def readable(self, shown: Sequence[Shown]) -> list[Shown]:
        """Return those that could be read, in the order in which `see` told of them."""
        return [one for one in shown if self._known.get(one) is not None]

    async def pixels(self, shown: Sequence[Shown]) -> Pixels:
        """Return what the encoder sees of pictures that can be read: n x side x side x 3."""
        side = self._parts.encoder.side
        found = [(await self._parts.decoder.decode(one.read())).frames[0].pixels for one in shown]
        return np.frombuffer(b"".join(found), np.uint8).reshape(len(found), side, side, 3)

    def seconds(self, method: Method) -> float:
        """Return what the method's vectors of a picture take."""
        return (self._encoding + (self._describing if method.handmade else 0.0)) / max(1, self._count)

    async def _look(self, one: Shown) -> tuple[str, Floats] | None:
        try:
            frame = (await self._parts.decoder.decode(one.read())).frames[0]
        except (DecodeError, OSError):
            return None
        return frame.pdq[0], self._vector(frame)

    def _vector(self, frame: DecodedFrame) -> Floats:
        encoder, model = self._parts.encoder, self._parts.model
        started = time.thread_time()
        encoded = encoder.embed([frame.pixels])[0]
        between = time.thread_time()
        row = row_of(encoded, model.describe(frame, encoder.side), model)
        self._encoding += between - started
        self._describing += time.thread_time() - between
        self._count += 1
        return row


async def evaluate(blocks: Sequence[Block], options: Options, parts: Parts) -> Report:
    """Measure every method on the same pictures and draws; raises UsageError where there is nothing to measure."""
    eyes = _Eyes(parts)
    sections = []
    for block in blocks:
        started = time.monotonic()
        measured = await _block(block, options, parts, eyes)
        sections.append(replace(measured, seconds=time.monotonic() - started))
    facts: dict[str, Cell] = {
        "encoder": parts.encoder.id,
        "features": parts.model.name,
        "draws": options.draws,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }
    return Report(encoder=parts.encoder.id, facts=facts, sections=tuple(sections))


async def _block(block: Block, options: Options, parts: Parts, eyes: _Eyes) -> Section:
    seen = await eyes.see(block.shown, f"{block.name}: looking")
    if not seen.labels:
        raise UsageError(f"{block.title}: no file is an image that can be read")
    others = (await eyes.see(block.others, f"{block.name}: looking at others")).rows
    strange = (unit(others) @ unit(parts.bank.rows).T).max(axis=1) < COSINE
    others = others[strange]
    if not len(others):
        raise UsageError(f"{block.title}: there is no other picture that the bank does not hold")
    clusters = clusters_of(seen)
    measured: list[Measured] = []
    courses: list[Course] = []
    strangers = [one for one, kept in zip(eyes.readable(block.others), strange, strict=True) if kept]
    for shots in sorted(set(options.shots)):
        drawn = [draw(seen, clusters, shots, number) for number in range(options.draws)]
        drawn = [one for one in drawn if one.asked]
        for number, method in enumerate(METHODS if drawn else ()):
            parts.progress(f"{block.name}: {shots} images a label, methods", number + 1, len(METHODS))
            measured.append(_method(method, shots, seen, drawn, others, parts, eyes))
        for baseline in options.baselines if drawn else ():
            parts.progress(f"{block.name}: {shots} images a label, {baseline.name}", 1, 1)
            courses.append(await _course(baseline, block, seen, drawn[0], strangers, measured[-1], eyes))
    if not measured:
        raise UsageError(f"{block.title}: too few different images for {min(options.shots)} a label and some to ask")
    section = classifiers_figures.section(
        block.name, block.title, f"{block.text}{_missing(options, measured)}", measured, len(others)
    )
    if not courses:
        return section
    return replace(
        section,
        tables=(*section.tables, classifiers_baseline.table(courses)),
        plots=(*section.plots, *classifiers_baseline.plots(courses)),
    )


async def _course(
    baseline: Baseline,
    block: Block,
    seen: Seen,
    drawn: Draw,
    strangers: Sequence[Shown],
    product: Measured,
    eyes: _Eyes,
) -> Course:
    """Train a baseline on what one draw teaches, and judge it as the methods were."""
    shown = eyes.readable(block.shown)
    await eyes.see(block.background, f"{block.name}: looking at the background")
    background = eyes.readable(block.background)
    taught = [shown[one] for one in drawn.taught]
    number = {label: index + 1 for index, label in enumerate(drawn.labels)}
    lesson = Lesson(
        pixels=await eyes.pixels([*taught, *background]),
        classes=np.array([*(number[one.label] for one in taught), *(0 for _ in background)], np.int64),
        count=len(drawn.labels) + 1,
    )
    asked, others = await eyes.pixels([shown[one] for one in drawn.asked]), await eyes.pixels(strangers)

    def judged(margins: Callable[[Pixels], Floats]) -> float:
        outcome = judge(seen, drawn, margins(asked).astype(np.float64), margins(others).astype(np.float64))
        return outcome.named / outcome.asked

    moments = await asyncio.to_thread(baseline.train, lesson, judged)
    first = product.outcomes[0]
    return Course(
        network=baseline.name,
        shots=product.shots,
        images=len(taught),
        moments=moments,
        named=first.named / first.asked,
        vector_seconds=product.vector_seconds * len(taught),
        fit_seconds=product.fit_seconds,
    )


def _missing(options: Options, measured: Sequence[Measured]) -> str:
    too_many = sorted(set(options.shots) - {one.shots for one in measured})
    return f" No class has images enough for {', '.join(map(str, too_many))} a label." if too_many else ""


def _method(
    method: Method, shots: int, seen: Seen, drawn: Sequence[Draw], others: Floats, parts: Parts, eyes: _Eyes
) -> Measured:
    dimension = parts.encoder.dimension
    outcomes: list[Outcome] = []
    fitting = scoring = 0.0
    for one in drawn:
        started = time.process_time()
        scorer = method.taught(tuple(map(seen.example, one.taught)), parts.bank, dimension)
        between = time.process_time()
        own: Scores = scorer(method.rows(seen.rows[list(one.asked)], dimension))
        strange: Scores = scorer(method.rows(others, dimension))
        fitting += between - started
        scoring += (time.process_time() - between) / (len(own) + len(strange))
        outcomes.append(judge(seen, one, own, strange))
    return Measured(
        method=method.name,
        shots=shots,
        classes=len(drawn[0].labels),
        outcomes=tuple(outcomes),
        fit_seconds=fitting / len(drawn),
        vector_seconds=eyes.seconds(method),
        image_seconds=eyes.seconds(method) + scoring / len(drawn),
    )

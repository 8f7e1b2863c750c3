"""Runs methods over queries: every method answers every query, and the time of one core that it took is kept."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from workers.evaluation.figures import NONE, Rankings, Share, interval
from workers.evaluation.methods import Method, Ranking, Sample, stacked
from workers.evaluation.pictures import Picture, Split
from workers.transformations import TRANSFORMS, canonical

NEGATIVE: Final = "negative"
NEEDS_ANOTHER: Final = frozenset({"collage"})
"""Transformations that paste: for the others no second picture is opened."""

type Progress = Callable[[str, int, int], None]
"""(what is being done, done, in all)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """An edited picture: of reference `number`, or NONE for nobody's copy; `source` is where the picture is from."""

    name: str
    number: int
    source: str
    image: Image.Image


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One method in one mode, and what it answered."""

    name: str
    mode: str
    rankings: Rankings

    @property
    def label(self) -> str:
        """Name and mode where the mode tells rows apart."""
        return self.name if self.mode == "always" else f"{self.name}, {self.mode}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measured:
    """All answers to one stream of queries."""

    rows: tuple[Row, ...]
    names: NDArray[np.str_]
    truth: NDArray[np.int64]
    sources: NDArray[np.str_]

    def row(self, name: str, mode: str = "always") -> Row | None:
        """The row of a method; None where it was not measured."""
        return next((row for row in self.rows if (row.name, row.mode) == (name, mode)), None)

    @property
    def negatives(self) -> NDArray[np.bool_]:
        """Which queries are nobody's copy."""
        return np.asarray(self.truth == NONE)


def enrol(methods: Sequence[Method], pictures: Sequence[Picture], progress: Progress) -> None:
    """Give every method every reference, one picture in memory at a time."""
    for number, picture in enumerate(pictures):
        progress("enrolling", number, len(pictures))
        sample = Sample(canonical(picture.open()))
        for method in methods:
            method.enrol(sample)
    progress("enrolling", len(pictures), len(pictures))
    for method in methods:
        method.ready()


def ask(methods: Sequence[Method], queries: Iterable[Query], count: int, progress: Progress) -> Measured:
    """Let every method answer every one of the `count` queries, one after the other; raises ValueError for none."""
    answers: list[list[Ranking]] = [[] for _ in methods]
    seconds: list[list[float]] = [[] for _ in methods]
    names: list[str] = []
    truth: list[int] = []
    sources: list[str] = []
    for done, query in enumerate(queries):
        progress("asking", done, count)
        names.append(query.name)
        truth.append(query.number)
        sources.append(query.source)
        sample = Sample(query.image)
        _ = sample.data  # writing it is nobody's time
        if not done:
            for method in methods:
                method.query(sample)  # the first one loads what is loaded lazily
        for place, method in enumerate(methods):
            started = time.process_time()
            answers[place].append(method.query(sample))
            seconds[place].append(time.process_time() - started)
    progress("asking", count, count)
    if not names:
        raise ValueError("there are no queries")
    rows = []
    for method, found, spent in zip(methods, answers, seconds, strict=True):
        numbers, scores = stacked(found)
        rankings = Rankings(numbers=numbers, scores=scores, seconds=np.array(spent))
        rows.append(Row(name=method.name, mode=method.mode, rankings=rankings))
    return Measured(rows=tuple(rows), names=np.array(names), truth=np.array(truth, np.int64), sources=np.array(sources))


def recall_queries(split: Split, names: Sequence[str] = tuple(TRANSFORMS)) -> Iterator[Query]:
    """Every reference under every transformation, then every negative under one of them; always the same."""
    rng = random.Random(11)
    others = split.negatives or split.references
    for number, picture in enumerate(split.references):
        image = canonical(picture.open())
        for name in names:
            yield _query(name, number, picture, image, rng, others)
    for picture in split.negatives:
        query = _query(rng.choice(names), NONE, picture, canonical(picture.open()), rng, others)
        yield Query(name=NEGATIVE, number=NONE, source=picture.source, image=query.image)


def recall_query_count(split: Split, names: Sequence[str] = tuple(TRANSFORMS)) -> int:
    """How many queries `recall_queries` gives."""
    return len(split.references) * len(names) + len(split.negatives)


def _query(
    name: str, number: int, picture: Picture, image: Image.Image, rng: random.Random, others: Sequence[Picture]
) -> Query:
    other = rng.choice(others)
    beside = canonical(other.open()) if name in NEEDS_ANOTHER else image
    edited = TRANSFORMS[name](image, rng, beside)
    return Query(name=name, number=number, source=picture.source, image=edited)


def share_of(hits: NDArray[np.bool_], among: NDArray[np.bool_]) -> Share:
    """The share of `among` that are hits, with its interval."""
    return interval(int(hits[among].sum()), int(among.sum()))

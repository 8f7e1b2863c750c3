"""Back-propagation as a baseline: how long a small network trains until it is as good as a classifier, if ever.

The network gets the same images, and photographs for what the bank is to a classifier.  Its course is judged as it
goes, on the very images that are asked for: it stops, in its favour, where nobody could know that it should.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from workers.evaluation.tables import Cell, Plot, Table, columns, flow
from workers.training.lesson import Judged, Lesson, Moment

BACKGROUND: Final = 400
"""Photographs that teach a network `other`."""
COLUMNS: Final = columns(
    ("network", "network", "text"),
    ("shots", "images a label", "count"),
    ("images", "images", "count"),
    ("views", "views", "count"),
    ("named", "named at FPR .5 %", "share"),
    ("product", "classifier's", "share"),
    ("reached", "as good", "text"),
    ("seconds", "processor s", "number"),
    ("product_seconds", "classifier's", "number"),
    ("ratio", "times as long", "number"),
    ("fit_ratio", "as the fit alone", "number"),
)
NOTE: Final = flow(
    """'named at FPR .5 %': the most that a network ever named. 'processor s': on one core, until it first named as many
    as the classifier; where it never did ('as good': never), its whole training, and the ratios are lower bounds. The
    classifier's: every image's vectors and the fit, with calibration and held-out rates, of one core; both without
    decoding and judging. One draw. A network is judged on the very images that are asked for, several times as it goes,
    which is to its favour."""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """One network's training with so many images a label, beside the classifier's ``named`` share and seconds."""

    network: str
    shots: int
    images: int
    moments: tuple[Moment, ...]
    named: float
    vector_seconds: float
    fit_seconds: float

    def reached(self) -> Moment | None:
        """Return when the network first was as good as the classifier; None: never."""
        return next((moment for moment in self.moments if moment.named >= self.named), None)

    @property
    def product_seconds(self) -> float:
        """Of processor time, for the classifier."""
        return self.vector_seconds + self.fit_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """A network that can be trained."""

    name: str
    train: Callable[[Lesson, Judged], tuple[Moment, ...]]


def table(courses: Sequence[Course]) -> Table:
    """Return the table of all trainings."""
    rows = tuple(row_of(course) for course in courses)
    return Table(
        name="networks", title="A small network trained on the same images", columns=COLUMNS, rows=rows, note=NOTE
    )


def plots(courses: Sequence[Course]) -> tuple[Plot, ...]:
    """Return a plot for each number of images a label: what each network names over its time, beside the classifier."""
    return tuple(_plot(shots, [each for each in courses if each.shots == shots]) for shots in _shots(courses))


def _shots(courses: Sequence[Course]) -> list[int]:
    return sorted({course.shots for course in courses})


def _plot(shots: int, courses: Sequence[Course]) -> Plot:
    first = courses[0]
    lines = {each.network: tuple((moment.processor, moment.named) for moment in each.moments) for each in courses}
    longest = max(moment.processor for each in courses for moment in each.moments)
    # The classifier is there after its seconds, and gets no better.
    lines["classifier"] = ((first.product_seconds, first.named), (max(longest, first.product_seconds), first.named))
    return Plot(
        name=f"networks_{shots}",
        title=f"Networks and the classifier, {shots} images a label",
        x_title="processor seconds of one core",
        y_title="named at FPR .5 %",
        series=lines,
        logarithmic=True,
    )


def row_of(course: Course) -> dict[str, Cell]:
    """Return the table's row."""
    reached = course.reached()
    moment = reached or course.moments[-1]
    return {
        "network": course.network,
        "shots": course.shots,
        "images": course.images,
        "views": moment.views,
        "named": max(each.named for each in course.moments),
        "product": course.named,
        "reached": "never" if reached is None else "yes",
        "seconds": moment.processor,
        "product_seconds": course.product_seconds,
        "ratio": moment.processor / course.product_seconds,
        "fit_ratio": moment.processor / course.fit_seconds,
    }

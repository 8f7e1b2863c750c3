"""Back-propagation as a baseline: how long a small network trains until it is as good as a classifier, if ever.

The network gets the same images, and photographs for what the bank is to a classifier.  Its course is judged as it
goes, on the very images that are asked for: it stops, in its favour, where nobody could know that it should.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from workers.evaluation.tables import Cell, Table, columns, flow
from workers.training.lesson import Judged, Lesson, Moment

BACKGROUND: Final = 400
"""Photographs that teach a network `other`."""
PLATEAU: Final = 0.005
"""Of the share that is named: as near to the best that a network reached."""
COLUMNS: Final = columns(
    ("network", "network", "text"),
    ("shots", "images a label", "count"),
    ("images", "images", "count"),
    ("views", "views", "count"),
    ("named", "named at FPR .5 %", "share"),
    ("seconds", "processor s", "count"),
    ("product", "classifier's", "share"),
    ("product_seconds", "processor s", "rate"),
    ("ratio", "times as long", "count"),
    ("fit_ratio", "than the fit alone", "count"),
)
NOTE: Final = flow(
    """Processor seconds until the network first names as many as the classifier does, or else, to within half a point,
    the most that it ever does ('named': that share). The classifier's: every image's vectors and the fit, with
    calibration and held-out rates, neither with decoding. One draw."""
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

    def reached(self) -> Moment:
        """Return when the network was as good as the classifier, or else as good as it ever was."""
        aim = min(self.named, max(moment.named for moment in self.moments) - PLATEAU)
        return next(moment for moment in self.moments if moment.named >= aim)


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


def row_of(course: Course) -> dict[str, Cell]:
    """Return the table's row."""
    moment = course.reached()
    whole = course.vector_seconds + course.fit_seconds
    return {
        "network": course.network,
        "shots": course.shots,
        "images": course.images,
        "views": moment.views,
        "named": moment.named,
        "seconds": moment.processor,
        "product": course.named,
        "product_seconds": whole,
        "ratio": moment.processor / whole,
        "fit_ratio": moment.processor / course.fit_seconds,
    }

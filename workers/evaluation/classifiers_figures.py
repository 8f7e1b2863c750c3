"""What classifiers were measured to do, as a table and a plot.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from workers.classifying.calibration import TARGETS, score_of
from workers.classifying.rates import rate
from workers.evaluation.classifiers_draws import Outcome
from workers.evaluation.tables import Cell, Plot, Section, Table, columns, flow

COLUMNS: Final = columns(
    ("method", "method", "text"),
    ("shots", "images a label", "count"),
    ("classes", "classes", "count"),
    ("asked", "asked for", "count"),
    ("named", "named at FPR .5 %", "share"),
    ("fresh", "unseen", "count"),
    ("named_fresh", "named of these", "share"),
    ("accepted", "named at 85", "share"),
    ("false", "FPR at 85", "rate"),
    ("false_low", "from", "rate"),
    ("false_high", "to", "rate"),
    ("nearest", "without other", "share"),
    ("fit_ms", "fit ms", "ms"),
    ("image_ms", "ms an image", "ms"),
)
NOTE: Final = flow(
    """'named at FPR .5 %': right label, and accepted where the threshold is put so that one in 200 other pictures is
    given any label; 'unseen': how many no training of the encoder had, and the share of these that is named; 'named at
    85' and 'FPR at 85': at the product's default threshold, with the 95 % interval of the false positives; 'without
    other': the best label is right. Means of all draws. 'fit ms': processor time, with calibration and held-out rates;
    'ms an image': the vectors and the comparison, of one core, without decoding."""
)
KEPT: Final = columns(
    ("shots", "images a label", "count"),
    ("target", "to be given a label", "share"),
    ("threshold", "threshold", "number"),
    ("measured", "were given one", "rate"),
    ("low", "from", "rate"),
    ("high", "to", "rate"),
)
KEPT_NOTE: Final = flow(
    """The product's head: the share of other pictures, none of which any fit or calibration had, that is given a label
    at the threshold that `classifier show` tells for a share. Means of all draws, with the 95 % interval."""
)
TEXT: Final = flow(
    """Near-duplicates are on one side, and no other picture is near one of the bank's. All methods have the same
    images, draws and bank."""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One method with so many images a label: an outcome a draw, seconds of one fit and of one image.

    ``vector_seconds`` of an image's are for its vectors.
    """

    method: str
    shots: int
    classes: int
    outcomes: tuple[Outcome, ...]
    fit_seconds: float
    vector_seconds: float
    image_seconds: float

    @property
    def named(self) -> float:
        """The share that is named where one in 200 other pictures is given a label."""
        return sum(one.named for one in self.outcomes) / max(1, sum(one.asked for one in self.outcomes))


def row_of(measured: Measured) -> dict[str, Cell]:
    """Return the table's row: means of all draws."""
    asked = sum(one.asked for one in measured.outcomes)
    fresh = sum(one.fresh for one in measured.outcomes)
    others = measured.outcomes[0].others
    # The other pictures are the same in every draw: they are so many observations, and no more.
    alarms = rate(round(float(np.mean([one.alarms for one in measured.outcomes]))), others)
    return {
        "method": measured.method,
        "shots": measured.shots,
        "classes": measured.classes,
        "asked": asked / len(measured.outcomes),
        "named": measured.named,
        "fresh": fresh / len(measured.outcomes),
        "named_fresh": sum(one.named_fresh for one in measured.outcomes) / fresh if fresh else None,
        "accepted": sum(one.accepted for one in measured.outcomes) / max(1, asked),
        "false": sum(one.alarms for one in measured.outcomes) / len(measured.outcomes) / others,
        "false_low": alarms.interval.low,
        "false_high": alarms.interval.high,
        "nearest": sum(one.nearest for one in measured.outcomes) / max(1, asked),
        "fit_ms": measured.fit_seconds * 1000,
        "image_ms": measured.image_seconds * 1000,
    }


def kept_rows(measured: Measured) -> tuple[dict[str, Cell], ...]:
    """Return how many other pictures are given a label, beside how many were to be."""
    others = measured.outcomes[0].others
    rows: list[dict[str, Cell]] = []
    for place, target in enumerate(TARGETS):
        mean = float(np.mean([one.reached[place] for one in measured.outcomes]))
        found = rate(round(mean), others)
        rows.append(
            {
                "shots": measured.shots,
                "target": target,
                "threshold": score_of(target),
                "measured": mean / others,
                "low": found.interval.low,
                "high": found.interval.high,
            }
        )
    return tuple(rows)


def section(name: str, title: str, text: str, measured: Sequence[Measured], others: int) -> Section:
    """Return one block's table, and its shares over the images a label."""
    rows = tuple(row_of(one) for one in measured)
    series = {
        method: tuple((float(one.shots), one.named) for one in measured if one.method == method)
        for method in dict.fromkeys(one.method for one in measured)
    }
    plot = Plot(
        name="shots",
        title=f"{title}: images a label",
        x_title="images a label",
        y_title="named at FPR .5 %",
        series=series,
        logarithmic=True,
    )
    return Section(
        name=name,
        title=title,
        text=f"{text} {TEXT} Other pictures: {others:,}.",
        tables=(
            Table(name="methods", title="Methods", columns=COLUMNS, rows=rows, note=NOTE),
            Table(
                name="kept",
                title="False positives to be had, and had",
                columns=KEPT,
                rows=tuple(row for one in measured if one.method == measured[-1].method for row in kept_rows(one)),
                note=KEPT_NOTE,
            ),
        ),
        plots=(plot,),
    )

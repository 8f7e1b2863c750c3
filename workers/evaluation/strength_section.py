"""Every transformation at three strengths: where each method stops to find the copy."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence

from workers.evaluation.figures import found_first
from workers.evaluation.measuring import Measured, Query
from workers.evaluation.pictures import Picture, Split
from workers.evaluation.strengths import STRENGTHS
from workers.evaluation.tables import Cell, Column, Table, flow, heat_columns
from workers.transformations import canonical

SEPARATOR = " | "


def strength_queries(split: Split, references: int) -> Iterator[Query]:
    """The first `references` under every transformation at every strength; always the same."""
    rng = random.Random(13)
    others: Sequence[Picture] = split.negatives or split.references
    for number, picture in enumerate(split.references[:references]):
        image = canonical(picture.open())
        other = canonical(rng.choice(others).open())
        for name, steps in STRENGTHS.items():
            for strength, edit in steps:
                edited = edit(image, rng, other)
                yield Query(name=f"{name}{SEPARATOR}{strength}", number=number, source=picture.source, image=edited)


def strength_query_count(references: int) -> int:
    """How many queries `strength_queries` gives."""
    return references * sum(map(len, STRENGTHS.values()))


def strength_table(measured: Measured, references: int) -> Table:
    """Recall@1 by transformation and strength, a column a method."""
    labels = [row.label for row in measured.rows]
    right = [found_first(row.rankings, measured.truth) for row in measured.rows]
    rows: list[dict[str, Cell]] = []
    for name, steps in STRENGTHS.items():
        for strength, _ in steps:
            of_it = measured.names == f"{name}{SEPARATOR}{strength}"
            line: dict[str, Cell] = {"transformation": name, "strength": strength}
            for label, found in zip(labels, right, strict=True):
                line[label] = float(found[of_it].mean()) if of_it.any() else math.nan
            rows.append(line)
    return Table(
        name="strengths",
        title="Recall@1 by transformation and strength",
        columns=(
            Column(key="transformation", title="transformation"),
            Column(key="strength", title="strength"),
            *heat_columns(labels),
        ),
        rows=tuple(rows),
        note=flow(
            f"""{references} references, each under every transformation at three strengths from weak to strong,
            searched among all that are enrolled."""
        ),
    )

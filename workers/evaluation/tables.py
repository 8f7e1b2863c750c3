"""What an evaluation says: sections of tables and plots, the same for terminal, JSON and page.  Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

type Cell = str | int | float | bool | None
type Kind = Literal["text", "share", "rate", "count", "ms", "number", "met"]
"""share: 0..1, three decimals. rate: 0..1, small, in scientific notation where it is. met: whether a target was."""

NOTHING: Final = "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """`key` in a row's mapping and in JSON, `title` above it; `heat`: a share is coloured by its value."""

    key: str
    title: str
    kind: Kind = "text"
    heat: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of named cells; `note` says how they were measured."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Mapping[str, Cell], ...]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A labelled point."""

    label: str
    x: float
    y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """Labelled points, or a line through each series of them; `logarithmic`: the x axis."""

    name: str
    title: str
    x_title: str
    y_title: str
    series: Mapping[str, tuple[tuple[float, float], ...]] = field(default_factory=dict)
    points: tuple[Point, ...] = ()
    logarithmic: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One part of a report, measured in one go; `seconds` it took."""

    name: str
    title: str
    text: str
    tables: tuple[Table, ...]
    plots: tuple[Plot, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything of one run; `facts` say what was measured, on what, with what."""

    encoder: str
    facts: Mapping[str, Cell]
    sections: tuple[Section, ...]


def shown(value: Cell, kind: Kind) -> str:  # noqa: PLR0911 - one line a kind
    """A cell as a reader sees it."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return NOTHING
    if kind == "met":
        return "met" if value else "missed"
    if isinstance(value, str | bool):
        return str(value)
    if math.isinf(value):
        return "none" if value > 0 else NOTHING
    match kind:
        case "share":
            return f"{value:.3f}"
        case "rate":
            return "0" if value == 0 else f"{value:.1e}" if value < 0.001 else f"{value:.4f}"
        case "ms":
            return f"{value:.2f}" if value < 10 else f"{value:.1f}"
        case "count":
            return f"{value:,.0f}"
        case _:
            return f"{value:.3g}"


def as_json(report: Report) -> dict[str, object]:
    """The report as JSON can hold it: numbers that are none become null."""
    return {
        "encoder": report.encoder,
        "facts": {key: _plain(value) for key, value in report.facts.items()},
        "sections": [_section(section) for section in report.sections],
    }


def _section(section: Section) -> dict[str, object]:
    return {
        "name": section.name,
        "title": section.title,
        "text": section.text,
        "seconds": round(section.seconds, 1),
        "tables": [
            {
                "name": table.name,
                "title": table.title,
                "note": table.note,
                "rows": [{column.key: _plain(row.get(column.key)) for column in table.columns} for row in table.rows],
            }
            for table in section.tables
        ],
        "plots": [
            {
                "name": plot.name,
                "title": plot.title,
                "points": [{"label": p.label, "x": _plain(p.x), "y": _plain(p.y)} for p in plot.points],
                "series": {name: [list(map(_plain, pair)) for pair in line] for name, line in plot.series.items()},
            }
            for plot in section.plots
        ],
    }


def _plain(value: Cell) -> Cell:
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value


def as_text(table: Table, width: int | None = None) -> str:
    """The table in columns of one typeface; where it is wider than `width`, in blocks that repeat its first texts."""
    keys = next((n for n, column in enumerate(table.columns) if column.kind != "text"), len(table.columns))
    blocks: list[list[str]] = []
    rest = list(range(keys, len(table.columns)))
    while rest or not blocks:
        count = len(rest)
        while count > 1 and width is not None and len(_lines(table, [*range(keys), *rest[:count]])[1]) > width:
            count -= 1
        blocks.append(_lines(table, [*range(keys), *rest[:count]]))
        rest = rest[count:]
    return "\n\n".join("\n".join(line.rstrip() for line in block) for block in blocks)


def _lines(table: Table, places: Sequence[int]) -> list[str]:
    wanted = [table.columns[place] for place in places]
    grid = [[column.title for column in wanted]]
    grid += [[shown(row.get(column.key), column.kind) for column in wanted] for row in table.rows]
    sizes = [max(len(line[place]) for line in grid) for place in range(len(wanted))]
    left = [column.kind == "text" for column in wanted]
    lines = [
        "  ".join(
            cell.ljust(size) if is_left else cell.rjust(size)
            for cell, size, is_left in zip(line, sizes, left, strict=True)
        )
        for line in grid
    ]
    return [lines[0], "  ".join("-" * size for size in sizes), *lines[1:]]


def columns(*described: tuple[str, str, Kind]) -> tuple[Column, ...]:
    """Columns from (key, title, kind)."""
    return tuple(Column(key=key, title=title, kind=kind) for key, title, kind in described)


def heat_columns(names: Sequence[str]) -> tuple[Column, ...]:
    """Coloured shares, keys and titles alike."""
    return tuple(Column(key=name, title=name, kind="share", heat=True) for name in names)


def flow(text: str) -> str:
    """A note on one line, however it was broken in the code."""
    return " ".join(text.split())

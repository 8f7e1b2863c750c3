"""What benchmarks say: figures as JSON, tables for a terminal, one report of a whole run with its plots."""

from __future__ import annotations

import argparse
import json
import re
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.proxies import machine, write_report
from workers.evaluation.plots import standalone
from workers.evaluation.tables import Cell, Column, Kind, Plot, Table, as_text, shown

SUMMARY: Final = "targets"
"""The table of a benchmark that says what was aimed at; a report begins with all of them."""


def options_parser(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser with the option that all benchmarks have."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=None, help="folder for the figures as JSON")
    return parser


def report_on(
    options: argparse.Namespace, what: str, measure: Callable[[argparse.Namespace, Path], Mapping[str, Any]]
) -> int:
    """Measure in a folder that goes away, print and write; returns the exit status.

    SIGTERM ends it as Ctrl-C does: servers and workers that it started are ended first.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as name:
        return finish(options, what, measure(options, Path(name)))


def finish(options: argparse.Namespace, what: str, figures: Mapping[str, Any]) -> int:
    """Print what was measured and write it; returns the exit status."""
    sys.stdout.write("\n\n".join(as_text(table) for table in tables_of(what, figures)) + "\n")
    asked = {key: value for key, value in sorted(vars(options).items()) if key != "output"}
    write_report(options.output, what, {"options": {key: str(value) for key, value in asked.items()}, **figures})
    return 0


def target(what: str, measured: float, aim: float, *, least: bool, unit: str = "") -> dict[str, Cell]:
    """One line of a table of targets; ``least``: the aim is a lower bound."""
    bound = f"{'at least' if least else 'at most'} {aim:g} {unit}".strip()
    met = measured >= aim if least else measured <= aim
    return {"what": what, "measured": measured, "target": bound, "met": met}


def tables_of(what: str, figures: Mapping[str, Any]) -> list[Table]:
    """Return the tables of one benchmark's figures: those it names, else every list of rows it has."""
    if "tables" in figures:
        return [table_of(each["name"], each["title"], each["rows"], each.get("note", "")) for each in figures["tables"]]
    return [
        table_of(f"{what}-{key}", f"{what}: {key}", rows)
        for key, rows in figures.items()
        if isinstance(rows, list) and rows and all(isinstance(row, Mapping) for row in rows)
    ]


def table_of(name: str, title: str, rows: Sequence[Mapping[str, Any]], note: str = "") -> Table:
    """Return rows as a table; columns in the order in which rows first have them, those of a mapping side by side."""
    cells = tuple(_cells(row) for row in rows)
    keys = list(dict.fromkeys(key for row in cells for key in row))
    described = tuple(Column(key=key, title=key, kind=_kind(key, [row.get(key) for row in cells])) for key in keys)
    return Table(name=name, title=title, columns=described, rows=cells, note=note)


def plots_of(figures: Mapping[str, Any]) -> list[Plot]:
    """Return the plots of one benchmark's figures."""
    return [
        Plot(
            name=each["name"],
            title=each["title"],
            x_title=each["x_title"],
            y_title=each["y_title"],
            series={key: tuple((x, y) for x, y in line) for key, line in each["series"].items()},
        )
        for each in figures.get("plots", [])
    ]


def write_run(folder: Path, sections: Mapping[str, Mapping[str, Any]], failed: Mapping[str, str]) -> Path:
    """Write the report of a run into ``folder``: report.md, its plots, all figures as report.json."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = {"machine": machine()}
    everything = {**facts, "failed": dict(failed), "sections": dict(sections)}
    (folder / "report.json").write_text(json.dumps(everything, indent=1) + "\n")
    for figures in sections.values():
        for plot in plots_of(figures):
            if drawing := standalone(plot):
                (folder / f"{plot.name}.svg").write_text(drawing)
    report = folder / "report.md"
    report.write_text(as_markdown(facts, sections, failed))
    return report


def as_markdown(facts: Mapping[str, str], sections: Mapping[str, Mapping[str, Any]], failed: Mapping[str, str]) -> str:
    """Return the report of a run."""
    parts = ["# Benchmarks", "\n".join(f"- {key}: {value}" for key, value in facts.items())]
    if failed:
        parts.append("Not measured:\n" + "\n".join(f"- {name}: {why}" for name, why in failed.items()))
    targets = [row for figures in sections.values() for row in _targets(figures)]
    if targets:
        parts += ["## Targets", markdown_table(table_of(SUMMARY, "Targets", targets))]
    for name, figures in sections.items():
        parts.append(f"## {figures.get('title', name)}")
        parts.append(_circumstances(figures))
        for table in tables_of(name, figures):
            if table.name != SUMMARY:
                parts += [f"### {table.title}", markdown_table(table), *([table.note] if table.note else [])]
        parts += [f"![{plot.title}]({plot.name}.svg)" for plot in plots_of(figures)]
    return "\n\n".join(parts) + "\n"


def markdown_table(table: Table) -> str:
    """Return a table as GitHub draws it."""
    lines = [[_escaped(column.title) for column in table.columns]]
    lines.append(["---" if column.kind == "text" else "---:" for column in table.columns])
    lines += [[_escaped(shown(row.get(column.key), column.kind)) for column in table.columns] for row in table.rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _circumstances(figures: Mapping[str, Any]) -> str:
    load = f", load average {figures['load_average']}" if "load_average" in figures else ""
    options = " ".join(f"{key}={value}" for key, value in figures.get("options", {}).items())
    return f"Measured on {figures.get('measured', 'no known day')}{load}." + (f" `{options}`" if options else "")


def _targets(figures: Mapping[str, Any]) -> list[Mapping[str, Cell]]:
    return [row for table in figures.get("tables", []) if table["name"] == SUMMARY for row in table["rows"]]


def _cells(row: Mapping[str, Any]) -> dict[str, Cell]:
    cells: dict[str, Cell] = {}
    for key, value in row.items():
        if isinstance(value, Mapping):
            cells |= {f"{key} {inner}": _cell(part) for inner, part in value.items()}
        else:
            cells[key] = _cell(value)
    return cells


def _cell(value: Any) -> Cell:
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, list | tuple):
        return " to ".join(map(str, value))
    return str(value)


def _kind(key: str, values: Sequence[Cell]) -> Kind:
    present = [value for value in values if value is not None]
    if key == "met":
        return "met"
    if any(isinstance(value, str | bool) for value in present):
        return "text"
    if all(isinstance(value, int) for value in present):
        return "count"
    return "ms"


def _escaped(text: str) -> str:
    return re.sub(r"([|<>])", r"\\\1", text)

"""The report as one HTML file that needs nothing else: no script, no font, no picture from elsewhere.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Final

from workers.evaluation.plots import COLOURS, DRAWN, legend, svg
from workers.evaluation.tables import Cell, Column, Plot, Report, Section, Table, shown

STYLE: Final = (
    COLOURS
    + """\
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1.25rem 1rem 4rem; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .5rem; } h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem;
  padding-top: .75rem; border-top: 2px solid var(--line); } h3 { font-size: 1rem; margin: 1.5rem 0 .4rem; }
p { margin: .4rem 0; max-width: 62rem; } .note { color: var(--quiet); font-size: .875rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: .5rem 0; font-size: .875rem; }
dt { color: var(--quiet); } dd { margin: 0; overflow-wrap: anywhere; }
nav a { margin-right: 1rem; } a { color: var(--line-0); }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: .5rem; }
table { border-collapse: collapse; font-size: .8125rem; font-variant-numeric: tabular-nums; min-width: 100%; }
th, td { padding: .3rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
tr:last-child td { border-bottom: 0; } th { background: var(--tint); font-weight: 600; vertical-align: bottom; }
th.text, td.text { text-align: left; } th:first-child, td:first-child { position: sticky; left: 0; }
td:first-child { background: var(--ground); }
.heat { background: color-mix(in srgb, var(--line-1) calc((1 - var(--v)) * 55%), transparent); }
.met { color: var(--good); font-weight: 600; } .missed { color: var(--bad); font-weight: 600; }
figure { margin: 1rem 0; } figcaption { font-weight: 600; } svg { width: 100%; max-width: 46rem; height: auto; }
"""
    + DRAWN
    + """\
figure ol { display: flex; flex-wrap: wrap; gap: .15rem 1.25rem; margin: .25rem 0; padding: 0; font-size: .875rem;
  list-style: none; counter-reset: point; max-width: 46rem; }
figure li { counter-increment: point; }
figure li::before { content: counter(point); display: inline-block; min-width: 1.35rem; margin-right: .35rem;
  border-radius: 1rem; background: var(--key); color: var(--ground); font-weight: 700; font-size: .75rem;
  text-align: center; }
figure ol.lines li::before { content: ""; height: .25rem; vertical-align: middle; }
@media (max-width: 40rem) { body { padding: 1rem .6rem 3rem; } dl { grid-template-columns: 1fr; }
  dd { margin-bottom: .3rem; } td:first-child, th:first-child { max-width: 9.5rem; white-space: normal; }
  svg text { font-size: 17px; } svg text.dot { font-size: 12px; } }
"""
)


def render(report: Report) -> str:
    """The whole page."""
    title = f"Safelight: evaluation of {report.encoder}"
    links = "".join(f'<a href="#{section.name}">{escape(section.title)}</a>' for section in report.sections)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n"
        f"{_facts(report.facts)}\n<nav>{links}</nav>\n{''.join(map(_section, report.sections))}</body>\n</html>\n"
    )


def _facts(facts: Mapping[str, Cell]) -> str:
    rows = "".join(f"<dt>{escape(key)}</dt><dd>{escape(shown(value, 'count'))}</dd>" for key, value in facts.items())
    return f"<dl>{rows}</dl>"


def _section(section: Section) -> str:
    parts = [f'<section id="{section.name}">\n<h2>{escape(section.title)}</h2>\n<p>{escape(section.text)}</p>\n']
    if section.tables:
        parts.append(_table(section.tables[0]))
    parts += map(_figure, section.plots)
    parts += map(_table, section.tables[1:])
    return "".join([*parts, "</section>\n"])


def _figure(plot: Plot) -> str:
    drawing = svg(plot)
    if not drawing:
        return ""
    note = f'<p class="note">{escape(plot.note)}</p>' if plot.note else ""
    kind = "numbered" if plot.points else "lines"
    names = "".join(f'<li style="--key:{colour}">{escape(name)}</li>' for colour, name in legend(plot))
    names = f'<ol class="{kind}">{names}</ol>'
    return f"<figure><figcaption>{escape(plot.title)}</figcaption>{drawing}{names}{note}</figure>\n"


def _table(table: Table) -> str:
    head = "".join(f"<th{_kind(column)}>{escape(column.title)}</th>" for column in table.columns)
    body = "".join(
        f"<tr>{''.join(_cell(row.get(column.key), column) for column in table.columns)}</tr>\n" for row in table.rows
    )
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    return (
        f'<h3>{escape(table.title)}</h3>\n<div class="scroll" tabindex="0"><table>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>\n{note}\n"
    )


def _kind(column: Column) -> str:
    return ' class="text"' if column.kind == "text" else ""


def _cell(value: Cell, column: Column) -> str:
    text = escape(shown(value, column.kind))
    if column.heat and isinstance(value, int | float) and 0 <= value <= 1:
        return f'<td class="heat" style="--v:{value:.3f}">{text}</td>'
    if column.kind == "met" and value is not None:
        return f'<td class="{text}">{text}</td>'
    return f"<td{_kind(column)}>{text}</td>"

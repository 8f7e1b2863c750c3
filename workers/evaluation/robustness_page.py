"""The robustness report as one HTML file: a bar a row, drawn as SVG, that loads nothing from anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from workers.evaluation.page import STYLE
from workers.evaluation.robustness import Row

ROW_HEIGHT: Final = 22
LABEL_WIDTH: Final = 330
BAR_WIDTH: Final = 300
NOTE_WIDTH: Final = 250
GOOD: Final = "#2e7d32"
FAIR: Final = "#f9a825"
POOR: Final = "#c62828"

_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Robustness of {name}</title>
<style>
{style}
svg.bars {{ max-width: none; width: auto }}
svg.bars text {{ font-size: 13px }}
</style></head><body>
<h1>Robustness of {name}</h1>
<p>{matched} of {tried} edited copies of {images} match at the threshold, {threshold:g}. Worst first. Matched: a
reference of the set reaches the threshold, as a copy where the set protects copies. Found: the copy's own reference is
among the matches, however low its score.</p>
<div class="scroll">{picture}</div>
<h2>Rows</h2>
<div class="scroll"><table><tr><th class="text">transformation</th><th class="text">strength</th><th>matched</th>
<th>found</th><th>mean score</th><th>lowest</th><th class="text">of</th></tr>
{rows}
</table></div></body></html>
"""


def render(name: str, threshold: float, images: Sequence[str], rows: Sequence[Row]) -> str:
    """Return the page; names are escaped."""
    return _PAGE.format(
        style=STYLE,
        name=escape(name),
        threshold=threshold,
        images=escape(_listed(images)),
        matched=sum(row.matched for row in rows),
        tried=sum(row.tried for row in rows),
        picture=_picture(rows),
        rows="\n".join(map(_table_row, rows)),
    )


def _listed(images: Sequence[str]) -> str:
    return ", ".join(images) if len(images) <= 5 else f"{len(images)} images"


def _picture(rows: Sequence[Row]) -> str:
    width, height = LABEL_WIDTH + BAR_WIDTH + NOTE_WIDTH, ROW_HEIGHT * len(rows)
    bars = "\n".join(_bar(row, ROW_HEIGHT * number) for number, row in enumerate(rows))
    label = "share of copies matched, by transformation and strength"
    return (
        f'<svg class="bars" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"'
        f' height="{height}" role="img" aria-label="{label}">\n{bars}\n</svg>'
    )


def _bar(row: Row, top: int) -> str:
    share = row.matched / row.tried
    colour = GOOD if share >= 0.95 else FAIR if share >= 0.5 else POOR
    middle, bar = top + ROW_HEIGHT * 0.7, ROW_HEIGHT - 6
    label = escape(f"{row.transformation}, {row.strength}")
    return (
        f'<text x="{LABEL_WIDTH - 8}" y="{middle:g}" text-anchor="end">{label}</text>'
        f'<rect x="{LABEL_WIDTH}" y="{top + 3}" width="{BAR_WIDTH}" height="{bar}" fill="var(--tint)"/>'
        f'<rect x="{LABEL_WIDTH}" y="{top + 3}" width="{BAR_WIDTH * share:.1f}" height="{bar}" fill="{colour}"/>'
        f'<text x="{LABEL_WIDTH + BAR_WIDTH + 8}" y="{middle:g}">{row.matched}/{row.tried}, lowest score'
        f" {row.lowest_score:g}</text>"
    )


def _table_row(row: Row) -> str:
    cells = "".join(f"<td>{value}</td>" for value in (f"{row.matched}/{row.tried}", f"{row.found}/{row.tried}"))
    scores = f"<td>{row.mean_score:g}</td><td>{row.lowest_score:g}</td>"
    return (
        f'<tr><td class="text">{escape(row.transformation)}</td><td class="text">{escape(row.strength)}</td>{cells}'
        f'{scores}<td class="text">{escape(row.worst_image)}</td></tr>'
    )

"""Plots as inline SVG in the page's own colours (CSS variables): light and dark need no second picture.  Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from workers.evaluation.tables import Plot, Point

WIDTH: Final = 720
HEIGHT: Final = 420
LEFT, RIGHT, TOP, BOTTOM = 58, 18, 16, 52
RADIUS: Final = 9
INKS: Final = 8
"""Colours --line-0 to --line-7."""
COLOURS: Final = """
:root { color-scheme: light dark; --ground: #fff; --ink: #1d232b; --quiet: #5b6673; --line: #d8dee5; --tint: #f4f6f8;
  --heat-low: 8 72% 88%; --good: #146c43; --bad: #b02a37;
  --line-0: #1f5fbf; --line-1: #c2410c; --line-2: #15803d; --line-3: #a21caf; --line-4: #b45309; --line-5: #0e7490;
  --line-6: #be123c; --line-7: #4d5d73; }
@media (prefers-color-scheme: dark) { :root { --ground: #14181d; --ink: #e4e9ef; --quiet: #9aa6b3; --line: #323a44;
  --tint: #1c2229; --good: #58c98f; --bad: #f08a93;
  --line-0: #7db2ff; --line-1: #ff9d6b; --line-2: #6fd694; --line-3: #e59bf0; --line-4: #f3b65b; --line-5: #5fd0e3;
  --line-6: #ff8fa6; --line-7: #a9b6c6; } }
"""
DRAWN: Final = """\
svg text { fill: var(--ink); font: 12.5px system-ui, sans-serif; } svg .grid { stroke: var(--line); stroke-width: 1; }
svg text.dot { fill: var(--ground); font-size: 11px; font-weight: 700; }
"""
"""How a drawing looks, beside the colours."""
LEGEND_LINE: Final = 18


@dataclass(frozen=True, slots=True)
class Axis:
    """From values to pixels; `ticks` are values."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """The pixel of a value."""
        low, high, x = self.low, self.high, value
        if self.logarithmic:
            low, high, x = math.log10(low), math.log10(high), math.log10(max(value, 1e-12))
        return self.start + (x - low) / (high - low) * (self.end - self.start)


def linear_axis(values: Sequence[float], start: float, end: float) -> Axis:
    """Round ticks around the values; the whole 0..1 where they are shares spread over it."""
    low, high = min(values), max(values)
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    rough = (high - low) / 5
    magnitude = 10 ** math.floor(math.log10(rough))
    step = next(factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= rough)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(round(number * step, 10) for number in range(first, last + 1))
    return Axis(ticks[0], ticks[-1], start, end, ticks)


def log_axis(values: Sequence[float], start: float, end: float) -> Axis:
    """Ticks at 1, 2 and 5 times powers of ten around the values, which must be positive."""
    low, high = min(values), max(values)
    steps = [
        factor * 10.0**power
        for power in range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
        for factor in (1, 2, 5)
    ]
    first = max((step for step in steps if step <= low * (1 - 1e-9)), default=steps[0])
    last = min((step for step in steps if step >= high * (1 + 1e-9)), default=steps[-1])
    return Axis(first, last, start, end, tuple(s for s in steps if first <= s <= last), logarithmic=True)


def ink(number: int) -> str:
    """The colour of the `number`-th series or point."""
    return f"var(--line-{number % INKS})"


def drawable(plot: Plot) -> list[Point]:
    """The points that have a place on the plot, in the order in which they are numbered."""
    finite = (p for p in plot.points if math.isfinite(p.x) and math.isfinite(p.y))
    return [p for p in finite if p.x > 0 or not plot.logarithmic]


def legend(plot: Plot) -> list[tuple[str, str]]:
    """(colour, name) of every numbered point, or of every line."""
    names = [point.label for point in drawable(plot)] or list(plot.series)
    return [(ink(number), name) for number, name in enumerate(names)]


def svg(plot: Plot) -> str:
    """The plot as an <svg> element; empty where there is nothing finite to draw."""
    lines = {name: [pair for pair in line if all(map(math.isfinite, pair))] for name, line in plot.series.items()}
    points = drawable(plot)
    xs = [p.x for p in points] + [x for line in lines.values() for x, _ in line]
    ys = [p.y for p in points] + [y for line in lines.values() for _, y in line]
    if not xs:
        return ""
    make = log_axis if plot.logarithmic else linear_axis
    across, down = make(xs, LEFT, WIDTH - RIGHT), linear_axis(ys, HEIGHT - BOTTOM, TOP)
    parts = [*_frame(plot, across, down)]
    for number, line in enumerate(lines.values()):
        path = " ".join(f"{across.at(x):.1f},{down.at(y):.1f}" for x, y in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{ink(number)}" stroke-width="2"/>')
    for number, point in enumerate(points):
        x, y = across.at(point.x), down.at(point.y)
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{RADIUS}" fill="{ink(number)}" fill-opacity=".85"/>')
        parts.append(f'<text class="dot" x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle">{number + 1}</text>')
    label = escape(f"{plot.title}: {plot.y_title} over {plot.x_title}", quote=True)
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}" xmlns="http://www.w3.org/2000/svg">'
        f"{''.join(parts)}</svg>"
    )


def standalone(plot: Plot) -> str:
    """The plot as a file of its own, with its title, its colours and a legend above it; empty where ``svg`` is."""
    drawing = svg(plot)
    if not drawing:
        return ""
    names = legend(plot)
    above = LEGEND_LINE * (len(names) + 1) + TOP
    numbered = bool(drawable(plot))
    lines = [f'<text x="{LEFT}" y="{LEGEND_LINE}" font-weight="700">{escape(plot.title)}</text>']
    for number, (colour, name) in enumerate(names, start=1):
        y = LEGEND_LINE * (number + 1)
        sign = f"{number}: " if numbered else ""
        lines.append(f'<rect x="{LEFT}" y="{y - 8}" width="16" height="5" fill="{colour}"/>')
        lines.append(f'<text x="{LEFT + 24}" y="{y}">{sign}{escape(name)}</text>')
    inner = drawing[drawing.index(">") + 1 : -len("</svg>")]
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT + above}" width="{WIDTH}" height="{HEIGHT + above}" role="img"'
        f' xmlns="http://www.w3.org/2000/svg"><style>{COLOURS}{DRAWN}</style>'
        f'<rect width="{WIDTH}" height="{HEIGHT + above}" fill="var(--ground)"/>'
        f'{"".join(lines)}<g transform="translate(0 {above})">{inner}</g></svg>\n'
    )


def _frame(plot: Plot, across: Axis, down: Axis) -> list[str]:
    parts = []
    for tick in across.ticks:
        x = across.at(tick)
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{tick:g}</text>')
    for tick in down.ticks:
        y = down.at(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 10}" text-anchor="middle">{escape(plot.x_title)}</text>')
    half = (TOP + HEIGHT - BOTTOM) / 2
    turned = f'transform="rotate(-90 14 {half})" text-anchor="middle"'
    parts.append(f'<text x="14" y="{half}" {turned}>{escape(plot.y_title)}</text>')
    return parts

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
"""Colours --line-0 to --line-7 of the page."""


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

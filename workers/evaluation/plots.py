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
LABEL_HEIGHT: Final = 15
LABEL_WIDTH: Final = 6.9
"""Pixels of one letter of a label, on average."""
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


def svg(plot: Plot) -> str:
    """The plot as an <svg> element; empty where there is nothing finite to draw."""
    lines = {name: [pair for pair in line if all(map(math.isfinite, pair))] for name, line in plot.series.items()}
    points = [p for p in plot.points if math.isfinite(p.x) and math.isfinite(p.y) and (p.x > 0 or not plot.logarithmic)]
    xs = [p.x for p in points] + [x for line in lines.values() for x, _ in line]
    ys = [p.y for p in points] + [y for line in lines.values() for _, y in line]
    if not xs:
        return ""
    make = log_axis if plot.logarithmic else linear_axis
    across, down = make(xs, LEFT, WIDTH - RIGHT), linear_axis(ys, HEIGHT - BOTTOM, TOP)
    parts = [*_frame(plot, across, down)]
    for number, (name, line) in enumerate(lines.items()):
        path = " ".join(f"{across.at(x):.1f},{down.at(y):.1f}" for x, y in line)
        colour = f"var(--line-{number % INKS})"
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(_legend(name, number, colour))
    parts += _dots(points, across, down)
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


def _legend(name: str, number: int, colour: str) -> str:
    y = HEIGHT - BOTTOM - 14 - LABEL_HEIGHT * number
    return (
        f'<line x1="{LEFT + 12}" y1="{y - 4}" x2="{LEFT + 32}" y2="{y - 4}" stroke="{colour}" stroke-width="3"/>'
        f'<text x="{LEFT + 38}" y="{y}">{escape(name)}</text>'
    )


def _dots(points: Sequence[Point], across: Axis, down: Axis) -> list[str]:
    """Dots and their labels, each label moved down until it covers no other."""
    parts: list[str] = []
    taken: list[tuple[float, float, float]] = []
    for number, point in enumerate(sorted(points, key=lambda p: (-p.y, p.x))):
        x, y = across.at(point.x), down.at(point.y)
        width = LABEL_WIDTH * len(point.label)
        left = x + 9 if x + 9 + width < WIDTH - RIGHT else x - 9 - width
        line = max(TOP + LABEL_HEIGHT, y + 4)
        while any(abs(line - at) < LABEL_HEIGHT and left < end and begin < left + width for begin, end, at in taken):
            line += 2
        taken.append((left, left + width, line))
        colour = f"var(--line-{number % INKS})"
        if line > y + 8:
            parts.append(f'<line class="grid" x1="{x:.1f}" y1="{y:.1f}" x2="{left:.1f}" y2="{line - 4:.1f}"/>')
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colour}"/>')
        parts.append(f'<text x="{left:.1f}" y="{line:.1f}">{escape(point.label)}</text>')
    return parts

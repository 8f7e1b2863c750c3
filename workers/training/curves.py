"""The curves of a training as one SVG file: loss and contrastive accuracy over the time it took."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

WIDTH: Final = 720
PANEL: Final = 220
MARGIN: Final = 60
MOST_POINTS: Final = 600
TICKS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One line of `loss.jsonl`."""

    minutes: float
    loss: float
    accuracy: float


def read_points(curve: Path) -> list[Point]:
    """The lines of `loss.jsonl`, thinned to `MOST_POINTS`; raises OSError, ValueError, KeyError."""
    lines = curve.read_text(encoding="utf-8").splitlines()
    step = max(1, len(lines) // MOST_POINTS)
    entries = [json.loads(line) for line in lines[::step]]
    return [Point(minutes=e["elapsed_s"] / 60, loss=e["loss"], accuracy=e["accuracy"]) for e in entries]


def draw_curves(points: Sequence[Point]) -> str:
    """An SVG document of two panels; raises ValueError without points."""
    if not points:
        raise ValueError("a curve needs points")
    minutes = [point.minutes for point in points]
    panels = (
        _panel("loss", minutes, [point.loss for point in points], top=0, colour="#b03030"),
        _panel("accuracy", minutes, [point.accuracy for point in points], top=PANEL + MARGIN, colour="#2050a0"),
    )
    height = 2 * (PANEL + MARGIN) + MARGIN // 2
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH + 2 * MARGIN}" height="{height}"'
        ' font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
    )
    label = f'<text x="{MARGIN + WIDTH / 2}" y="{height - 6}" text-anchor="middle">minutes</text>'
    return f"{head}{''.join(panels)}{label}</svg>\n"


def write_curves(run: Path) -> Path:
    """Draws `loss.jsonl` of a training's folder to `curves.svg` beside it."""
    out = run / "curves.svg"
    out.write_text(draw_curves(read_points(run / "loss.jsonl")), encoding="utf-8")
    return out


def _panel(title: str, xs: Sequence[float], ys: Sequence[float], *, top: int, colour: str) -> str:
    low, high = min(ys), max(ys)
    span, last = (high - low) or 1.0, xs[-1] or 1.0
    upper, lower = top + MARGIN // 2, top + MARGIN // 2 + PANEL

    def place(value: float) -> float:
        return round(lower - (value - low) / span * PANEL, 1)

    parts = [f'<text x="{MARGIN}" y="{upper - 8}">{title}</text>']
    for tick in range(TICKS + 1):
        value, when = low + span * tick / TICKS, last * tick / TICKS
        across = MARGIN + WIDTH * tick / TICKS
        parts += [
            f'<line x1="{MARGIN}" x2="{MARGIN + WIDTH}" y1="{place(value)}" y2="{place(value)}" stroke="#ddd"/>',
            f'<text x="{MARGIN - 6}" y="{place(value) + 4}" text-anchor="end">{value:.3g}</text>',
            f'<text x="{across}" y="{lower + 16}" text-anchor="middle">{when:.3g}</text>',
        ]
    line = " ".join(f"{MARGIN + WIDTH * x / last:.1f},{place(y)}" for x, y in zip(xs, ys, strict=True))
    parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
    return "".join(parts)

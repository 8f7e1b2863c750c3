"""Pictures the project draws itself: the demo's and the tests' images, and a share of the encoder's training data.

A picture is named by (family, seed) and is the same on every machine: one seeded generator, Pillow's embedded typeface,
no file read. Seeds from `TRAINING_SEEDS` upwards are reserved for training; everything else is unseen by the encoder.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Final

from PIL import Image

from workers.training.drawing.canvas import Canvas
from workers.training.drawing.papers import document_page, identity_card
from workers.training.drawing.scenes import abstract, poster, product_render, street_map
from workers.training.drawing.screens import dashboard, flow_diagram, user_interface
from workers.training.drawing.sketches import circuit, exploded_parts, floor_plan, whiteboard

type Painter = Callable[[random.Random, tuple[int, int]], Canvas]

PAINTERS: Final[Mapping[str, Painter]] = {
    "whiteboard": whiteboard,
    "exploded_parts": exploded_parts,
    "floor_plan": floor_plan,
    "flow_diagram": flow_diagram,
    "dashboard": dashboard,
    "user_interface": user_interface,
    "document_page": document_page,
    "identity_card": identity_card,
    "product_render": product_render,
    "poster": poster,
    "street_map": street_map,
    "circuit": circuit,
    "abstract": abstract,
}
FAMILIES: Final[tuple[str, ...]] = tuple(PAINTERS)
TRAINING_SEEDS: Final = 1_000_000_000
UPRIGHT: Final = frozenset({"document_page"})
CARDS: Final = frozenset({"identity_card"})
SHORT_SIDE: Final = (500, 1000)


def draw(family: str, seed: int, *, size: tuple[int, int] | None = None) -> Image.Image:
    """The RGB picture named by (family, seed); `size` is (width, height) in pixels, 500 to 1600 a side when not given.

    Raises KeyError for a family that is not in `FAMILIES`.
    """
    rng = random.Random(f"{family}:{seed}")
    natural = _size(family, rng)
    return PAINTERS[family](rng, size or natural).image


def _size(family: str, rng: random.Random) -> tuple[int, int]:
    short = rng.randint(*SHORT_SIDE)
    ratio = rng.uniform(1.45, 1.65) if family in CARDS else rng.uniform(1.0, 1.6)
    long = min(1600, round(short * ratio))
    upright = family in UPRIGHT or (family not in CARDS and rng.random() < 0.25)
    return (short, long) if upright else (long, short)


__all__ = ["FAMILIES", "TRAINING_SEEDS", "draw"]

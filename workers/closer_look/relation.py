"""Copy or same layout: how probable it is that a verified match shows the reference's own content.

Another form of the same template, another garment on the same floor and another screen of the same program verify
geometrically too.  A logistic model over what the blocks inside say (`Agreement`) and how strongly the geometry holds
tells them apart; its weights are trained by `workers.training.relation` and never change sign: more agreement never
makes a match less of a copy.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.errors import IntegrityError
from workers.closer_look.block_agreement import NOTHING_COMPARABLE, Agreement
from workers.closer_look.geometry import Geometry

MODEL: Final = Path(__file__).parents[1] / "models" / "local-v1" / "relation.json"
SURE: Final = 1e-4
"""No answer is nearer to 0 or 1: that is what the training pairs can tell."""

INSIDE: Final = ("differing", "content_share", "likeness", "inliers", "uneven", "usual", "patches", "elsewhere")
GEOMETRY_ALONE: Final = ("inliers", "coverage")
SIGNS: Final = {
    "differing": -1,
    "content_share": 1,
    "likeness": 1,
    "inliers": 1,
    "coverage": 0,
    "uneven": -1,
    "usual": -1,
    "patches": -1,
    "elsewhere": -1,
}
"""Which way a feature may pull: 1 towards copy, -1 towards same layout, 0 either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Logistic:
    """log odds = bias + weights . features, features named by ``names``."""

    names: tuple[str, ...]
    weights: tuple[float, ...]
    bias: float

    def probability(self, geometry: Geometry, agreement: Agreement) -> float:
        """Return the probability of a copy, ``SURE`` .. 1 - ``SURE``."""
        odds = self.bias + float(np.dot(self.weights, features(geometry, agreement, self.names)))
        limit = math.log(1 / SURE - 1)
        return 1 / (1 + math.exp(-max(-limit, min(limit, odds))))


@dataclass(frozen=True, slots=True, kw_only=True)
class RelationModel:
    """One model where enough blocks can be compared, one for the geometry alone."""

    inside: Logistic
    geometry: Logistic


FEWEST_CONTENT_BLOCKS: Final = 6
"""Content blocks below which what they say is chance."""
ILLEGIBLE: Final = 0.9
"""For an image too blurred to show other content: taken for a copy, as the geometry says."""


def features(geometry: Geometry, agreement: Agreement, names: tuple[str, ...]) -> NDArray[np.float64]:
    """Return the model's inputs, each roughly 0..1."""
    disagreeing = 1 - agreement.content_share
    values = {
        "differing": agreement.differing,
        "content_share": agreement.content_share,
        "likeness": agreement.likeness,
        "inliers": min(1.0, math.log1p(geometry.inliers) / 6),
        "coverage": geometry.coverage,
        "uneven": disagreeing * agreement.spread,
        "usual": min(1.0, math.log(agreement.usual) / 3),
        "patches": min(1.0, math.log1p(agreement.patches) / 3),
        "elsewhere": min(1.0, 10 * agreement.elsewhere),
    }
    return np.array([values[name] for name in names])


def copy_probability(geometry: Geometry, agreement: Agreement | None) -> float:
    """Return how probable it is that a verified match is a copy: from the geometry alone without ``agreement``."""
    model = shipped_model()
    if agreement is None or agreement.content < FEWEST_CONTENT_BLOCKS:
        return model.geometry.probability(geometry, agreement or NOTHING_COMPARABLE)
    if not agreement.legible:
        return ILLEGIBLE
    return model.inside.probability(geometry, agreement)


@lru_cache(maxsize=1)
def shipped_model() -> RelationModel:
    """Return the model that ships with the local features."""
    return read_model(MODEL.read_text())


def read_model(text: str) -> RelationModel:
    """Read a model's JSON; raises IntegrityError where it is none."""
    try:
        parts = json.loads(text)
        inside, geometry = (_logistic(parts[name], known) for name, known in _PARTS.items())
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError("This is not a relation model.") from error
    return RelationModel(inside=inside, geometry=geometry)


_PARTS: Final = {"inside": INSIDE, "geometry": GEOMETRY_ALONE}


def _logistic(part: dict[str, object], known: tuple[str, ...]) -> Logistic:
    names, weights, bias = part["features"], part["weights"], part["bias"]
    if not isinstance(names, list) or not isinstance(weights, list) or not isinstance(bias, int | float):
        raise TypeError("a model has features, weights and a bias")
    numbers = tuple(float(weight) for weight in weights)
    if tuple(names) != known or len(numbers) != len(known) or not np.isfinite((*numbers, bias)).all():
        raise ValueError("the features are others")
    if any(number * SIGNS[name] < 0 for name, number in zip(known, numbers, strict=True)):
        raise ValueError("a weight has the wrong sign")
    return Logistic(names=known, weights=numbers, bias=float(bias))


__all__ = ["GEOMETRY_ALONE", "INSIDE", "SIGNS", "copy_probability", "features", "read_model", "shipped_model"]

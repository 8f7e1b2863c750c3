"""Examples, banks and classifiers in a space of a few dimensions, where what is near is known."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from workers.classifying.bank import Bank
from workers.classifying.fitting import Recipe, fit
from workers.classifying.model import Classifier, Example
from workers.classifying.vectors import Space

LENGTH = 16
SPACE = Space(encoder="f1", features="abc")


def make_rows(count: int, axis: int, *, seed: int = 0, noise: float = 0.25) -> NDArray[np.float32]:
    """Rows around the unit vector along an axis."""
    rows = np.random.default_rng([seed, axis]).normal(0, noise, (count, LENGTH))
    rows[:, axis] += 1
    return np.asarray(rows, np.float32)


def make_examples(label: str, rows: NDArray[np.float32], start: int = 0) -> tuple[Example, ...]:
    """Examples with digests of their own."""
    digests = [hashlib.sha256(f"{label}{start + number}".encode()).hexdigest() for number in range(len(rows))]
    return tuple(
        Example(sha256=digest, name=f"{label}-{number}.png", label=label, pdq=digest, row=row.tobytes())
        for number, (digest, row) in enumerate(zip(digests, rows.astype(np.float16), strict=True))
    )


def make_bank(count: int = 400, *, times: int = 1, axes: Sequence[int] = range(4, LENGTH)) -> Bank:
    """Ordinary pictures along all axes but the labels'; each ``times`` times."""
    rows = np.concatenate([make_rows(count // len(axes), axis, seed=9) for axis in axes])
    rows = np.tile(rows, (times, 1))
    every = np.ones(len(rows), np.bool_)
    return Bank(rows=rows, ordinary=every, fits=every)


def make_classifier(*labels: str, name: str = "documents", **recipe: object) -> Classifier:
    """A classifier of 20 examples a label, each along an axis of its own."""
    examples = [made for axis, label in enumerate(labels) for made in make_examples(label, make_rows(20, axis))]
    values: dict[str, object] = {"name": name, "thresholds": {}, "mode": "best", **recipe}
    return fit(Recipe(**values), tuple(examples), make_bank(), SPACE, 1_800_000_000.0)  # type: ignore[arg-type]

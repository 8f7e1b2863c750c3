"""The demonstration without its proxy: protected drawings, their edits, unrelated drawings of the same families.

For every seed a set of drawings is enrolled; each edit of each member and many strangers are scored by the product's
own arithmetic, and a score of 85 or more counts as blocked. JPEG bytes in between, as on the wire.
"""

from __future__ import annotations

import argparse
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.core.matching import Calibration, fused_scores
from workers.encoder import load_calibration
from workers.training.calibration import best_view, embed, nearest_turn
from workers.training.dataset import squash
from workers.training.drawing import FAMILIES, draw
from workers.training.edits import EDITS, edited, encode
from workers.training.specimens import SIDE, pdq_variants, view_squares

THRESHOLD: Final = 85.0

type Bits = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One picture on the wire: its encoder square and the PDQ hashes of its turns."""

    square: NDArray[np.uint8]
    hashes: Bits


def receive(payload: bytes) -> Sent:
    """Decodes and reduces as the worker does."""
    with Image.open(io.BytesIO(payload)) as image:
        picture = image.convert("RGB")
    return Sent(square=np.asarray(squash(picture, SIDE)), hashes=pdq_variants(picture))


def scores(
    model: Path, calibration: Calibration, references: list[Image.Image], sent: list[Sent]
) -> NDArray[np.float64]:
    """Q x R fused scores of the sent pictures against the set of references."""
    squares = np.stack([view_squares(image) for image in references])
    views = embed(model, squares.reshape(-1, *squares.shape[2:])).reshape(*squares.shape[:2], -1)
    queries = embed(model, np.stack([item.square for item in sent]))
    hashes = np.stack([pdq_variants(image)[0] for image in references])
    distances = nearest_turn(np.stack([item.hashes for item in sent]), hashes)
    discounts = np.array([calibration.discount(query) for query in queries])
    cosines = best_view(queries, views) - discounts[:, None]
    return fused_scores(calibration, cosines, distances, np.full(cosines.shape, len(references)))


def rehearse(model: Path, calibration: Calibration, *, seed: int, protected: int, strangers: int) -> dict[str, Any]:
    """One seed: `blocked` per edit (of `protected`), `stranger_blocks` of `strangers`, `best_stranger` score."""
    families = [FAMILIES[number % len(FAMILIES)] for number in range(max(protected, strangers))]
    base = seed * 10_000
    references = [draw(family, base + number) for number, family in enumerate(families[:protected])]
    copies = [receive(edited(image, name, base + number)) for number, image in enumerate(references) for name in EDITS]
    unrelated = [
        receive(encode(draw(family, base + 5_000 + number))) for number, family in enumerate(families[:strangers])
    ]
    found = scores(model, calibration, references, copies).reshape(protected, len(EDITS), protected)
    hits = found[np.arange(protected), :, np.arange(protected)] >= THRESHOLD
    false = scores(model, calibration, references, unrelated).max(axis=1)
    return {
        "blocked": {name: int(hits[:, number].sum()) for number, name in enumerate(EDITS)},
        "stranger_blocks": int((false >= THRESHOLD).sum()),
        "best_stranger": round(float(false.max()), 2),
    }


def summary(runs: list[dict[str, Any]], protected: int, strangers: int) -> dict[str, Any]:
    """Block rate per edit and overall, the worst seed, false blocks."""
    totals = [sum(run["blocked"].values()) / (protected * len(EDITS)) for run in runs]
    return {
        "seeds": len(runs),
        "protected": protected,
        "strangers": strangers,
        "threshold": THRESHOLD,
        "blocked": round(float(np.mean(totals)), 4),
        "worst_seed": round(min(totals), 4),
        "blocked_by_edit": {
            name: round(sum(run["blocked"][name] for run in runs) / (protected * len(runs)), 4) for name in EDITS
        },
        "strangers_blocked": sum(run["stranger_blocks"] for run in runs),
        "strangers_sent": strangers * len(runs),
        "best_stranger_score": max(run["best_stranger"] for run in runs),
    }


def main() -> None:
    """Command line: the summary as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path, help="calibration.json lies beside it")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--protected", type=int, default=30)
    parser.add_argument("--strangers", type=int, default=200)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    calibration = load_calibration(arguments.model.parent)
    runs = [
        rehearse(arguments.model, calibration, seed=seed, protected=arguments.protected, strangers=arguments.strangers)
        for seed in range(arguments.seeds)
    ]
    result = summary(runs, arguments.protected, arguments.strangers)
    print(json.dumps(result, indent=1))
    if arguments.out:
        arguments.out.write_text(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()

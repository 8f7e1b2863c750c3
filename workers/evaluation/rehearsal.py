"""The demonstration without its proxy: protected drawings, their edits, unrelated drawings of the same families.

For every seed a set of drawings is enrolled; each edit of each member and many strangers are inspected by the product's
own code, and a match counts as blocked. JPEG bytes in between, as on the wire.

    python -m workers.evaluation.rehearsal [--encoder NAME] [--seeds 10]
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from shared.types import SetCreated, Verdict
from workers.encoders.encoder import Encoder
from workers.evaluation.product import SET, Product, build_view
from workers.image_sets.enrolment import DEFAULT_THRESHOLD
from workers.training.drawing import FAMILIES, draw
from workers.training.edits import EDITS, edited, encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One seed: ``blocked`` copies per edit, ``strangers`` blocked, the best score of a stranger."""

    blocked: dict[str, int]
    strangers: int
    best_stranger: float


def rehearse(encoder: Encoder, *, seed: int, protected: int, strangers: int, thorough: bool = False) -> Run:
    """Enrol ``protected`` drawings, inspect their edits and ``strangers`` other drawings."""
    families = [FAMILIES[number % len(FAMILIES)] for number in range(max(protected, strangers))]
    base = seed * 10_000
    drawings = [draw(family, base + number) for number, family in enumerate(families[:protected])]
    with Product(encoder) as product:
        references = [
            product.fingerprint(_png(drawing)).as_reference(str(n), set_name=SET) for n, drawing in enumerate(drawings)
        ]
        created = SetCreated(name=SET, threshold=DEFAULT_THRESHOLD, thorough=thorough)
        product.search_in(build_view(encoder, references, [created]))
        blocked = {
            name: sum(
                _found(product.inspect(edited(drawing, name, base + n)), str(n)) for n, drawing in enumerate(drawings)
            )
            for name in EDITS
        }
        others = [
            product.inspect(encode(draw(family, base + 5_000 + number)))
            for number, family in enumerate(families[:strangers])
        ]
    return Run(
        blocked=blocked,
        strangers=sum(any(match.matched for match in verdict.matches) for verdict in others),
        best_stranger=max((match.score for verdict in others for match in verdict.matches), default=0.0),
    )


def _found(verdict: Verdict, reference: str) -> bool:
    return any(match.matched and match.reference == reference for match in verdict.matches)


def _png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def summary(runs: list[Run], protected: int, strangers: int) -> dict[str, Any]:
    """Block rate per edit and overall, the worst seed, false blocks."""
    totals = [sum(run.blocked.values()) / (protected * len(EDITS)) for run in runs]
    return {
        "seeds": len(runs),
        "protected": protected,
        "strangers": strangers,
        "threshold": DEFAULT_THRESHOLD,
        "blocked": round(float(np.mean(totals)), 4),
        "worst_seed": round(min(totals), 4),
        "blocked_by_edit": {
            name: round(sum(run.blocked[name] for run in runs) / (protected * len(runs)), 4) for name in EDITS
        },
        "strangers_blocked": sum(run.strangers for run in runs),
        "strangers_sent": strangers * len(runs),
        "best_stranger_score": round(max(run.best_stranger for run in runs), 2),
    }


def main() -> None:
    """Command line: the summary as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--encoder", default="", help="default: the newest")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--protected", type=int, default=26)
    parser.add_argument("--strangers", type=int, default=200)
    parser.add_argument("--thorough", action="store_true")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    encoder = Encoder.load(arguments.encoder)
    runs = [
        rehearse(
            encoder,
            seed=seed,
            protected=arguments.protected,
            strangers=arguments.strangers,
            thorough=arguments.thorough,
        )
        for seed in range(arguments.seeds)
    ]
    result = summary(runs, arguments.protected, arguments.strangers)
    sys.stdout.write(json.dumps(result, indent=1) + "\n")
    if arguments.out:
        arguments.out.write_text(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()

"""Trains and measures the model that tells a copy from the same layout, on pairs that verify geometrically.

    python -m workers.training.relation --data ../shared/data --out workers/models/local-v1/relation.json

Fitted on training pictures and seeds, its shrinkage chosen on validation ones, measured once on held-out ones; the
model's file says what was found.  Takes five minutes on one core.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.closer_look.block_agreement import Agreement
from workers.closer_look.block_sketch import compare, make_sketch
from workers.closer_look.geometry import Geometry
from workers.closer_look.relation import FEWEST_CONTENT_BLOCKS, GEOMETRY_ALONE, ILLEGIBLE, INSIDE, SIGNS, features
from workers.training.relation_pairs import TO_FIT, TO_MEASURE, Amounts, Progress, Side, Verified, collect

ROUNDS: Final = 4_000
RATE: Final = 0.5
SHRINKAGES: Final = (1e-4, 1e-3, 1e-2)
SURE_OF_A_COPY: Final = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A pair that verified: what kind it is, whether it is a copy, and what was found."""

    kind: str
    copy: bool
    geometry: Geometry
    agreement: Agreement


def case_of(pair: Verified) -> Case:
    """Looks inside a pair as the worker does."""
    agreement = compare(pair.query, make_sketch(pair.reference), pair.geometry.matrix)
    return Case(kind=pair.kind, copy=pair.copy, geometry=pair.geometry, agreement=agreement)


def fit(cases: Sequence[Case], names: tuple[str, ...], shrinkage: float) -> tuple[NDArray[np.float64], float]:
    """Logistic regression by projected gradient: weights with a sign of their own never cross 0.

    Copies weigh as much as the rest, and within either side every kind as much as the square root of its cases.
    """
    inputs = np.array([features(case.geometry, case.agreement, names) for case in cases])
    wanted = np.array([case.copy for case in cases], float)
    kinds = [case.kind for case in cases]
    weight = np.array([kinds.count(kind) ** -0.5 for kind in kinds])
    for side in (0.0, 1.0):
        weight[wanted == side] /= max(1e-9, 2 * weight[wanted == side].sum())
    mean, scale = inputs.mean(axis=0), inputs.std(axis=0) + 1e-9
    scaled, sign = (inputs - mean) / scale, np.array([SIGNS[name] for name in names])
    solution, bias = np.zeros(len(names)), 0.0
    for _ in range(ROUNDS):
        error = weight * (_probability(scaled @ solution + bias) - wanted)
        solution -= RATE * (scaled.T @ error + shrinkage * solution)
        solution[solution * sign < 0] = 0
        bias -= RATE * float(error.sum())
    return solution / scale, bias - float((solution * mean / scale).sum())


def _probability(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -30, 30))))


def train(cases: Sequence[Case], shrinkage: float) -> dict[str, Any]:
    """Both models as they are written."""
    model: dict[str, Any] = {}
    for part, names in (("inside", INSIDE), ("geometry", GEOMETRY_ALONE)):
        usable = [case for case in cases if part == "geometry" or _tells(case)]
        weights, bias = fit(usable, names, shrinkage)
        rounded = [round(float(weight), 4) for weight in weights]
        model[part] = {"features": list(names), "weights": rounded, "bias": round(bias, 4), "pairs": len(usable)}
    return model


def _tells(case: Case) -> bool:
    return case.agreement.legible and case.agreement.content >= FEWEST_CONTENT_BLOCKS


def copy_probabilities(cases: Sequence[Case], model: Mapping[str, Any]) -> NDArray[np.float64]:
    """What the worker says with this model, one number 0..1 a case."""
    said = []
    for case in cases:
        part = model["inside" if case.agreement.content >= FEWEST_CONTENT_BLOCKS else "geometry"]
        names = tuple(part["features"])
        odds = float(part["bias"]) + float(np.dot(part["weights"], features(case.geometry, case.agreement, names)))
        illegible = case.agreement.content >= FEWEST_CONTENT_BLOCKS and not case.agreement.legible
        said.append(ILLEGIBLE if illegible else float(_probability(np.array(odds))))
    return np.array(said)


def loss(cases: Sequence[Case], model: Mapping[str, Any]) -> float:
    """Mean log loss, copies and the rest in equal parts."""
    said = np.clip(copy_probabilities(cases, model), 1e-4, 1 - 1e-4)
    wanted = np.array([case.copy for case in cases])
    return float(-np.log(said[wanted]).mean() - np.log(1 - said[~wanted]).mean()) / 2


def table(cases: Sequence[Case], model: Mapping[str, Any]) -> dict[str, Any]:
    """By kind: pairs that verify, how many are called copies, how many surely so, and the median probability."""
    said = copy_probabilities(cases, model)
    rows: dict[str, Any] = {}
    for is_other, kind in sorted({(not case.copy, case.kind) for case in cases}):
        chosen = said[[case.kind == kind for case in cases]]
        rows[kind] = {"is": "same_layout" if is_other else "copy", **_counts(chosen)}
    for name, copy in (("all copies", True), ("all same layout", False)):
        chosen = said[[case.copy == copy for case in cases]]
        if len(chosen):
            rows[name] = {"is": "copy" if copy else "same_layout", **_counts(chosen)}
    return rows


def _counts(said: NDArray[np.float64]) -> dict[str, Any]:
    return {
        "verified": len(said),
        "called_copy": int((said >= 0.5).sum()),
        "surely": int((said >= SURE_OF_A_COPY).sum()),
        "median": round(float(np.median(said)), 3),
    }


def chosen_model(data: Path, fitted: Amounts, measured: Amounts, progress: Progress) -> dict[str, Any]:
    """Fits, chooses, and looks at the held-out side once."""
    cases = {}
    for side, amounts in ((Side.TRAINING, fitted), (Side.VALIDATION, measured), (Side.HELD_OUT, measured)):
        cases[side] = [case_of(pair) for pair in collect(data, side, amounts, progress)]
    models = [train(cases[Side.TRAINING], shrinkage) for shrinkage in SHRINKAGES]
    losses = [loss(cases[Side.VALIDATION], model) for model in models]
    best = int(np.argmin(losses))
    progress(f"validation losses {losses}, shrinkage {SHRINKAGES[best]}")
    said = {str(side): table(cases[side], models[best]) for side in (Side.VALIDATION, Side.HELD_OUT)}
    return {**models[best], "shrinkage": SHRINKAGES[best], **said}


def main() -> None:
    """Collects, trains, measures, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    started = time.monotonic()
    model = chosen_model(
        options.data,
        TO_FIT,
        TO_MEASURE,
        lambda words: print(f"{time.monotonic() - started:5.0f} s  {words}", flush=True),
    )
    options.out.write_text(json.dumps(model, indent=1) + "\n")
    for kind, row in model[Side.HELD_OUT].items():
        print(f"{kind:40} {row}")


if __name__ == "__main__":
    main()

"""From a data set of labelled pictures to a label network with its card, and the two methods side by side.

A quarter of the pictures, by their files' SHA-256, is never trained on: precision and figures are measured there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from shared.errors import UsageError
from workers.encoders.encoder import Encoder
from workers.labels.manifest import Labelled, presence_of, vocabulary
from workers.labels.network import MODEL_FILE, LabelCard
from workers.labels.scores import fit_precision
from workers.labels.simulated import appearance, simulate
from workers.labels.space import LabelSpace, Presence, average_precision, make_space
from workers.training.dataset import held_out, read_archives, squash
from workers.training.label_network import (
    Examples,
    LabelHead,
    LabelTraining,
    Method,
    export_network,
    label_scores,
    train_network,
)
from workers.training.label_pictures import Pixels, Report, read_squares
from workers.training.network import Fingerprinter
from workers.training.restore import restore

REPORT_EVERY: Final = 2000
MEASURED: Final = 256
"""Pictures that the statistics of a restored network's normalisation are taken from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """N pictures as squares, N x S x S x 3, which of them are held out, and their labels (empty: none are known)."""

    squares: Pixels
    held_out: NDArray[np.bool_]
    labels: tuple[frozenset[str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """The parts of a data set as the networks see them, and its label space."""

    space: LabelSpace
    training: Examples
    testing: Examples


def read_pictures(labelled: Sequence[Labelled], side: int, report: Report) -> Pictures:
    """Read the pictures of a manifest; raises UsageError naming one that cannot be read, or where a part is empty."""
    squares, unseen = read_squares([item.image for item in labelled], side, report)
    if unseen.all() or not unseen.any():
        raise UsageError("too few pictures: a quarter of them is held out, by chance, and none is left on one side")
    return Pictures(squares=squares, held_out=unseen, labels=tuple(item.labels for item in labelled))


def read_archived(data: Path, side: int, report: Report) -> Pictures:
    """Read the archives `photos/*.tar` and `classes/*.tar` under ``data``; raises UsageError where there are none."""
    squares: list[Pixels] = []
    counts: list[int] = []
    for wanted in (_trained_on, held_out):
        for item in read_archives(data, wanted=wanted):
            squares.append(np.asarray(squash(item.image, side)))
            if len(squares) % REPORT_EVERY == 0:
                report(f"read {len(squares)} pictures")
        counts.append(len(squares))
    if not squares:
        raise UsageError(f"no archives of pictures under {data}")
    return Pictures(squares=np.stack(squares), held_out=np.arange(len(squares)) >= counts[0])


def _trained_on(payload: bytes) -> bool:
    return not held_out(payload)


def study_of(pictures: Pictures, inputs: NDArray[np.float32] | Pixels, dimension: int, least: int) -> Study:
    """Return the study of labelled pictures; labels on fewer than ``least`` training pictures do not count."""
    seen = [labels for labels, unseen in zip(pictures.labels, pictures.held_out, strict=True) if not unseen]
    names = vocabulary(seen, least)
    return _study(names, presence_of(pictures.labels, names), pictures.held_out, inputs, dimension)


def simulated_study(pictures: Pictures, inputs: NDArray[np.float32], labels: int, dimension: int, seed: int) -> Study:
    """Return a study of ``labels`` made-up labels that depend on what the pictures show."""
    presence = simulate(appearance(pictures.squares), labels, seed)
    presence = presence[:, presence[~pictures.held_out].any(axis=0)]
    names = tuple(f"label-{number}" for number in range(presence.shape[1]))
    return _study(names, presence, pictures.held_out, inputs, dimension)


def _study(
    names: tuple[str, ...],
    presence: Presence,
    unseen: NDArray[np.bool_],
    inputs: NDArray[np.float32] | Pixels,
    dimension: int,
) -> Study:
    return Study(
        space=make_space(names, presence[~unseen], dimension),
        training=Examples(inputs=inputs[~unseen], presence=presence[~unseen]),
        testing=Examples(inputs=inputs[unseen], presence=presence[unseen]),
    )


def compare(study: Study, config: LabelTraining, report: Report) -> dict[str, dict[str, float]]:
    """Return, by method, mean average precision on held-out pictures, steps' budget alike."""
    figures: dict[str, dict[str, float]] = {}
    methods: tuple[Method, ...] = ("embedding", "sigmoid")
    for method in methods:
        head = train_network(study.training, method, study.space, config, report=_say(method, report))
        figures[method] = measure(head, study, method)
    return figures


def measure(head: LabelHead, study: Study, method: Method) -> dict[str, float]:
    """Return steps, and mean average precision over the labels that held-out pictures have and over the rarer half."""
    precision = average_precision(label_scores(head, study.testing, study.space, method), study.testing.presence)
    told = np.flatnonzero(~np.isnan(precision))
    rarest = told[np.argsort(study.training.presence[:, told].sum(axis=0), kind="stable")][: max(1, len(told) // 2)]
    return {
        "labels": len(told),
        "steps": head.steps,
        "map": round(float(precision[told].mean()), 4),
        "map_rarer_half": round(float(precision[rarest].mean()), 4),
    }


def train(
    study: Study, config: LabelTraining, out: Path, encoder: Encoder, report: Report, start: Fingerprinter | None = None
) -> LabelCard:
    """Train the embedding, all of an encoder that begins as ``start`` where one is given; write network and card."""
    trained = train_network(
        study.training, "embedding", study.space, config, encoder=start, report=_say("embedding", report)
    )
    cosines = label_scores(trained, study.testing, study.space, "embedding")
    out.mkdir(parents=True, exist_ok=True)
    export_network(trained, study.space, out / MODEL_FILE, study.testing.batch(np.arange(2)))
    full = trained.encoder is not None
    card = LabelCard(
        names=study.space.names,
        encoder="" if full else encoder.id,
        side=encoder.side,
        sha256=hashlib.sha256((out / MODEL_FILE).read_bytes()).hexdigest(),
        precision=fit_precision(cosines, study.testing.presence),
        figures=_figures(trained, study, config),
    )
    card.write(out)
    return card


def restored(study: Study, version: Path) -> Fingerprinter:
    """Return the network of an exported encoder, fp32 ONNX, for pictures as a study's; raises ValueError."""
    network = Fingerprinter()
    restore(network, version, study.training.batch(np.arange(min(MEASURED, len(study.training.inputs)))))
    return network


def _figures(head: LabelHead, study: Study, config: LabelTraining) -> dict[str, Any]:
    return {
        "training_pictures": len(study.training.presence),
        "held_out_pictures": len(study.testing.presence),
        "directions": study.space.points.shape[1],
        "unreached": len(study.space.unreached()),
        "seconds": config.seconds,
        "torch": torch.__version__.partition("+")[0],
        **measure(head, study, "embedding"),
    }


def _say(method: str, report: Report) -> Callable[[float, float], None]:
    return lambda share, loss: report(f"{method}: {share:4.0%}  loss {loss:.4f}")

"""The bank of `other`: vectors of ordinary pictures that ship, so that a classifier knows what it is not about.

Only vectors, a byte a value: no picture can be made from them.  The hand-made kinds are one file for all encoders, the
encoder's vectors of the same pictures, in the same order, lie beside each file of the encoder.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from shared.errors import EncoderUnavailableError
from workers.classifying.dense_features import Floats
from workers.classifying.vectors import FeatureModel, unit, weigh
from workers.encoders.files import MODELS, EncoderCard, Precision

HANDMADE: Final = MODELS / "classifier-v1" / "bank.npz"
OWN_HANDMADE: Final = "other.npz"
"""Beside an encoder whose bank is of other pictures than the one that ships."""
FEWEST: Final = 500
"""Pictures of a bank: fewer say nothing of one in 200."""
STEPS: Final = 127.0
"""A unit vector's values are kept as signed bytes, scaled so that the largest of each row is 127."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bank:
    """``rows`` n x length float32, weighed as an example's rows are.

    ``ordinary`` marks photographs, which false positives are counted on; the others are drawings of documents, screens
    and plans, and of nothing: a head learns from them what a label is *not*, but a label may be theirs.  ``fits`` marks
    those that a head is fitted against; on the others it is only counted how often they are given a label.
    """

    rows: Floats
    ordinary: NDArray[np.bool_]
    fits: NDArray[np.bool_]


def bank_path(card: EncoderCard, precision: Precision) -> Path:
    """Return where an encoder's vectors of the bank's pictures are."""
    own = card.files[precision].calibrated_as
    return card.folder / ("other.npy" if own == "fp32" else f"other.{own}.npy")


def to_bytes(vectors: Floats) -> NDArray[np.int8]:
    """Return n x m unit rows as signed bytes."""
    largest = np.maximum(np.abs(vectors).max(axis=1, keepdims=True), 1e-9)
    return np.rint(vectors / largest * STEPS).astype(np.int8)


def write_own_bank(card: EncoderCard, described: Sequence[Floats], encoded: Mapping[Precision, Floats]) -> None:
    """Write a bank of ordinary pictures beside an encoder: hand-made kinds, and its vectors by precision."""
    every = np.ones(len(described), np.bool_)
    np.savez(card.folder / OWN_HANDMADE, kinds=to_bytes(np.stack(described)), ordinary=every, fits=every)
    for precision, vectors in encoded.items():
        np.save(bank_path(card, precision), to_bytes(vectors))


def load_bank(card_path: Path, model: FeatureModel) -> Bank:
    """Return the bank whose encoder's vectors are in ``card_path``; raises EncoderUnavailableError."""
    own = card_path.with_name(OWN_HANDMADE)
    handmade = own if own.exists() else HANDMADE
    try:
        encoded = np.load(card_path, allow_pickle=False)
        with np.load(io.BytesIO(handmade.read_bytes()), allow_pickle=False) as arrays:
            kinds, ordinary, fits = arrays["kinds"], arrays["ordinary"], arrays["fits"]
        if not len(encoded) == len(kinds) == len(ordinary) == len(fits) or kinds.shape[1] != model.length:
            raise ValueError("its two files do not fit each other")
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise EncoderUnavailableError(
            f"this encoder has no bank of other pictures, which classifiers need: {error}; make one of {FEWEST}"
            " pictures or more: safelight encoder bank NAME --images DIR"
        ) from error
    ends = np.cumsum([projection.axes.shape[1] for projection in model.projections.values()])[:-1]
    blocks = [unit(block.astype(np.float32)) for block in (encoded, *np.split(kinds, ends, axis=1))]
    return Bank(rows=weigh(np.concatenate(blocks, axis=1), model), ordinary=ordinary, fits=fits)

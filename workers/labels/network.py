"""A trained label network: an ONNX file that takes an encoder's vectors (or pixels) to cosines with every label.

``labels.json`` beside it holds the names, the encoder it was trained behind and how sure a cosine is.  The file's
contract: input ``x``, float32, N x D vectors of that encoder, or N x 3 x side x side RGB 0..255; output ``cosines``,
float32, N x L.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.errors import UsageError
from workers.encoder_session import import_runtime, open_session
from workers.labels.scores import Precision
from workers.labels.space import Floats

MODEL_FILE: Final = "labels.onnx"
CARD_FILE: Final = "labels.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelCard:
    """What is known of a label network; ``encoder`` is empty for one that takes pixels of ``side``."""

    names: tuple[str, ...]
    encoder: str
    side: int
    sha256: str
    precision: Precision
    figures: dict[str, Any]

    def write(self, folder: Path) -> None:
        """Write it beside the model."""
        (folder / CARD_FILE).write_text(json.dumps(asdict(self), indent=1) + "\n")


def read_card(folder: Path) -> LabelCard:
    """Return the card in ``folder``; raises UsageError for none, or one that is not a card."""
    try:
        fields = json.loads((folder / CARD_FILE).read_text())
        precision = Precision(
            cosines=tuple(fields["precision"]["cosines"]), precisions=tuple(fields["precision"]["precisions"])
        )
        return LabelCard(
            names=tuple(str(name) for name in fields["names"]),
            encoder=str(fields["encoder"]),
            side=int(fields["side"]),
            sha256=str(fields["sha256"]),
            precision=precision,
            figures=dict(fields["figures"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{folder} holds no label network: {error}") from error


class LabelNetwork:
    """A loaded label network; ``cosines`` may be called from any thread."""

    def __init__(self, card: LabelCard, model: bytes, *, threads: int = 1) -> None:
        """Raises UsageError for a model that is not the card's."""
        if hashlib.sha256(model).hexdigest() != card.sha256:
            raise UsageError(f"{MODEL_FILE} is not the file that {CARD_FILE} describes")
        self.card: Final = card
        self._session = open_session(import_runtime(), model, threads, "cpu")
        if self._session.get_outputs()[0].shape[1] != len(card.names):
            raise UsageError(f"{MODEL_FILE} knows {self._session.get_outputs()[0].shape[1]} labels")

    @classmethod
    def load(cls, folder: Path, *, threads: int = 1) -> LabelNetwork:
        """Load what ``labels train`` wrote; raises UsageError."""
        card = read_card(folder)
        try:
            model = (folder / MODEL_FILE).read_bytes()
        except OSError as error:
            raise UsageError(f"{folder} holds no {MODEL_FILE}: {error}") from error
        return cls(card, model, threads=threads)

    def cosines(self, inputs: Floats) -> Floats:
        """Return N x L cosines of N vectors (N x D), or of N pictures (N x 3 x side x side) with every label."""
        return np.asarray(self._session.run(["cosines"], {"x": np.ascontiguousarray(inputs, np.float32)})[0])

    def labels(self, cosines: NDArray[np.float32], chosen: NDArray[np.bool_]) -> list[list[tuple[str, float]]]:
        """Return (label, score 0..100) of the chosen labels of each image, surest first."""
        scores = self.card.precision.scores(cosines)
        return [_surest(self.card.names, row, of_row) for row, of_row in zip(scores, chosen, strict=True)]


def _surest(names: Sequence[str], scores: NDArray[np.float64], chosen: NDArray[np.bool_]) -> list[tuple[str, float]]:
    found = [(names[number], round(float(scores[number]), 1)) for number in np.flatnonzero(chosen).tolist()]
    return sorted(found, key=lambda answer: (-answer[1], answer[0]))

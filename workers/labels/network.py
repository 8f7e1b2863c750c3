"""A trained label network: an ONNX file that takes an encoder's vectors (or pixels) to cosines with every label.

``labels.json`` beside it holds the names, the encoder it was trained behind, how sure a cosine is and which labels are
given.  The file's contract: input ``x``, float32, N x D vectors of that encoder, or N x 3 x side x side RGB 0..255;
output ``cosines``, float32, N x L.  Both files may be anybody's: all of that is checked before onnxruntime sees a byte,
but a network computes what its maker wants, so use one only from where you would install a program.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.core.policy_conditions import OTHER
from shared.errors import EncoderUnavailableError, IntegrityError, UsageError
from workers.encoders.onnx_file import FLOAT, OnnxFile, read_onnx
from workers.encoders.session import import_runtime, open_session
from workers.labels.choice import DEFAULT_CHOICE, Choice
from workers.labels.manifest import LABEL_LIMIT
from workers.labels.scores import Precision
from workers.labels.space import MAX_LABELS, Floats

MODEL_FILE: Final = "labels.onnx"
CARD_FILE: Final = "labels.json"
MODEL_LIMIT: Final = 64 << 20
"""Bytes: a head to 20,000 labels in 512 directions takes 47 MB."""
CARD_LIMIT: Final = 8 << 20
"""Bytes: 20,000 names, far longer than names are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelCard:
    """What is known of a label network; ``encoder`` is empty for one that takes pixels of ``side``.

    Raises ValueError for names that cannot be labels.
    """

    names: tuple[str, ...]
    encoder: str
    side: int
    sha256: str
    precision: Precision
    figures: dict[str, Any]
    choice: Choice = DEFAULT_CHOICE

    def __post_init__(self) -> None:
        if not 0 < len(self.names) <= MAX_LABELS or len(set(self.names)) != len(self.names):
            raise ValueError(f"1 to {MAX_LABELS} labels have names of their own")
        if not all(0 < len(name) <= LABEL_LIMIT and name != OTHER for name in self.names):
            raise ValueError(f"a label is a name of 1 to {LABEL_LIMIT} characters other than {OTHER}")

    def write(self, folder: Path) -> None:
        """Write it beside the model."""
        (folder / CARD_FILE).write_text(json.dumps(asdict(self), indent=1) + "\n")


def card_of(text: str | bytes) -> LabelCard:
    """Return the card whose JSON this is; raises ValueError."""
    if len(text) > CARD_LIMIT:
        raise ValueError(f"a card of more than {CARD_LIMIT} bytes")
    try:
        fields = json.loads(text)
        precision, choice = fields["precision"], fields["choice"]
        return LabelCard(
            names=tuple(str(name) for name in fields["names"]),
            encoder=str(fields["encoder"]),
            side=int(fields["side"]),
            sha256=str(fields["sha256"]),
            precision=Precision(
                cosines=tuple(map(float, precision["cosines"])), precisions=tuple(map(float, precision["precisions"]))
            ),
            figures=dict(fields["figures"]),
            choice=Choice(nearest=int(choice["nearest"]), within=float(choice["within"])),
        )
    except (KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(f"no card: {error!r}") from error


def read_card(folder: Path) -> LabelCard:
    """Return the card in ``folder``; raises UsageError for none, or one that is not a card."""
    try:
        with (folder / CARD_FILE).open("rb") as file:
            return card_of(file.read(CARD_LIMIT + 1))
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder} holds no label network: {error}") from error


def read_model(folder: Path) -> bytes:
    """Return the model's bytes, one more than ``MODEL_LIMIT`` at most; raises UsageError where there is none."""
    try:
        with (folder / MODEL_FILE).open("rb") as file:
            return file.read(MODEL_LIMIT + 1)
    except OSError as error:
        raise UsageError(f"{folder} holds no {MODEL_FILE}: {error}") from error


class LabelNetwork:
    """A loaded label network; ``cosines`` may be called from any thread."""

    def __init__(self, card: LabelCard, model: bytes, *, threads: int = 1) -> None:
        """Raises UsageError for a model that is not the card's or not a label network's, and one that does not run."""
        if len(model) > MODEL_LIMIT:
            raise UsageError(f"{MODEL_FILE} has more than {MODEL_LIMIT >> 20} MiB")
        if hashlib.sha256(model).hexdigest() != card.sha256:
            raise UsageError(f"{MODEL_FILE} is not the file that {CARD_FILE} describes")
        self.card: Final = card
        self.inputs: Final = _inputs(card, read_onnx(model))
        try:
            self._session = open_session(import_runtime(), model, threads, "cpu")
        except EncoderUnavailableError as error:
            raise UsageError(f"{MODEL_FILE} cannot be loaded: {error}") from error
        try:
            self.cosines(np.zeros((1, *self.inputs), np.float32))
        except IntegrityError as error:
            raise UsageError(f"{MODEL_FILE} does not run: {error}") from error

    @classmethod
    def load(cls, folder: Path, *, threads: int = 1) -> LabelNetwork:
        """Load what ``labels train`` wrote; raises UsageError."""
        return cls(read_card(folder), read_model(folder), threads=threads)

    def cosines(self, inputs: Floats) -> Floats:
        """Return N x L cosines of N vectors (N x D), or of N pictures (N x 3 x side x side) with every label.

        Raises IntegrityError where the network gives something else.
        """
        try:
            (found,) = self._session.run(["cosines"], {"x": np.ascontiguousarray(inputs, np.float32)})
        except Exception as error:  # onnxruntime raises a dozen unrelated classes
            raise IntegrityError(f"the label network fails: {error}") from error
        if found.shape != (len(inputs), len(self.card.names)) or not np.isfinite(found).all():
            raise IntegrityError("the label network gives no cosines")
        return np.asarray(found, np.float32)

    def scores(self, cosines: Floats) -> NDArray[np.float64]:
        """Return how sure each label is, 0..100, of the cosines' shape."""
        return self.card.precision.scores(cosines)

    def chosen(self, cosines: Floats) -> NDArray[np.bool_]:
        """Return N x L: the labels that are given, as the card's choice says."""
        return self.card.choice.chosen(cosines, self.scores(cosines))


def _inputs(card: LabelCard, model: OnnxFile) -> tuple[int, ...]:
    """The shape of one input; raises UsageError for another contract than the card's."""
    if [tensor.name for tensor in model.inputs] != ["x"] or [tensor.name for tensor in model.outputs] != ["cosines"]:
        raise UsageError(f"{MODEL_FILE} does not take x to cosines")
    (entry,), (result,) = model.inputs, model.outputs
    if entry.element != FLOAT or result.element != FLOAT or not entry.shape or not result.shape:
        raise UsageError(f"{MODEL_FILE} does not take float32 tensors to float32 tensors")
    if result.shape[1:] != (len(card.names),):
        raise UsageError(f"{MODEL_FILE} does not know the {len(card.names)} labels of {CARD_FILE}")
    shape = tuple(size for size in entry.shape[1:] if size is not None)
    wanted = len(shape) == 1 if card.encoder else shape == (3, card.side, card.side)
    if len(entry.shape) != len(shape) + 1 or entry.shape[0] is not None or not wanted:
        what = "vectors" if card.encoder else f"pictures of {card.side} pixels"
        raise UsageError(f"{MODEL_FILE} does not take {what} in batches")
    return shape

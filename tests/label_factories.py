"""Label networks whose labels are directions, and their cards."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.onnx_factories import linear_model, make_model, make_tensor, make_weight
from workers.encoders.encoder import Encoder
from workers.encoders.onnx_file import node
from workers.labels.network import MODEL_FILE, LabelCard
from workers.labels.published import PublishedSpace
from workers.labels.scores import Precision
from workers.training.label_pictures import embed, read_squares

WEIGHTS = np.array([[1.0, 0.0, 0.6], [0.0, 1.0, 0.8]], np.float32)
NAMES = ("cat", "car", "street")


def make_card(model: bytes, **changes: Any) -> LabelCard:
    """A card whose scores are the cosines in percent."""
    values: dict[str, Any] = {
        "names": NAMES,
        "encoder": "encoder-1",
        "side": 8,
        "sha256": hashlib.sha256(model).hexdigest(),
        "precision": Precision(cosines=(0.0, 1.0), precisions=(0.0, 1.0)),
        "figures": {"map": 0.5},
    }
    return LabelCard(**values | changes)


def make_space(weights: NDArray[np.float32] = WEIGHTS, **changes: Any) -> PublishedSpace:
    """A network that multiplies vectors by D x L weights."""
    model = linear_model(weights)
    return PublishedSpace(card=make_card(model, **changes), model=model)


def pixel_model(names: int = 3, side: int = 8) -> bytes:
    """A network that takes pictures: the first label is near where they are red, the second green, the third blue."""
    blocks = np.zeros((3, side * side, names), np.float32)
    for channel in range(min(3, names)):
        blocks[channel, :, channel] = 1 / (255 * side * side)
    return make_model(
        nodes=[node("Flatten", ["x"], "flat", [("axis", 1)]), node("MatMul", ["flat", "w"], "cosines")],
        weights=make_weight("w", blocks.reshape(3 * side * side, names)),
        entry=make_tensor("x", (None, 3, side, side)),
        result=make_tensor("cosines", (None, names)),
    )


def write_network(folder: Path, pictures: Mapping[str, bytes], encoder: Encoder, named: str = "") -> None:
    """Write a label network as ``labels train`` does: each label is where the encoder sees its one picture.

    Pictures that it sees at a cosine of 0.9 or more have a score of 100, below 0.5 of 0.  The card names the encoder
    ``named`` where that is given.
    """
    folder.mkdir(parents=True)
    files = [folder / f"{label}.jpg" for label in pictures]
    for file, data in zip(files, pictures.values(), strict=True):
        file.write_bytes(data)
    squares, _ = read_squares(files, encoder.side, lambda _: None)
    model = linear_model(np.ascontiguousarray(embed(squares, encoder).T))
    (folder / MODEL_FILE).write_bytes(model)
    precision = Precision(cosines=(0.5, 0.9), precisions=(0.0, 1.0))
    values = {"names": tuple(pictures), "encoder": named or encoder.id, "side": encoder.side, "precision": precision}
    make_card(model, **values).write(folder)

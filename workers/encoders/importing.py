"""A public encoder becomes a version like any other: its card checked, its file rewritten, its vectors looked at.

The rewritten file takes raw RGB 0..255 and gives vectors of length 1: scale, mean and deviation go into the graph, and
so does the L2 norm where the original leaves it out.  Nothing here needs torch or ``onnx``; where ``onnx`` is
installed, its checker has a say too.  A model computes what its maker wants: what it finds and misses is theirs, so
import only from where you would install a program.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.errors import EncoderUnavailableError, UsageError
from workers.decoding.reference_views import VIEWS
from workers.encoders.files import MODEL_FILES
from workers.encoders.onnx_file import FLOAT, OnnxFile, Tensor, channel_weight, inner, node, read_onnx, rewrite
from workers.encoders.session import import_runtime, open_session

NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
SIDES: Final = (32, 512)
DIMENSIONS: Final = (64, 4096)
DIMENSION_STEP: Final = 64
"""Enrolled views are kept as the signs of their vectors, in words of 64 bits (workers/search/sign_index.py)."""
CARD_LIMIT: Final = 1 << 20
TEXT_LIMIT: Final = 2000
LENGTH_TOLERANCE: Final = 1e-3
SAME: Final = 0.9999
"""Least cosine of one picture's vectors alone and in a batch."""
LEAST_OPSET_NOTE: Final = "export it with opset 7 or newer and a dynamic batch"

CARD_TEMPLATE: Final[dict[str, Any]] = {
    "name": "sscd-disc-mixup",
    "licence": "as its makers state it",
    "source": "where the file is from: address and version",
    "side": 288,
    "scale": 255.0,
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
    "resize": "squash",
    "dimension": 512,
}
"""x = (pixel / scale - mean) / std per channel, pixel 0..255 in the order RGB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportCard:
    """What only the encoder's makers know: the facts of ``CARD_TEMPLATE``."""

    name: str
    licence: str
    source: str
    side: int
    scale: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resize: str
    dimension: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedModel:
    """The rewritten file, and whether the original gave vectors of length 1."""

    data: bytes
    normalised: bool


def read_card(path: Path) -> ImportCard:
    """Read a filled-in template; raises UsageError that says what is wrong with it."""
    try:
        with path.open(encoding="utf-8") as stream:
            values = json.loads(stream.read(CARD_LIMIT))
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read the card {path}: {error}") from error
    if not isinstance(values, dict):
        raise UsageError(f"{path} is no card: print a template with --card-template")
    if values.keys() != CARD_TEMPLATE.keys():
        missing = ", ".join(sorted(CARD_TEMPLATE.keys() - values.keys())) or "nothing"
        unknown = ", ".join(sorted(str(key) for key in values.keys() - CARD_TEMPLATE.keys())) or "nothing"
        raise UsageError(f"{path}: missing: {missing}; unknown: {unknown}")
    return ImportCard(
        name=_text(values, "name"),
        licence=_text(values, "licence"),
        source=_text(values, "source"),
        side=_whole(values, "side", SIDES),
        scale=_numbers([values["scale"]], "scale", 1, least=1e-6)[0],
        mean=_triple(values["mean"], "mean", least=-1e6),
        std=_triple(values["std"], "std", least=1e-6),
        resize=_resize(values["resize"]),
        dimension=_dimension(values),
    )


def version_name(name: str, imported: Path, shipped: Sequence[str]) -> str:
    """Return a version's name; raises UsageError for one that is taken or cannot be a folder's."""
    if not NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name for an encoder: small letters, digits, - and _; give one with --name")
    if name in shipped or (imported / name).exists():
        raise UsageError(f"there is an encoder {name} already: give another --name")
    return name


def convert(data: bytes, card: ImportCard) -> ImportedModel:
    """Check a model by its bytes and by running it, and rewrite it; raises UsageError, EncoderUnavailableError."""
    model = read_onnx(data)
    entry, result = _ends(model, card)
    _check_with_onnx(data)
    plain = _rewritten(model, card, entry, result, normalise=False)
    normalised = _try(plain, card)
    if normalised:
        return ImportedModel(data=plain, normalised=True)
    whole = _rewritten(model, card, entry, result, normalise=True)
    if not _try(whole, card):
        raise UsageError("the encoder's vectors cannot be brought to length 1: some picture gives a vector of length 0")
    return ImportedModel(data=whole, normalised=False)


def write_version(
    model: ImportedModel,
    card: ImportCard,
    folder: Path,
    *,
    original: str,
    original_sha256: str,
    calibrate: Callable[[Path], None],
) -> dict[str, Any]:
    """Write the version's folder as a whole or not at all and return its card; ``calibrate`` completes a folder.

    Raises what ``calibrate`` raises, OSError, UsageError where the folder is there.
    """
    facts = _facts(model, replace(card, name=folder.name), original, original_sha256)

    def make(part: Path) -> None:
        (part / MODEL_FILES["fp32"]).write_bytes(model.data)
        (part / "card.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        calibrate(part)

    place_version(folder, make)
    return facts


def place_version(folder: Path, make: Callable[[Path], None]) -> None:
    """Let ``make`` fill a version's folder, elsewhere, and put it in place as a whole or not at all.

    Raises what ``make`` raises, OSError, UsageError where the folder is there.
    """
    part = folder.with_name(f".{folder.name}.part") / folder.name  # a version is called as its folder
    _remove(part.parent)
    try:
        part.mkdir(parents=True)
        make(part)
        if folder.exists():
            raise UsageError(f"there is an encoder {folder.name} already")
        part.rename(folder)
    finally:
        _remove(part.parent)


def _remove(folder: Path) -> None:
    """A folder of this module's own making: files, and one level of folders."""
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    if folder.exists():
        folder.rmdir()


def _facts(model: ImportedModel, card: ImportCard, original: str, original_sha256: str) -> dict[str, Any]:
    digest = hashlib.sha256(model.data).hexdigest()
    return {
        "id": card.name,
        "imported": {"file": original, "sha256": original_sha256, "card": asdict(card)},
        "licence": card.licence,
        "source": card.source,
        "file": MODEL_FILES["fp32"],
        "sha256": digest,
        "precisions": {"fp32": {"file": MODEL_FILES["fp32"], "sha256": digest, "bytes": len(model.data)}},
        "input": {
            "name": "x",
            "type": "float32",
            "shape": ["N", 3, card.side, card.side],
            "range": "RGB 0..255",
            "preprocessing": f"squashed to {card.side} x {card.side}; scale, mean and deviation are in the graph",
        },
        "output": {
            "name": "z",
            "type": "float32",
            "shape": ["N", card.dimension],
            "norm": "L2 = 1, "
            + ("as the original gives it" if model.normalised else "added to the graph by the import"),
        },
        "dimension": card.dimension,
        "side": card.side,
        "reference_views": list(VIEWS),
    }


def _ends(model: OnnxFile, card: ImportCard) -> tuple[Tensor, Tensor]:
    """The one picture that goes in and the one vector that comes out."""
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise UsageError(
            f"an encoder has one input and one output; this file has {_names(model.inputs)} and {_names(model.outputs)}"
        )
    (entry,), (result,) = model.inputs, model.outputs
    if entry.element != FLOAT or result.element != FLOAT:
        raise UsageError("input and output must be float32 tensors: export it so")
    if entry.shape is None or len(entry.shape) != 4:
        raise UsageError(f"the input must be N x 3 x side x side, not {_shape(entry)}")
    batch, channels, *sides = entry.shape
    if batch is not None:
        raise UsageError(f"the input's batch is fixed at {batch}: {LEAST_OPSET_NOTE}")
    if channels not in {None, 3} or any(side not in {None, card.side} for side in sides):
        raise UsageError(f"the card says 3 x {card.side} x {card.side}, the file {_shape(entry)}")
    if result.shape is not None and len(result.shape) != 2:
        raise UsageError(f"the output must be N x dimension, not {_shape(result)}")
    if result.shape is not None and result.shape[1] not in {None, card.dimension}:
        raise UsageError(f"the card says {card.dimension} dimensions, the file {result.shape[1]}")
    return entry, result


def _rewritten(model: OnnxFile, card: ImportCard, entry: Tensor, result: Tensor, *, normalise: bool) -> bytes:
    before = [
        node("Sub", ["x", "pixel_mean"], "pixel_centred"),
        node("Mul", ["pixel_centred", "pixel_factor"], inner(entry.name)),
    ]
    last = inner(result.name)
    after = [
        node("LpNormalization", [last], "z", [("axis", 1), ("p", 2)]) if normalise else node("Identity", [last], "z")
    ]
    weights = channel_weight("pixel_mean", [mean * card.scale for mean in card.mean])
    weights += channel_weight("pixel_factor", [1 / (std * card.scale) for std in card.std])
    return rewrite(
        model,
        entry=Tensor(name="x", element=FLOAT, shape=(None, 3, card.side, card.side)),
        result=Tensor(name="z", element=FLOAT, shape=(None, card.dimension)),
        before=before,
        after=after,
        weights=weights,
    )


def _try(model: bytes, card: ImportCard) -> bool:
    """Run a rewritten model on drawn squares; returns whether its vectors have length 1, raises UsageError."""
    try:
        session = open_session(import_runtime(), model, 1, "cpu")
    except EncoderUnavailableError as error:
        if "cannot be loaded" not in str(error):
            raise
        raise UsageError(f"{error} ({LEAST_OPSET_NOTE})") from error
    pictures = _squares(card.side)
    together = _run(session, pictures)
    if together.shape != (len(pictures), card.dimension):
        raise UsageError(f"the card says {card.dimension} dimensions; {len(pictures)} pictures give {together.shape}")
    if not np.isfinite(together).all():
        raise UsageError("the encoder gives vectors that are not numbers")
    lengths = np.linalg.norm(together, axis=1)
    if float(lengths.min()) < LENGTH_TOLERANCE:
        raise UsageError("the encoder gives a vector of length 0")
    alone = np.concatenate([_run(session, pictures[number : number + 1]) for number in range(len(pictures))])
    if float(_cosines(alone, together).min()) < SAME:
        raise UsageError("a picture's vector depends on the others of its batch: export the encoder for inference")
    if float(_cosines(together, together[::-1]).min()) > SAME:
        raise UsageError("the encoder gives the same vector for every picture")
    return bool(np.abs(lengths - 1).max() <= LENGTH_TOLERANCE)


def _run(session: Any, pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    try:
        (vectors,) = session.run(["z"], {"x": pictures})
    except Exception as error:  # onnxruntime raises a dozen unrelated classes
        raise UsageError(f"the encoder does not run on {len(pictures)} pictures: {error}") from error
    return np.asarray(vectors, dtype=np.float32)


def _cosines(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return np.asarray((first * second).sum(axis=1) / np.maximum(lengths, 1e-12), np.float32)


def _squares(side: int) -> NDArray[np.float32]:
    """4 x 3 x side x side: black, white, a ramp and coarse noise, RGB 0..255."""
    noise = np.random.default_rng(0).integers(0, 256, (3, 8, 8)).astype(np.float32)
    ramp = np.broadcast_to(np.linspace(0, 255, side, dtype=np.float32), (3, side, side))
    steps = np.arange(side) * 8 // side
    flat = np.zeros((3, side, side), np.float32)
    return np.stack([flat, ramp, noise[:, steps][:, :, steps], flat + 255])


def _check_with_onnx(data: bytes) -> None:
    try:
        from onnx import checker  # noqa: PLC0415 - only the train extra has it
    except ImportError:
        return
    try:
        checker.check_model(data)
    except Exception as error:  # the checker raises C++ errors of many kinds
        raise UsageError(f"ONNX's checker refuses the file: {error}") from error


def _names(tensors: Sequence[Tensor]) -> str:
    return ", ".join(tensor.name for tensor in tensors[:8]) or "none"


def _shape(tensor: Tensor) -> str:
    return "of no shape" if tensor.shape is None else " x ".join("N" if n is None else str(n) for n in tensor.shape)


def _text(values: dict[str, Any], key: str) -> str:
    value = values[key]
    if not isinstance(value, str) or not value.strip() or len(value) > TEXT_LIMIT:
        raise UsageError(f"card: {key} is a text of 1 to {TEXT_LIMIT} characters")
    return value.strip()


def _whole(values: dict[str, Any], key: str, limits: tuple[int, int]) -> int:
    value = values[key]
    if not isinstance(value, int) or isinstance(value, bool) or not limits[0] <= value <= limits[1]:
        raise UsageError(f"card: {key} is a whole number between {limits[0]} and {limits[1]}")
    return value


def _dimension(values: dict[str, Any]) -> int:
    dimension = _whole(values, "dimension", DIMENSIONS)
    if dimension % DIMENSION_STEP:
        raise UsageError(
            f"card: dimension is a multiple of {DIMENSION_STEP}: views are kept as words of that many signs"
        )
    return dimension


def _numbers(values: object, key: str, count: int, *, least: float) -> list[float]:
    if not isinstance(values, list) or len(values) != count:
        raise UsageError(f"card: {key} has {count} numbers")
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        raise UsageError(f"card: {key} is made of numbers")
    if not all(math.isfinite(value) and least <= value <= 1e6 for value in values):
        raise UsageError(f"card: {key} lies between {least:g} and 1e6")
    return [float(value) for value in values]


def _triple(values: object, key: str, *, least: float) -> tuple[float, float, float]:
    red, green, blue = _numbers(values, key, 3, least=least)
    return red, green, blue


def _resize(value: object) -> str:
    if value != "squash":
        raise UsageError("card: resize can only be 'squash': the decoder gives encoders the whole picture as a square")
    return "squash"

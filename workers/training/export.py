"""Checkpoint to a version's ONNX files, each checked against torch before it counts as exported.

The network is fully convolutional, so the same weights may be exported for another input side than they were trained
at: each version states its own.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from workers.encoders.files import MODEL_FILES, Precision
from workers.training.network import DIMENSION, INPUT_SIDE, Fingerprinter
from workers.training.onnx_writing import write_graph
from workers.training.quantise import write_half, write_int8

SIDE_STEP: Final = 16
"""The stem and the two pools divide the side by 16; another side would lose the picture's edge."""
SIDES: Final = (64, 512)
# Measured differences are 9e-6 and, with half weights, 1e-4; more means that a layer was exported as something else.
PARITY: Final = 1e-4
HALF_PARITY: Final = 2e-3
# Least cosines over 400 pictures are .996 (int8) and .99999 (fp16); far below them a file was written wrong.
LEAST_COSINE: Final[dict[Precision, float]] = {"fp32": 0.9999, "int8": 0.95, "fp16": 0.9999}
# Vectors this near to fp32's (fp16: .99999) share its calibration: its table's cosines lie .005 apart.
SAME_COSINE: Final = 0.9999
# Weights of at least this many numbers are stored as float16 (half the file; cosines move by 1e-4) and cast back when
# the session folds its constants: computation, input and output stay float32.
HALF_FROM: Final = 1024
COMPARED_AT_ONCE: Final = 16

type Pixels = NDArray[np.uint8]


class ExportError(RuntimeError):
    """The exported file does not compute what the checkpoint computes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """The file, its SHA-256, and its largest absolute difference to torch."""

    path: Path
    sha256: str
    difference: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How near a file's vectors come to torch's, over `pictures` pictures: largest difference, cosines."""

    pictures: int
    max_difference: float
    mean_cosine: float
    min_cosine: float


def load_network(checkpoint: Path) -> Fingerprinter:
    """The averaged weights of a checkpoint, in evaluation mode; raises ValueError for another network's."""
    network = Fingerprinter()
    try:
        network.load_state_dict(torch.load(checkpoint, weights_only=True)["average"])
    except (KeyError, RuntimeError) as error:
        raise ValueError(f"{checkpoint} is not a checkpoint of this network") from error
    return network.eval()


def export(checkpoint: Path, out: Path, side: int = INPUT_SIDE) -> Exported:
    """Writes `out`: input `x` float32 N x 3 x side x side RGB in 0..255, output `z` N x 512 unit vectors.

    Raises ExportError when onnxruntime and torch disagree by more than `PARITY`, or `HALF_PARITY` after rounding;
    ValueError for a side that the network cannot take.
    """
    network = load_network(checkpoint)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_single(network, out, side)
    store_half(out)
    difference = require_parity(network, out, HALF_PARITY, side)
    return Exported(path=out, sha256=_digest(out), difference=difference)


def export_version(
    checkpoint: Path, folder: Path, *, calibrating: Pixels, comparing: Pixels
) -> dict[Precision, dict[str, Any]]:
    """Writes the version's file of each precision and returns the card's `precisions`.

    `calibrating` (int8's ranges) and `comparing` (parity) are N x side x side x 3; their side is the version's.
    Raises ExportError for a file that computes something else, ValueError for a side the network cannot take.
    """
    network = load_network(checkpoint)
    folder.mkdir(parents=True, exist_ok=True)
    paths = {precision: folder / name for precision, name in MODEL_FILES.items()}
    with tempfile.TemporaryDirectory() as scratch:
        single = Path(scratch) / "single.onnx"
        write_single(network, single, calibrating.shape[1])
        paths["fp32"].write_bytes(single.read_bytes())
        write_int8(single, paths["int8"], calibrating)
        write_half(single, paths["fp16"])
    expected = _vectors(network, comparing)
    facts: dict[Precision, dict[str, Any]] = {}
    for precision, path in paths.items():
        store_half(path)
        agreement = agree(expected, path, comparing)
        if agreement.min_cosine < LEAST_COSINE[precision]:
            raise ExportError(f"{path} differs from its checkpoint: least cosine {agreement.min_cosine}")
        facts[precision] = {
            "file": path.name,
            "sha256": _digest(path),
            "bytes": path.stat().st_size,
            "parity": asdict(agreement),
            "accuracy_loss": None,  # measured by the evaluation
        }
        if precision != "fp32" and agreement.min_cosine >= SAME_COSINE:
            facts[precision]["calibrated_as"] = "fp32"
    return facts


def write_single(network: Fingerprinter, out: Path, side: int) -> None:
    """Writes the network as float32 ONNX without a trace of where it was made; raises ExportError, ValueError."""
    if side % SIDE_STEP or not SIDES[0] <= side <= SIDES[1]:
        raise ValueError(f"a side is a multiple of {SIDE_STEP} between {SIDES[0]} and {SIDES[1]}, not {side}")
    write_graph(network, torch.rand(2, 3, side, side) * 255, out, "z")
    require_parity(network, out, PARITY, side)


def store_half(path: Path) -> None:
    """Rewrites the large float32 weights of an ONNX file as float16 with a Cast behind each."""
    model = onnx.load(str(path))
    casts = []
    for weight in model.graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype == np.float32 and values.size >= HALF_FROM:
            name = weight.name
            weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
            casts.append(helper.make_node("Cast", [f"{name}.half"], [name], name=f"{name}.cast", to=TensorProto.FLOAT))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*casts, *nodes])
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def require_parity(network: Fingerprinter, model: Path, limit: float, side: int = INPUT_SIDE) -> float:
    """The difference between torch and the file; raises ExportError above `limit`."""
    difference = parity(network, model, side)
    if difference > limit:
        raise ExportError(f"{model} differs from its checkpoint by {difference:.2g}")
    return difference


def parity(network: Fingerprinter, model: Path, side: int = INPUT_SIDE) -> float:
    """Largest absolute difference between torch and onnxruntime over batches of 1, 4 and 32 images."""
    generator = np.random.default_rng(0)
    worst = 0.0
    for count in (1, 4, 32):
        noise = generator.integers(0, 256, (count, side // 8, side // 8, 3), dtype=np.uint8)
        pictures = noise.repeat(8, axis=1).repeat(8, axis=2)
        found = _run(model, pictures, count)
        if found.shape != (count, DIMENSION):
            raise ExportError(f"{model} gives {found.shape} for {count} images")
        worst = max(worst, float(np.abs(found - _vectors(network, pictures)).max()))
    return worst


def agree(expected: NDArray[np.float32], model: Path, pictures: Pixels) -> Agreement:
    """Compares the file's vectors of `pictures`, N x side x side x 3, with the `expected` N x 512 ones."""
    found = _run(model, pictures)
    cosines = (found * expected).sum(axis=1) / np.maximum(np.linalg.norm(found, axis=1), 1e-12)
    return Agreement(
        pictures=len(pictures),
        max_difference=float(f"{np.abs(found - expected).max():.2g}"),
        mean_cosine=round(float(cosines.mean()), 6),
        min_cosine=round(float(cosines.min()), 6),
    )


def _vectors(network: Fingerprinter, pictures: Pixels) -> NDArray[np.float32]:
    with torch.no_grad():
        parts = [network(torch.from_numpy(batch)).numpy() for batch in _batches(pictures, COMPARED_AT_ONCE)]
    return np.concatenate(parts)


def _run(model: Path, pictures: Pixels, size: int = COMPARED_AT_ONCE) -> NDArray[np.float32]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(["z"], {"x": batch})[0] for batch in _batches(pictures, size)])


def _batches(pictures: Pixels, size: int) -> Iterator[NDArray[np.float32]]:
    for at in range(0, len(pictures), size):
        yield np.ascontiguousarray(pictures[at : at + size].transpose(0, 3, 1, 2), np.float32)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


__all__ = [
    "Agreement",
    "ExportError",
    "Exported",
    "agree",
    "export",
    "export_version",
    "load_network",
    "parity",
    "require_parity",
    "store_half",
    "write_single",
]

"""Checkpoint to ONNX: the file that ships, checked against torch before it counts as exported."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from workers.training.network import DIMENSION, INPUT_SIDE, Fingerprinter

OPSET: Final = 20
MAX_BATCH: Final = 1024
# Measured differences are 3e-6 and, with half weights, 1e-4; more means that a layer was exported as something else.
PARITY: Final = 1e-4
HALF_PARITY: Final = 2e-3
# Weights of at least this many numbers are stored as float16 (half the file; cosines move by 1e-4) and cast back when
# the session folds its constants: computation, input and output stay float32.
HALF_FROM: Final = 1024


class ExportError(RuntimeError):
    """The exported file does not compute what the checkpoint computes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """The file, its SHA-256, and its largest absolute difference to torch."""

    path: Path
    sha256: str
    difference: float


def load_network(checkpoint: Path) -> Fingerprinter:
    """The averaged weights of a checkpoint, in evaluation mode."""
    network = Fingerprinter()
    network.load_state_dict(torch.load(checkpoint, weights_only=True)["average"])
    return network.eval()


def export(checkpoint: Path, out: Path) -> Exported:
    """Writes `out`: input `x` float32 N x 3 x 96 x 96 RGB in 0..255, output `z` N x 512 unit vectors.

    Raises ExportError when onnxruntime and torch disagree by more than `PARITY`, or `HALF_PARITY` after rounding.
    """
    network = load_network(checkpoint)
    out.parent.mkdir(parents=True, exist_ok=True)
    sample = torch.rand(2, 3, INPUT_SIDE, INPUT_SIDE) * 255
    torch.onnx.export(
        network,
        (sample,),
        str(out),
        dynamo=True,
        opset_version=OPSET,
        input_names=["x"],
        output_names=["z"],
        dynamic_shapes=({0: torch.export.Dim("b", min=1, max=MAX_BATCH)},),
        external_data=False,
        verbose=False,
    )
    require_parity(network, out, PARITY)
    store_half(out)
    _forget_origin(out)
    difference = require_parity(network, out, HALF_PARITY)
    return Exported(path=out, sha256=hashlib.sha256(out.read_bytes()).hexdigest(), difference=difference)


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


def require_parity(network: Fingerprinter, model: Path, limit: float) -> float:
    """The difference between torch and the file; raises ExportError above `limit`."""
    difference = parity(network, model)
    if difference > limit:
        raise ExportError(f"{model} differs from its checkpoint by {difference:.2g}")
    return difference


def _forget_origin(path: Path) -> None:
    """Drop the stack traces that the exporter writes into every node: they name files of the machine that trained."""
    model = onnx.load(str(path))
    graph = model.graph
    parts = (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info)
    for part in parts:
        del part.metadata_props[:]
        part.doc_string = ""
    onnx.save(model, str(path))


def parity(network: Fingerprinter, model: Path) -> float:
    """Largest absolute difference between torch and onnxruntime over batches of 1, 4 and 32 images."""
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    generator = np.random.default_rng(0)
    worst = 0.0
    for count in (1, 4, 32):
        noise = generator.uniform(0, 255, (count, 3, INPUT_SIDE // 8, INPUT_SIDE // 8)).astype(np.float32)
        pixels: NDArray[np.float32] = noise.repeat(8, axis=2).repeat(8, axis=3)
        with torch.no_grad():
            expected = network(torch.from_numpy(pixels)).numpy()
        vectors = session.run(["z"], {"x": pixels})[0]
        if vectors.shape != (count, DIMENSION):
            raise ExportError(f"{model} gives {vectors.shape} for {count} images")
        worst = max(worst, float(np.abs(vectors - expected).max()))
    return worst


__all__ = ["ExportError", "Exported", "export", "load_network", "parity", "store_half"]

"""The two cheaper precisions of an exported encoder: int8 for CPUs, float16 for GPUs.

Only the convolutional trunk changes: what follows a convolution and is a convolution, an activation, a sum or an
average pool. The input's standardisation, the powers of GeM, the head and the L2 norm compute in float32 throughout,
and both files take and give float32.

int8 is static QDQ: uint8 activations, int8 weights per output channel. An x86 CPU without VNNI multiplies those with
VPMADDUBSW, which adds two neighbouring products in *saturating* 16 bits (255 x 127 x 2 = 64,770 > 32,767), so the
same file would give other vectors there. Weights are therefore kept within +-64 (``reduce_range``): 255 x 64 x 2 =
32,640 fits, nothing can saturate, and every CPU adds up the same integers, VNNI's at its full speed.
(onnxruntime.ai/docs/performance/model-optimizations/quantization.html, "when to use reduce-range".) The session option
``session.x64quantprecision`` would do it too, with full-range weights, but for a slower kernel on every x86 CPU.

The first convolution stays float32: standardised pixels of a flat picture reach 60 times the usual spread, which one
scale for all pictures cannot hold. On 400 pictures the mean cosine to float32 rises from .9974 to .9988, the least from
.982 to .996, at the same speed; full-range weights (.9989, .9963), percentile ranges (.9985, .980) and moving averages
(.9987, .979) give nothing more.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

TRUNK_OPS: Final = ("Conv", "Relu", "Add", "AveragePool")
INT8_OPS: Final = ("Conv", "Add", "AveragePool")
LARGEST_WEIGHT: Final = 64
CALIBRATION_BATCH: Final = 8

type Pixels = NDArray[np.uint8]


class _Feed(CalibrationDataReader):  # type: ignore[misc]
    """Hands N x side x side x 3 pictures to onnxruntime's calibrator, some at a time."""

    def __init__(self, pictures: Pixels) -> None:
        self._batches = self._split(pictures)

    @staticmethod
    def _split(pictures: Pixels) -> Iterator[dict[str, NDArray[np.float32]]]:
        for at in range(0, len(pictures), CALIBRATION_BATCH):
            yield {"x": pictures[at : at + CALIBRATION_BATCH].astype(np.float32).transpose(0, 3, 1, 2)}

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """The next batch, None after the last."""
        return next(self._batches, None)


def trunk(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes of the convolutional trunk, in the file's order."""
    constants = {weight.name for weight in model.graph.initializer}
    inside: dict[str, str] = {}  # tensor -> the trunk's node that makes it
    for node in model.graph.node:
        inputs = [name for name in node.input if name and name not in constants]
        follows = all(name in inside for name in inputs)
        if node.op_type == "Conv" or (node.op_type in TRUNK_OPS and follows):
            inside |= dict.fromkeys(node.output, node.name)
    return list(inside.values())


def write_int8(single: Path, out: Path, pictures: Pixels) -> None:
    """Quantises the float32 file `single` but for its first convolution.

    Its ranges are measured on N x side x side x 3 `pictures`. Raises ValueError for a file without convolutions.
    """
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        # The symbolic shape inference fails on the exporter's dynamic batch; the plain one is enough.
        quant_pre_process(str(single), str(prepared), skip_symbolic_shape=True)
        nodes = trunk(onnx.load(str(prepared)))[1:]
        if not nodes:
            raise ValueError(f"{single} has no convolutions to quantise")
        _quietly(
            quantize_static,
            str(prepared),
            str(out),
            _Feed(pictures),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(INT8_OPS),
            nodes_to_quantize=nodes,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
    require_unsaturated(out)


def _quietly(quantise: Any, *arguments: Any, **settings: Any) -> None:
    """onnxruntime tells the root logger that pre-processing is advised, which has just been done."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        quantise(*arguments, **settings)
    finally:
        root.setLevel(level)


def require_unsaturated(path: Path) -> None:
    """Raises ValueError where a weight is so large that an x86 CPU without VNNI may compute something else."""
    for weight in onnx.load(str(path)).graph.initializer:
        if weight.data_type == TensorProto.INT8:
            largest = int(np.abs(numpy_helper.to_array(weight).astype(np.int16)).max(initial=0))
            if largest > LARGEST_WEIGHT:
                raise ValueError(f"{path}: weight {weight.name} reaches {largest} of {LARGEST_WEIGHT}")


def write_half(single: Path, out: Path) -> None:
    """Writes the float32 file `single` with a float16 trunk between two casts; input and output stay float32.

    onnxruntime's own converter makes an invalid graph of this network (two casts of one name around ReduceMean).
    """
    model = onnx.load(str(single))
    names = set(trunk(model))
    inner = {tensor for node in model.graph.node if node.name in names for tensor in node.output}
    weights = {weight.name: weight for weight in model.graph.initializer}
    nodes: list[onnx.NodeProto] = []
    cast: set[str] = set()
    for node in model.graph.node:
        if node.name in names:
            for place, tensor in enumerate(node.input):
                if tensor in weights:
                    _halve(weights[tensor])
                elif tensor and tensor not in inner:
                    node.input[place] = _cast(tensor, TensorProto.FLOAT16, nodes, cast)
        else:
            for place, tensor in enumerate(node.input):
                if tensor in inner:
                    node.input[place] = _cast(tensor, TensorProto.FLOAT, nodes, cast)
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    del model.graph.value_info[:]  # they state the types of before
    onnx.checker.check_model(model)
    onnx.save(model, str(out))


def _halve(weight: onnx.TensorProto) -> None:
    values = numpy_helper.to_array(weight)
    if values.dtype == np.float32:
        weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), weight.name))


def _cast(tensor: str, to: int, nodes: list[onnx.NodeProto], made: set[str]) -> str:
    """The name of `tensor` cast to a type, by a node that is added once."""
    name = f"{tensor}.{'half' if to == TensorProto.FLOAT16 else 'single'}"
    if name not in made:
        made.add(name)
        nodes.append(helper.make_node("Cast", [tensor], [name], name=f"{name}.cast", to=to))
    return name


__all__ = ["LARGEST_WEIGHT", "require_unsaturated", "trunk", "write_half", "write_int8"]

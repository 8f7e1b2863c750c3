"""Small ONNX encoders, written field by field: the runtime's environment has no package that makes them."""

import struct
from collections.abc import Sequence

import numpy as np

from workers.encoders.onnx_file import FLOAT, GRAPH_NODE, GRAPH_WEIGHT, message, node, number

SIDE = 32
DIMENSION = 192  # 3 channels x 64 blocks


def make_node(operation: str, inputs: Sequence[str], output: str, *, domain: str = "", attribute: bytes = b"") -> bytes:
    """A node with a domain or one attribute as bytes."""
    extra = (message(7, domain.encode()) if domain else b"") + (message(5, attribute) if attribute else b"")
    return node(operation, inputs, output) + extra


def make_weight(name: str, values: np.ndarray) -> bytes:
    """An initializer: float32, or int64 for whole numbers."""
    kind, code = (7, "q") if values.dtype == np.int64 else (FLOAT, "f")
    raw = struct.pack(f"<{values.size}{code}", *values.ravel().tolist())
    dims = b"".join(number(1, size) for size in values.shape)
    return message(GRAPH_WEIGHT, dims + number(2, kind) + message(8, name.encode()) + message(9, raw))


def make_tensor(name: str, shape: Sequence[int | None], element: int = FLOAT) -> bytes:
    """A graph's input or output."""
    dims = b"".join(message(1, message(2, b"N") if size is None else number(1, size)) for size in shape)
    return message(1, name.encode()) + message(2, message(1, number(1, element) + message(2, dims)))


def encoder_nodes(*last: bytes) -> list[bytes]:
    """The mean colour of 8 x 8 blocks, flattened, plus 1: N x 3 x 32 x 32 to N x 192; then ``last``, from ``flat``."""
    pool = node("AveragePool", ["x"], "blocks")
    for name in ("kernel_shape", "strides"):
        sizes = number(8, SIDE // 8) + number(8, SIDE // 8)
        pool += message(5, message(1, name.encode()) + sizes + number(20, 7))
    parts = [pool, node("Add", ["blocks", "one"], "bright"), node("Flatten", ["bright"], "flat", [("axis", 1)])]
    return [*parts, *(last or (node("Identity", ["flat"], "z"),))]


def make_model(
    *,
    nodes: Sequence[bytes] | None = None,
    weights: bytes = b"",
    entry: bytes | None = None,
    result: bytes | None = None,
    opset: int = 13,
) -> bytes:
    """An ONNX file: by default an encoder of 192 numbers that are not of length 1."""
    graph = b"".join(message(GRAPH_NODE, part) for part in (encoder_nodes() if nodes is None else nodes))
    graph += message(2, b"g") + make_weight("one", np.ones((1, 3, 1, 1), np.float32)) + weights
    graph += message(11, make_tensor("x", (None, 3, SIDE, SIDE)) if entry is None else entry)
    graph += message(12, make_tensor("z", (None, DIMENSION)) if result is None else result)
    return number(1, 8) + message(7, graph) + message(8, number(2, opset))


def linear_model(weights: np.ndarray) -> bytes:
    """An ONNX file that multiplies N x D inputs ``x`` by D x L ``weights`` to ``cosines``."""
    inputs, outputs = weights.shape
    return make_model(
        nodes=[node("MatMul", ["x", "w"], "cosines")],
        weights=make_weight("w", weights),
        entry=make_tensor("x", (None, inputs)),
        result=make_tensor("cosines", (None, outputs)),
    )

"""An ONNX file of unknown origin, read and rewritten without the ``onnx`` package, which the runtime does not have.

Only the protobuf wire format is understood (protobuf.dev/programming-guides/encoding), and only the fields that matter
(onnx/onnx.proto): each is visited once, nothing is recursive, weights are passed on as the bytes they are.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from shared.errors import UsageError

SIZE_LIMIT: Final = 512 << 20
NODE_LIMIT: Final = 100_000
KNOWN_DOMAINS: Final = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
FLOAT: Final = 1
LEAST_IR: Final = 4
"""From here on weights need not be inputs too."""

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
# Field numbers of onnx.proto.
MODEL_IR, MODEL_PRODUCER, MODEL_GRAPH, MODEL_OPSET, MODEL_TRAINING, MODEL_FUNCTIONS = 1, 2, 7, 8, 20, 25
GRAPH_NODE, GRAPH_NAME, GRAPH_WEIGHT, GRAPH_INPUT, GRAPH_OUTPUT, GRAPH_SPARSE = 1, 2, 5, 11, 12, 15
NODE_INPUT, NODE_OUTPUT, NODE_OP, NODE_ATTRIBUTE, NODE_DOMAIN = 1, 2, 4, 5, 7
ATTRIBUTE_TENSOR, ATTRIBUTE_GRAPH, ATTRIBUTE_TENSORS, ATTRIBUTE_GRAPHS = 5, 6, 10, 11
TENSOR_NAME, TENSOR_EXTERNAL, TENSOR_LOCATION = 8, 13, 14


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message: its number, its value, and the bytes it came in (key included)."""

    number: int
    value: int | memoryview
    raw: memoryview


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """An input or output of a graph: element type, one dimension each (None: dynamic), None where there is no shape."""

    name: str
    element: int
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxFile:
    """What a file holds: the graph's parts as they are, and the tensors that it takes (weights apart) and gives."""

    ir: int
    opsets: tuple[memoryview, ...]
    nodes: tuple[memoryview, ...]
    weights: tuple[memoryview, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def read_onnx(data: bytes) -> OnnxFile:
    """Read a model that keeps to itself; raises UsageError with a sentence for every other file."""
    if len(data) > SIZE_LIMIT:
        raise UsageError(f"a model of more than {SIZE_LIMIT >> 20} MiB is not imported")
    try:
        return _read_model(memoryview(data))
    except (ValueError, IndexError, OverflowError) as error:
        raise UsageError(f"this is no ONNX file: {error}") from error


def rewrite(
    model: OnnxFile, *, entry: Tensor, result: Tensor, before: Sequence[bytes], after: Sequence[bytes], weights: bytes
) -> bytes:
    """Return the model with input ``entry``, output ``result``, nodes ``before`` and ``after`` and more ``weights``.

    Its own tensors are renamed by ``inner``, so that new names cannot meet old ones; what it says of itself is dropped.
    """
    graph = bytearray()
    for node in (*before, *(_renamed(node, (NODE_INPUT, NODE_OUTPUT), _NODE_KEPT) for node in model.nodes), *after):
        graph += message(GRAPH_NODE, node)
    graph += message(GRAPH_NAME, b"imported")
    for weight in model.weights:
        graph += message(GRAPH_WEIGHT, _renamed(weight, (TENSOR_NAME,), None))
    graph += weights
    graph += message(GRAPH_INPUT, _described(entry)) + message(GRAPH_OUTPUT, _described(result))
    head = number(MODEL_IR, max(LEAST_IR, model.ir)) + message(MODEL_PRODUCER, b"safelight")
    return head + message(MODEL_GRAPH, bytes(graph)) + b"".join(message(MODEL_OPSET, bytes(o)) for o in model.opsets)


def inner(name: str) -> str:
    """Return what a tensor of the original is called in the rewritten model."""
    return f"imported.{name}"


def node(operation: str, inputs: Sequence[str], output: str, attributes: Sequence[tuple[str, int]] = ()) -> bytes:
    """Return one node with integer attributes."""
    integer = 2  # AttributeProto.AttributeType.INT
    parts = [message(NODE_INPUT, name.encode()) for name in inputs]
    parts += [message(NODE_OUTPUT, output.encode()), message(NODE_OP, operation.encode())]
    for name, value in attributes:
        parts.append(message(NODE_ATTRIBUTE, message(1, name.encode()) + number(3, value) + number(20, integer)))
    return b"".join(parts)


def channel_weight(name: str, values: Sequence[float]) -> bytes:
    """Return a float32 weight of shape 1 x channels x 1 x 1, as a field of the graph."""
    dims = b"".join(number(1, size) for size in (1, len(values), 1, 1))
    raw = struct.pack(f"<{len(values)}f", *values)
    return message(GRAPH_WEIGHT, dims + number(2, FLOAT) + message(TENSOR_NAME, name.encode()) + message(9, raw))


def message(field: int, content: bytes) -> bytes:
    """Return a field of bytes."""
    return _varint(field << 3 | LENGTH) + _varint(len(content)) + content


def number(field: int, value: int) -> bytes:
    """Return a field of an integer >= 0."""
    return _varint(field << 3 | VARINT) + _varint(value)


def fields(data: memoryview) -> Iterator[Field]:
    """Yield the fields of a message; raises ValueError for bytes that are none."""
    at = 0
    while at < len(data):
        start = at
        key, at = _read_varint(data, at)
        value: int | memoryview
        match key & 7:
            case 0:
                value, at = _read_varint(data, at)
            case 2:
                size, at = _read_varint(data, at)
                value, at = data[at : at + size], at + size
            case 1 | 5 as wire:
                size = 8 if wire == FIXED64 else 4
                value, at = data[at : at + size], at + size
            case wire:
                raise ValueError(f"a field of wire type {wire}")
        if at > len(data):
            raise ValueError("it ends in the middle of a field")
        yield Field(key >> 3, value, data[start:at])


# Not the nodes' own names: onnxruntime wants them different from each other, and none at all will do.
_NODE_KEPT: Final = frozenset({NODE_INPUT, NODE_OUTPUT, NODE_OP, NODE_ATTRIBUTE, NODE_DOMAIN})


def _read_model(data: memoryview) -> OnnxFile:
    ir, opsets, graphs = 0, [], []
    for field in fields(data):
        if field.number == MODEL_IR:
            ir = _integer(field)
        elif field.number == MODEL_OPSET:
            opsets.append(_bytes(field))
        elif field.number == MODEL_GRAPH:
            graphs.append(_bytes(field))
        elif field.number in {MODEL_FUNCTIONS, MODEL_TRAINING}:
            raise UsageError("a model with functions or training parts of its own is not imported: export it inlined")
    if len(graphs) != 1 or not opsets:
        raise ValueError("it has no graph or no operator version")
    return _read_graph(graphs[0], ir, tuple(opsets))


def _read_graph(data: memoryview, ir: int, opsets: tuple[memoryview, ...]) -> OnnxFile:
    nodes, weights, inputs, outputs = [], [], [], []
    names: set[str] = set()
    for field in fields(data):
        if field.number == GRAPH_NODE:
            _check_node(_bytes(field))
            nodes.append(_bytes(field))
        elif field.number == GRAPH_WEIGHT:
            weights.append(_bytes(field))
            names.add(_check_tensor(_bytes(field)))
        elif field.number == GRAPH_INPUT:
            inputs.append(_tensor(_bytes(field)))
        elif field.number == GRAPH_OUTPUT:
            outputs.append(_tensor(_bytes(field)))
        elif field.number == GRAPH_SPARSE:
            raise UsageError("a model with sparse weights is not imported")
        if len(nodes) > NODE_LIMIT:
            raise UsageError(f"a model of more than {NODE_LIMIT} operators is not imported")
    return OnnxFile(
        ir=ir,
        opsets=opsets,
        nodes=tuple(nodes),
        weights=tuple(weights),
        inputs=tuple(tensor for tensor in inputs if tensor.name not in names),
        outputs=tuple(outputs),
    )


def _check_node(data: memoryview) -> None:
    operation = domain = ""
    for field in fields(data):
        if field.number == NODE_OP:
            operation = _text(field)
        elif field.number == NODE_DOMAIN:
            domain = _text(field)
        elif field.number == NODE_ATTRIBUTE:
            for inside in fields(_bytes(field)):
                if inside.number in {ATTRIBUTE_GRAPH, ATTRIBUTE_GRAPHS}:
                    raise UsageError(
                        "a model with control flow (If, Loop, Scan) is not imported: an encoder needs none"
                    )
                if inside.number in {ATTRIBUTE_TENSOR, ATTRIBUTE_TENSORS}:
                    _check_tensor(_bytes(inside))
    if domain not in KNOWN_DOMAINS:
        raise UsageError(f"the operator {domain}.{operation} is a custom one: only ONNX's and onnxruntime's are run")


def _check_tensor(data: memoryview) -> str:
    name = ""
    for field in fields(data):
        if field.number == TENSOR_NAME:
            name = _text(field)
        elif field.number == TENSOR_EXTERNAL or (field.number == TENSOR_LOCATION and field.value != 0):
            raise UsageError("the model keeps weights in another file: save it as one file (external_data=False)")
    return name


def _tensor(data: memoryview) -> Tensor:
    """A ValueInfoProto; what is no tensor has the element type 0."""
    name, element, shape = "", 0, None
    for field in fields(data):
        if field.number == 1:
            name = _text(field)
        elif field.number == 2:
            for kind in fields(_bytes(field)):
                if kind.number == 1:
                    element, shape = _tensor_type(_bytes(kind))
    return Tensor(name=name, element=element, shape=shape)


def _tensor_type(data: memoryview) -> tuple[int, tuple[int | None, ...] | None]:
    element, shape = 0, None
    for field in fields(data):
        if field.number == 1:
            element = _integer(field)
        elif field.number == 2:
            shape = tuple(_dimension(_bytes(dim)) for dim in fields(_bytes(field)) if dim.number == 1)
    return element, shape


def _dimension(data: memoryview) -> int | None:
    return next((_integer(field) for field in fields(data) if field.number == 1), None)


def _described(tensor: Tensor) -> bytes:
    dims = b"".join(message(1, message(2, b"N") if size is None else number(1, size)) for size in tensor.shape or ())
    kind = number(1, tensor.element) + message(2, dims)
    return message(1, tensor.name.encode()) + message(2, message(1, kind))


def _renamed(data: memoryview, names: Sequence[int], kept: frozenset[int] | None) -> bytes:
    """A message with the tensor names in these fields replaced, only the ``kept`` fields of it (None: all)."""
    parts = bytearray()
    for field in fields(data):
        if field.number in names:
            name = _text(field)
            # An empty name stands for an optional input that is not given.
            parts += message(field.number, inner(name).encode() if name else b"")
        elif kept is None or field.number in kept:
            parts += field.raw
    return bytes(parts)


def _bytes(field: Field) -> memoryview:
    if isinstance(field.value, int):
        raise ValueError("a number where a message belongs")  # noqa: TRY004 - the file is wrong, not the program
    return field.value


def _text(field: Field) -> str:
    return bytes(_bytes(field)).decode()


def _integer(field: Field) -> int:
    if not isinstance(field.value, int):
        raise ValueError("a message where a number belongs")  # noqa: TRY004 - as above
    return field.value


def _read_varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number of more than ten bytes")


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)

"""ONNX files of unknown origin: what is read, what is refused, and that arbitrary bytes only ever give a sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import UsageError
from tests.onnx_factories import make_model, make_node
from workers.encoders.encoder import MODELS
from workers.encoders.onnx_file import FLOAT, GRAPH_WEIGHT, Tensor, fields, message, node, number, read_onnx, rewrite

SHIPPED = (MODELS / "f1-128-v2" / "encoder.onnx").read_bytes()


def test_the_shipped_encoder_is_read() -> None:
    model = read_onnx(SHIPPED)
    assert model.inputs == (Tensor(name="x", element=FLOAT, shape=(None, 3, 128, 128)),)
    assert model.outputs[0].shape == (None, 512)
    assert len(model.nodes) > 40


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        read_onnx(data)
    except UsageError as error:
        assert str(error)  # noqa: PT017 - either outcome is right


@given(st.integers(0, 4000), st.integers(0, 255))
def test_a_damaged_file_is_read_or_refused(place: int, value: int) -> None:
    damaged = bytearray(make_model())
    damaged[place % len(damaged)] = value
    try:
        read_onnx(bytes(damaged))
    except UsageError as error:
        assert str(error)  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize("cut", [1, 10, 100])
def test_a_cut_file_is_refused(cut: int) -> None:
    with pytest.raises(UsageError, match="no ONNX file"):
        read_onnx(make_model()[:-cut])


def test_weights_in_another_file_are_refused() -> None:
    secret = message(8, b"w") + message(13, message(1, b"location") + message(2, b"../../etc/passwd")) + number(14, 1)
    with pytest.raises(UsageError, match="another file"):
        read_onnx(make_model(weights=message(GRAPH_WEIGHT, secret)))
    constant = make_node("Constant", [], "c", attribute=message(1, b"value") + message(5, secret))
    with pytest.raises(UsageError, match="another file"):
        read_onnx(make_model(nodes=[constant]))


def test_custom_operators_are_refused() -> None:
    with pytest.raises(UsageError, match=r"evil\.Open is a custom one"):
        read_onnx(make_model(nodes=[make_node("Open", ["x"], "z", domain="evil")]))


def test_control_flow_is_refused() -> None:
    loop = make_node("Loop", ["x"], "z", attribute=message(1, b"body") + message(6, b""))
    with pytest.raises(UsageError, match="control flow"):
        read_onnx(make_model(nodes=[loop]))


def test_functions_and_sparse_weights_are_refused() -> None:
    with pytest.raises(UsageError, match="functions"):
        read_onnx(make_model() + message(25, b""))
    with pytest.raises(UsageError, match="sparse"):
        read_onnx(make_model(weights=message(15, b"")))


def test_two_graphs_are_refused() -> None:
    """A reader of protobuf would join them: what is checked must be what runs."""
    with pytest.raises(UsageError, match="graph"):
        read_onnx(make_model() + message(7, b""))


def test_numbers_survive_writing() -> None:
    for value in (0, 127, 128, 300, 1 << 40):
        (field,) = fields(memoryview(number(3, value)))
        assert (field.number, field.value) == (3, value)


def test_new_names_never_meet_old_ones() -> None:
    model = read_onnx(make_model())
    rewritten = read_onnx(
        rewrite(
            model,
            entry=Tensor(name="x", element=FLOAT, shape=(None, 3, 8, 8)),
            result=Tensor(name="z", element=FLOAT, shape=(None, 4)),
            before=[node("Identity", ["x"], "imported.x")],
            after=[node("Identity", ["imported.z"], "z")],
            weights=b"",
        )
    )
    assert len(rewritten.nodes) == len(model.nodes) + 2
    assert rewritten.inputs == (Tensor(name="x", element=FLOAT, shape=(None, 3, 8, 8)),)
    assert rewritten.outputs[0].name == "z"

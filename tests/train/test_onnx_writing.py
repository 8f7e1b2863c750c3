"""A network's file takes batches, names nothing of this machine, and is refused where it computes something else."""

from pathlib import Path

import onnx
import pytest
import torch
from torch import Tensor, nn

from workers.training.onnx_writing import write_checked

pytestmark = pytest.mark.train
EXAMPLE = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))


class Noisy(nn.Module):
    """Gives something else whenever it is asked."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.rand_like(x)


def test_it_is_written_as_it_computes(tmp_path: Path) -> None:
    write_checked(nn.Linear(6, 3).eval(), EXAMPLE, tmp_path / "net.onnx", "found", 1e-5)
    model = onnx.load(str(tmp_path / "net.onnx"))
    assert [tensor.name for tensor in (*model.graph.input, *model.graph.output)] == ["x", "found"]
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)


def test_what_computes_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="differs from the trained network"):
        write_checked(Noisy().eval(), EXAMPLE, tmp_path / "net.onnx", "found", 1e-5)

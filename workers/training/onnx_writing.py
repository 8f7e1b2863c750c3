"""A torch network to an ONNX file that takes batches, says nothing of where it was made, and computes the same."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import torch
from torch import Tensor, nn

OPSET: Final = 20
MAX_BATCH: Final = 1024


def write_graph(network: nn.Module, example: Tensor, out: Path, output: str) -> None:
    """Write the network, float32, input ``x`` N x the example's other sides; ``output`` is what it gives."""
    # Four warnings that torchvision, which nothing here uses, is not installed.
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    torch.onnx.export(
        network,
        (example,),
        str(out),
        dynamo=True,
        opset_version=OPSET,
        input_names=["x"],
        output_names=[output],
        dynamic_shapes=({0: torch.export.Dim("b", min=1, max=MAX_BATCH)},),
        external_data=False,
        verbose=False,
    )
    _forget_origin(out)


@torch.no_grad()
def write_checked(network: nn.Module, example: Tensor, out: Path, output: str, largest: float) -> None:
    """Write the network as ``write_graph`` does; raises ValueError where a number differs by more than ``largest``."""
    import onnxruntime  # noqa: PLC0415 - only where something is exported

    write_graph(network, example, out, output)
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    difference = float(np.abs(session.run(None, {"x": example.numpy()})[0] - network(example).numpy()).max())
    if difference > largest:
        raise ValueError(f"{out} differs from the trained network by {difference:.2g}")


def _forget_origin(path: Path) -> None:
    """Drop the stack traces that the exporter writes into every node: they name files of the machine that trained."""
    model = onnx.load(str(path))
    graph = model.graph
    parts = (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info)
    for part in parts:
        del part.metadata_props[:]
        part.doc_string = ""
    onnx.save(model, str(path))


__all__ = ["write_checked", "write_graph"]

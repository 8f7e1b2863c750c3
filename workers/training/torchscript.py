"""A TorchScript file to ONNX, in the train environment. TorchScript is a program: loading it is running it."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Final

import torch

OPSET: Final = 17


def to_onnx(path: Path, side: int) -> bytes:
    """The ONNX file of a scripted module that takes N x 3 x side x side; raises ValueError for anything else."""
    try:
        with warnings.catch_warnings():  # that TorchScript is old, and that a scripted module has no signature
            warnings.simplefilter("ignore")
            return _convert(path, side)
    except Exception as error:  # torch raises dozens of classes, some from C++
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{path.name} is no TorchScript encoder of {side} px: {reason}") from error


def _convert(path: Path, side: int) -> bytes:
    module = torch.jit.load(str(path), map_location="cpu").eval()
    out = io.BytesIO()
    torch.onnx.export(
        module,
        (torch.rand(2, 3, side, side),),
        out,
        dynamo=False,  # the newer exporter traces Python, and a scripted module has none
        opset_version=OPSET,
        input_names=["pixels"],
        output_names=["vector"],
        dynamic_axes={"pixels": {0: "N"}, "vector": {0: "N"}},
    )
    return out.getvalue()

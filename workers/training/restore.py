"""An exported encoder back into the network it came from, so that training goes on where a version ended.

The exporter folds batch normalisation into the convolutions before it. Here each folded weight goes back into its
convolution, and its normalisation gets the statistics that real pictures have at that place, with a scale and a shift
that undo it: in evaluation the network computes what the file computes, in training each layer starts normalised.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from workers.training.network import Fingerprinter

type Weights = dict[str, NDArray[np.float32]]


@torch.no_grad()
def restore(network: Fingerprinter, model: Path, pixels: Tensor) -> None:
    """Loads the weights of `model` into `network`; `pixels` N x 3 x 96 x 96 are what its statistics are measured on.

    Raises ValueError where the file is not of this network.
    """
    weights = _weights(model)
    try:
        pairs = _pairs(network)
        for name, (layer, _) in pairs.items():
            layer.weight.copy_(torch.from_numpy(weights[f"{name}.weight"].reshape(layer.weight.shape)))
        network.pool.exponent.copy_(torch.from_numpy(weights["pool.exponent"]))
        biases = {name: torch.from_numpy(weights[f"{name}.weight_bias"]) for name in pairs}
    except (KeyError, ValueError) as error:
        raise ValueError(f"{model} is not an export of this network: {error}") from error
    network.eval()
    _neutral(pairs, biases)
    _measure(network, pairs, biases, pixels)
    network.train()


def _weights(model: Path) -> Weights:
    """Every initializer as float32, under the name it has in the network."""
    loaded = onnx.load(str(model))
    return {
        weight.name.removesuffix(".half"): numpy_helper.to_array(weight).astype(np.float32)
        for weight in loaded.graph.initializer
    }


type Pairs = dict[str, tuple[nn.Conv2d | nn.Linear, nn.BatchNorm2d | nn.BatchNorm1d]]


def _pairs(network: Fingerprinter) -> Pairs:
    """Each layer with a weight, by its name, and the normalisation declared behind it."""
    modules = [
        (name, module)
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d | nn.BatchNorm1d)
    ]
    pairs: Pairs = {}
    waiting: list[tuple[str, nn.Conv2d | nn.Linear]] = []
    for name, module in modules:
        if isinstance(module, nn.Conv2d | nn.Linear):
            waiting.append((name, module))
        else:
            layer_name, layer = waiting.pop(0)
            pairs[layer_name] = (layer, module)
    return pairs


def _neutral(pairs: Pairs, biases: dict[str, Tensor]) -> None:
    """Normalisation that only adds the folded bias."""
    for name, (_, norm) in pairs.items():
        mean = torch.zeros_like(biases[name])
        _set(norm, mean if norm.affine else -biases[name], torch.ones_like(mean) - norm.eps)
        if norm.affine:
            norm.weight.fill_(1.0)
            norm.bias.copy_(biases[name])


def _measure(network: Fingerprinter, pairs: Pairs, biases: dict[str, Tensor], pixels: Tensor) -> None:
    """Puts measured statistics in, and takes them out again in scale and shift."""
    sums: dict[str, tuple[Tensor, Tensor]] = {}

    def record(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, __: object, output: Tensor) -> None:
            flat = output.float().transpose(0, 1).flatten(1)
            sums[name] = (flat.mean(dim=1), flat.var(dim=1, unbiased=False))

        return hook

    hooks = [layer.register_forward_hook(record(name)) for name, (layer, norm) in pairs.items() if norm.affine]
    network.raw(pixels.float())
    for handle in hooks:
        handle.remove()
    for name, (mean, variance) in sums.items():
        norm = pairs[name][1]
        _set(norm, mean, variance)
        norm.weight.copy_(torch.sqrt(variance + norm.eps))
        norm.bias.copy_(biases[name] + mean)


def _set(norm: nn.BatchNorm2d | nn.BatchNorm1d, mean: Tensor, variance: Tensor) -> None:
    assert norm.running_mean is not None and norm.running_var is not None  # noqa: S101, PT018 - all track them
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)


__all__ = ["restore"]

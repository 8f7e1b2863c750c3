"""The fingerprint network `f1`: 2.71 M parameters, 96 px squares in, 512-d unit vectors out.

Only stride-1 3x3 convolutions after the stem: on a CPU strided convolutions run at a quarter of their speed backward,
and depthwise networks learn from 2.6 times fewer views per CPU-second. All normalisation is inside the graph, so that
a runtime feeds raw 0..255 pixels and cannot get it wrong.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

DIMENSION: Final = 512
INPUT_SIDE: Final = 96
# Added to the luminance variance (0..255 scale): keeps a blank image from having its noise blown up to full contrast.
VARIANCE_FLOOR: Final = 4.0
CHROMA_WEIGHT: Final = 0.5


def standardise(pixels: Tensor) -> Tensor:
    """Per-image luminance standardisation of N x 3 x H x W pixels in 0..255: undoes brightness and contrast edits."""
    luminance = pixels.mean(dim=1, keepdim=True)
    centred = luminance - luminance.mean(dim=(2, 3), keepdim=True)
    variance = centred.square().mean(dim=(2, 3), keepdim=True)
    return (centred + CHROMA_WEIGHT * (pixels - luminance)) / torch.sqrt(variance + VARIANCE_FLOOR)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a residual path (He et al. 2016); a 1x1 projection where the width changes."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """N x inputs x H x W to N x outputs x H x W."""
        y = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class GeM(nn.Module):
    """Generalised-mean pooling with a learned exponent (Radenovic et al. 2018): between average and maximum."""

    def __init__(self, exponent: float = 3.0, floor: float = 1e-6) -> None:
        super().__init__()
        self.exponent = nn.Parameter(torch.tensor(exponent))
        self.floor = floor

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W to N x C, in float32 whatever the autocast type: the powers need the range."""
        powered = x.float().clamp(min=self.floor).pow(self.exponent)
        return powered.mean(dim=(2, 3)).pow(1.0 / self.exponent)


class Fingerprinter(nn.Module):
    """N x 3 x 96 x 96 RGB in 0..255 to N x 512 vectors; `forward` gives unit vectors, `raw` the ones before L2."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.PixelUnshuffle(2), nn.Conv2d(12, 48, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(48), nn.ReLU()
        )
        self.trunk = nn.Sequential(
            nn.AvgPool2d(2),
            BasicBlock(48, 128),
            nn.AvgPool2d(2),
            BasicBlock(128, 256),
            BasicBlock(256, 256),
            nn.Conv2d(256, DIMENSION, 1, bias=False),
            nn.BatchNorm2d(DIMENSION),
            nn.ReLU(),
        )
        self.pool = GeM()
        self.head = nn.Linear(DIMENSION, DIMENSION, bias=False)
        self.whiten = nn.BatchNorm1d(DIMENSION, affine=False)

    def raw(self, pixels: Tensor) -> Tensor:
        """Batch-normalised outputs before the L2 norm: what the decorrelation term of the loss looks at."""
        features: Tensor = self.pool(self.trunk(self.stem(standardise(pixels))))
        whitened: Tensor = self.whiten(self.head(features))
        return whitened

    def forward(self, pixels: Tensor) -> Tensor:
        """Unit vectors: their dot product is the cosine that everything downstream compares."""
        return functional.normalize(self.raw(pixels).float(), dim=1)

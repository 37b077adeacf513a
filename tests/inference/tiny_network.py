"""A network small enough to export in a test: what exporting, folding and converting must not change."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inference.blocks.networks.efficientnet import ConvNorm
from inference.training.export import export_onnx

SHAPE = (50, 50, 3)
OUTPUTS = ("logit", "map")


class TinyOutput(NamedTuple):
    """`logit` N; `map` N×1×12×12."""

    logit: Tensor
    map: Tensor


class TinyNetwork(nn.Module):
    """Two strided convolutions with one-sided padding, a depthwise one, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvNorm(3, 16, 3, 2)
        self.depthwise = ConvNorm(16, 16, 3, 2, groups=16)
        self.project = ConvNorm(16, 64, 1, linear=True)
        self.classify = nn.Linear(64, 1)
        self.outline = nn.Conv2d(64, 1, 1)

    def forward(self, x: Tensor) -> TinyOutput:
        """`x`: N×50×50×3 uint8."""
        x = F.interpolate(x.float().permute(0, 3, 1, 2) / 255, size=(48, 48), mode="bilinear")
        x = self.project(self.depthwise(self.stem(x)))
        return TinyOutput(self.classify(x.mean(dim=(2, 3)))[:, 0], self.outline(x))


def tiny_network(seed: int = 3) -> TinyNetwork:
    """With weights and batch statistics of its own, the same every time."""
    torch.manual_seed(seed)
    network = TinyNetwork().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = torch.randn(module.num_features) * 0.1
            module.running_var = torch.rand(module.num_features) + 0.5
    return network


def example() -> Tensor:
    return torch.zeros((2, *SHAPE), dtype=torch.uint8)


def write_onnx(path: Path, seed: int = 3) -> Path:
    """`tiny_network` as the laboratory exports it."""
    export_onnx(tiny_network(seed), (example(),), OUTPUTS, path)
    return path


def fields(count: int, seed: int = 0) -> np.ndarray:
    """`count`×50×50×3 uint8 of noise around one brightness each."""
    rng = np.random.default_rng(seed)
    levels = rng.integers(40, 200, (count, 1, 1, 1))
    return (levels + rng.integers(0, 56, (count, *SHAPE))).astype(np.uint8)

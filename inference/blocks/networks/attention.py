"""Modules that weigh a feature map and keep its shape; a backbone puts them between its blocks.

A factory of the family `attention` is called with `channels=C` and its own parameters.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from inference.blocks.registry import block

#: Fewer hidden units may all fall silent, and then never learn.
_NARROWEST = 8


@block("attention", "se")
class SqueezeExcite(nn.Module):
    """Squeeze and excitation (Hu 2018): each channel times a number in 0…1 made of all channels' means.

    With `neutral` the gates begin at exactly 1, as twice a sigmoid of 0, so that a pretrained network answers
    as before; without it they begin near 0.5, as published.
    """

    def __init__(self, channels: int, reduction: int = 16, *, neutral: bool = False) -> None:
        super().__init__()
        self.squeeze = _squeeze(channels, reduction)
        self.excite = nn.Linear(self.squeeze.out_features, channels)
        self.scale = _neutral(self.excite) if neutral else 1.0

    def forward(self, x: Tensor) -> Tensor:
        gates = torch.sigmoid(self.excite(torch.relu(self.squeeze(x.mean(dim=(2, 3))))))
        return x * (gates * self.scale)[:, :, None, None]


@block("attention", "cbam")
class ConvolutionalAttention(nn.Module):
    """CBAM (Woo 2018): gates for channels from their means and maxima, then gates for places from the mean
    and the maximum over channels. `neutral` as in `SqueezeExcite`."""

    def __init__(self, channels: int, reduction: int = 16, kernel: int = 7, *, neutral: bool = False) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"CBAM's kernel must be odd, not {kernel}")
        self.squeeze = _squeeze(channels, reduction)
        self.excite = nn.Linear(self.squeeze.out_features, channels)
        self.place = nn.Conv2d(2, 1, kernel, padding=kernel // 2)
        self.scale = 1.0
        if neutral:
            _neutral(self.excite)
            self.scale = _neutral(self.place)

    def forward(self, x: Tensor) -> Tensor:
        means, maxima = x.mean(dim=(2, 3)), x.amax(dim=(2, 3))
        gates = self.excite(torch.relu(self.squeeze(means))) + self.excite(torch.relu(self.squeeze(maxima)))
        x = x * (torch.sigmoid(gates) * self.scale)[:, :, None, None]
        over_channels = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)
        return x * (torch.sigmoid(self.place(over_channels)) * self.scale)


@block("attention", "drs")
class DeepRepresentationScaling(nn.Module):
    """Deep representation scaling (Byra 2021): a learned scale and shift a channel, 1 and 0 at the start.

    Between the blocks of a frozen backbone these and the head are all that is trained: 0.2 % of
    EfficientNet-Lite0. `shift=False` leaves the shift out.
    """

    def __init__(self, channels: int, *, shift: bool = True) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels)) if shift else None

    def forward(self, x: Tensor) -> Tensor:
        x = x * self.scale[:, None, None]
        return x if self.shift is None else x + self.shift[:, None, None]


def _squeeze(channels: int, reduction: int) -> nn.Linear:
    """Without a bias at the start: means near 0 would leave a unit's state to it, for every image alike."""
    layer = nn.Linear(channels, max(_NARROWEST, channels // reduction))
    nn.init.zeros_(layer.bias)
    return layer


def _neutral(layer: nn.Linear | nn.Conv2d) -> float:
    """Let `layer` answer 0 everywhere, and return what its sigmoid must be multiplied by to give 1."""
    nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return 2.0

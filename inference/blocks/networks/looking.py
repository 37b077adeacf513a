"""Looking closer at places of an image, inside a network's graph."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def look_at(images: Tensor, centre: Tensor, window: Tensor, side: int) -> Tensor:
    """Square windows of `images` (N×C×H×W) around `centre` (N×2, x and y in pixels), `window` (N) pixels wide,
    resampled to N×C×side×side; outside the image is 0."""
    height, width = images.shape[2], images.shape[3]
    # counted from a tensor at hand: a traced graph keeps the device that `arange` was made on
    steps = (torch.ones_like(window[:1]).expand(side).cumsum(dim=0) - 0.5) / side - 0.5
    across = (centre[:, :1] + window[:, None] * steps) * (2.0 / width) - 1.0
    down = (centre[:, 1:] + window[:, None] * steps) * (2.0 / height) - 1.0
    grid = torch.stack(
        [across[:, None, :].expand(-1, side, -1), down[:, :, None].expand(-1, -1, side)], dim=-1
    )
    return F.grid_sample(images, grid, mode="bilinear", align_corners=False)

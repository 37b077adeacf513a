"""How far an image lies from the training images: Mahalanobis distance of the early features' statistics.

Early stages hold texture, not diagnosis; they are close to their ImageNet values, so that another modality,
a photograph or noise lies far out even though the last stages would squeeze it into a class.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from inference.blocks.networks.efficientnet import PYRAMID_CHANNELS, Pyramid

STATISTICS = 2 * sum(PYRAMID_CHANNELS[:3])


def statistics(pyramid: Pyramid) -> Tensor:
    """Mean and standard deviation of every channel at strides 4, 8 and 16: N×352."""
    parts = []
    for level in (pyramid.s4, pyramid.s8, pyramid.s16):
        mean = level.mean(dim=(2, 3))
        variance = (level * level).mean(dim=(2, 3)) - mean * mean
        parts += [mean, torch.sqrt(variance.clamp(min=1e-6))]
    return torch.cat(parts, dim=1)


class Novelty(nn.Module):
    """`forward`: pyramid → N distances; about 1 on training images. Fitted by `fit`, then in the graph."""

    centre: Tensor
    whitening: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(STATISTICS))
        self.register_buffer("whitening", torch.eye(STATISTICS))

    def forward(self, pyramid: Pyramid) -> Tensor:
        whitened = (statistics(pyramid) - self.centre) @ self.whitening
        return torch.sqrt((whitened * whitened).mean(dim=1))

    def fit(self, rows: NDArray[np.float32]) -> None:
        """`rows`: statistics of training images, N×352. Covariance after Ledoit and Wolf (2004)."""
        from sklearn.covariance import LedoitWolf

        scale = rows.std(axis=0) + 1e-3
        estimate = LedoitWolf().fit((rows - rows.mean(axis=0)) / scale)
        values, vectors = np.linalg.eigh(estimate.covariance_)
        whitening = (vectors / np.sqrt(np.maximum(values, 1e-6))) / scale[:, None]
        self.centre.copy_(torch.from_numpy(rows.mean(axis=0)))
        self.whitening.copy_(torch.from_numpy(np.ascontiguousarray(whitening.astype(np.float32))))

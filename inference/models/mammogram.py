"""Mammography: two tasks that are never pooled, in one forward pass.

A mass network, learned from CBIS-DDSM films at low resolution, outlines masses and judges them; a film
reader, learned from mini-MIAS at twice that resolution, says whether anything at all is abnormal.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inference.models.backbone import HEAD_CHANNELS, EfficientNetLite0
from inference.models.decoder import grey_to_input
from inference.models.lesion import LesionNetwork

#: mean and strongest responses of the film's features, then what the mass network saw
FILM_FEATURES = 2 * HEAD_CHANNELS + 4


#: Of a standardised film feature, in standard deviations.
LIMIT = 3.0


class FilmOutput(NamedTuple):
    """`malignancy` N, `abnormality` N: logits of a film; `outline`, `place` N×1×72×48: the logit of a
    mass, and of its malignancy; `distance` N."""

    malignancy: Tensor
    abnormality: Tensor
    outline: Tensor
    place: Tensor
    distance: Tensor


class MammogramNetwork(nn.Module):
    """Two EfficientNet-Lite0 backbones; the film reader's one is frozen at its ImageNet weights."""

    centre: Tensor
    spread: Tensor

    def __init__(self, mass: LesionNetwork, film: EfficientNetLite0) -> None:
        super().__init__()
        self.mass = mass
        self.film = film.requires_grad_(False)
        self.abnormality = nn.Linear(FILM_FEATURES, 1)
        self.register_buffer("centre", torch.zeros(FILM_FEATURES))
        self.register_buffer("spread", torch.ones(FILM_FEATURES))

    def film_features(self, x: Tensor, outline: Tensor, malignancy: Tensor) -> Tensor:
        """N×`FILM_FEATURES` of the canvas in full resolution and the mass network's answer to it."""
        features = self.film.head(self.film(grey_to_input(x)).s32).flatten(2)
        strongest = features.topk(5, dim=2).values.mean(dim=2)
        likely = torch.sigmoid(outline).flatten(1)
        top = likely.topk(16, dim=1).values
        seen = torch.stack([top[:, 0], top.mean(dim=1), likely.mean(dim=1), malignancy], dim=1)
        return torch.cat([features.mean(dim=2), strongest, seen], dim=1)

    def forward(self, x: Tensor) -> FilmOutput:
        """`x`: N×1×576×384 in 0–255, uint8 or float."""
        x = x.float()
        masses = self.mass(F.avg_pool2d(x, 2))
        malignancy = masses.logits[:, 0]
        features = (self.film_features(x, masses.outline, malignancy) - self.centre) / self.spread
        # a film of another make must not run away with the score
        abnormality = self.abnormality(features.clamp(-LIMIT, LIMIT))[:, 0]
        return FilmOutput(malignancy, abnormality, masses.outline, masses.malignancy, masses.distance)

"""Mammography: two tasks that are never pooled, in one forward pass.

The mass network, learned from CBIS-DDSM films, outlines masses on a small view of the film, then looks closer at
the places that it likes best: is there a mass, and would it be malignant? A film reader, learned from mini-MIAS at
full resolution over frozen ImageNet features, says whether anything at all is abnormal, and where. A small network
looks at full resolution for clusters of calcifications, which neither of the two sees.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inference.blocks.networks.decoder import grey_to_input
from inference.blocks.networks.efficientnet import PYRAMID_CHANNELS, EfficientNetLite
from inference.blocks.networks.lesion import LesionNetwork, LesionOutput
from inference.blocks.networks.looking import look_at
from inference.blocks.networks.specks import SpeckNetwork
from inference.blocks.objectives.masses import MALIGNANT, PRESENT
from inference.runtime.mammography.preprocessing import HALF, PLACE_PX, VIEW_SCALE

#: Side of a closer look as the network sees it, and its two windows in half-canvas pixels.
CLOSER_PX = 96
CLOSER_WINDOWS = (100.0, 180.0)
CANDIDATES = 6
#: The mass network's stride: one pixel of its outline in half-canvas pixels.
_OUTLINE_STEP = 4 * VIEW_SCALE // HALF

#: A place is described by features of the canvas and of its half.
PLACE_FEATURES = (2 * PYRAMID_CHANNELS[1] + PYRAMID_CHANNELS[2] + PYRAMID_CHANNELS[3]) + sum(
    PYRAMID_CHANNELS[1:]
)
#: A film's abnormality is the mean logit of so many most suspicious places.
TOP_PLACES = 6
DENSITIES = ("F", "G", "D")
#: Of a standardised feature, in standard deviations: a film of another make must not run away with the score.
LIMIT = 5.0


class FilmOutput(NamedTuple):
    """`malignancy`, `abnormality` N: logits of a film; `density` N×3: logits of fatty, glandular, dense;
    `candidates` N×K×5: x and y in half-canvas pixels, then the logits of the outline's peak there, of a mass
    being present, and of its malignancy; `outline`, `place` N×1×72×48: logits of a mass and of its malignancy;
    `suspicion` N×1×36×24: logit of abnormality of each place; `cluster` N, `clusters` N×1×144×96: logit of a cluster
    of calcifications, of the film and of each place; `distance` N."""

    malignancy: Tensor
    abnormality: Tensor
    density: Tensor
    candidates: Tensor
    outline: Tensor
    place: Tensor
    suspicion: Tensor
    cluster: Tensor
    clusters: Tensor
    distance: Tensor


class FilmReader(nn.Module):
    """Frozen ImageNet features of the canvas and its half at every place, and linear layers over them."""

    centre: Tensor
    spread: Tensor

    def __init__(self, backbone: EfficientNetLite) -> None:
        super().__init__()
        self.backbone = backbone.requires_grad_(False)
        self.suspicion = nn.Conv2d(PLACE_FEATURES, 1, 1)
        self.density = nn.Linear(PLACE_FEATURES, len(DENSITIES))
        self.register_buffer("centre", torch.zeros(PLACE_FEATURES))
        self.register_buffer("spread", torch.ones(PLACE_FEATURES))

    def places(self, x: Tensor) -> Tensor:
        """Canvas float N×1×1152×768 in 0–255 → N×`PLACE_FEATURES`×36×24."""
        full = self.backbone.pyramid(grey_to_input(x))
        half = self.backbone.pyramid(grey_to_input(F.avg_pool2d(x, 2)))
        features = [
            F.max_pool2d(full.s8, 2), F.avg_pool2d(full.s8, 2), full.s16, _finer(full.s32, 2), half.s8,
            _finer(half.s16, 2), _finer(half.s32, 4),
        ]  # fmt: skip
        return F.avg_pool2d(torch.cat(features, dim=1), 3, stride=2, padding=1)

    def read(self, places: Tensor, breast: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features of all places and the share of breast in each (N×1×36×24) → abnormality N, density N×3,
        suspicion N×1×36×24."""
        shape = (1, -1, 1, 1)
        standard = (places - self.centre.view(shape)) / self.spread.view(shape)
        standard = standard.clamp(-LIMIT, LIMIT)
        suspicion = self.suspicion(standard)
        # places outside the breast count as far from suspicious, without an infinity that would spoil a sum
        inside = torch.where(breast > 0.5, suspicion, torch.full_like(suspicion, -20.0)).flatten(1)
        abnormality = inside.topk(TOP_PLACES, dim=1).values.mean(dim=1)
        share = breast / breast.sum(dim=(2, 3), keepdim=True).clamp(min=1e-3)
        return abnormality, self.density((standard * share).sum(dim=(2, 3))), suspicion


def _finer(x: Tensor, factor: int) -> Tensor:
    return F.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=False)


class MammogramNetwork(nn.Module):
    """Two EfficientNet-Lite0 backbones, of which the film reader's one is frozen at its ImageNet weights, and a small
    network of specks."""

    def __init__(self, mass: LesionNetwork, film: FilmReader, specks: SpeckNetwork) -> None:
        super().__init__()
        self.mass, self.film, self.specks = mass, film, specks

    def forward(self, x: Tensor) -> FilmOutput:
        """`x`: N×1×1152×768 in 0–255, uint8 or float."""
        x = x.float()
        whole = self._both_ways(F.avg_pool2d(x, VIEW_SCALE))
        candidates = self.candidates(F.avg_pool2d(x, HALF), whole.outline)
        breast = F.avg_pool2d((x > 0).float(), PLACE_PX)
        abnormality, density, suspicion = self.film.read(self.film.places(x), breast)
        malignancy = film_malignancy(whole.logits[:, MALIGNANT], candidates)
        specks = self.specks(x)
        return FilmOutput(
            malignancy, abnormality, density, candidates, whole.outline, whole.malignancy, suspicion,
            specks.logits[:, 0], specks.places, whole.distance,
        )  # fmt: skip

    def _both_ways(self, images: Tensor) -> LesionOutput:
        """The mass network asked about `images` and about the same upside down, as it was taught; the mean, with the
        distance of the first."""
        both: LesionOutput = self.mass(torch.cat([images, torch.flip(images, dims=(2,))]))

        # `reshape` rather than slices by length: a traced graph keeps the batch that it was made with
        def halves(values: Tensor) -> Tensor:
            return values.reshape(2, -1, *values.shape[1:])

        def mean(maps: Tensor) -> Tensor:
            both_maps = halves(maps)
            return (both_maps[0] + torch.flip(both_maps[1], dims=(2,))) / 2

        logits = halves(both.logits).mean(dim=0)
        return LesionOutput(logits, mean(both.outline), mean(both.malignancy), halves(both.distance)[0])

    def candidates(self, half: Tensor, outline: Tensor) -> Tensor:
        """The outline's `CANDIDATES` highest separate peaks, looked at closer in both windows: N×K×5."""
        likely = F.avg_pool2d(torch.sigmoid(outline), 3, stride=1, padding=1)
        peaks = likely * (likely >= F.max_pool2d(likely, 7, stride=1, padding=3)).float()
        width = peaks.shape[3]
        top = peaks.flatten(1).topk(CANDIDATES, dim=1)
        x = (top.indices % width).float() + 0.5
        y = torch.div(top.indices, width, rounding_mode="floor").float() + 0.5
        centre = torch.stack([x, y], dim=2) * _OUTLINE_STEP
        ones = torch.ones_like(x).flatten()
        answers = []
        for window in CLOSER_WINDOWS:
            source = half.repeat_interleave(CANDIDATES, dim=0)
            answers.append(
                self._both_ways(look_at(source, centre.reshape(-1, 2), ones * window, CLOSER_PX)).logits
            )
        logits = torch.stack(answers).mean(dim=0).reshape(-1, CANDIDATES, 2)
        peak = torch.logit(top.values.clamp(1e-6, 1 - 1e-6))
        return torch.cat([centre, peak[:, :, None], logits[:, :, [PRESENT, MALIGNANT]]], dim=2)


def film_malignancy(whole: Tensor, candidates: Tensor) -> Tensor:
    """The whole view's logit N and those of the closer looks, weighted by how likely each shows a mass, in equal
    parts: N."""
    weights = torch.softmax(candidates[:, :, 2] + candidates[:, :, 3], dim=1)
    return (whole + (weights * candidates[:, :, 4]).sum(dim=1)) / 2

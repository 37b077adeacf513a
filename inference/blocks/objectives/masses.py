"""Whole films and closer looks at masses and at what is none, through one network, as it will be asked.

The closer looks that show no mass are chosen where the network itself wrongly sees one (hard negatives, found while
training) and anywhere in the breast.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from inference.blocks.networks.looking import look_at
from inference.blocks.objectives.lesion import outline_loss, place_loss
from inference.blocks.registry import block

#: Logits of the mass network. `PRESENT` is taught by closer looks only.
MALIGNANT, PRESENT = 0, 1
#: Closer looks a film and step: at a mass, where the network is most wrongly certain, anywhere in the breast.
LOOKS = 3


@block("objective", "film_masses")
@dataclass(frozen=True)
class FilmMasses:
    """Masses on whole films at 1 / `shrink` of their stored size, and on three looks a film of `side` pixels.

    Parameters
    ----------
    windows
        The narrowest and the widest part of the film that a look shows, in stored pixels.
    smoothing, presence_smoothing
        Shares of a truth that are spread over both answers: malignancy, and whether a mass is there.
    place_weight
        Of the malignancy map on whole films; of looks half as much.
    look_outline_weight
        Of the outline in looks.
    """

    shrink: int = 2
    side: int = 96
    windows: tuple[float, float] = (80.0, 210.0)
    smoothing: float = 0.1
    presence_smoothing: float = 0.06
    place_weight: float = 0.5
    look_outline_weight: float = 0.5

    def draw(self, count: int, generator: Generator) -> Tensor:
        """What the looks are chosen by: `LOOKS`×N×3 uniform random numbers."""
        return torch.rand((LOOKS, count, 3), generator=generator, device=generator.device)

    def __call__(self, network: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        """The loss; the batch is films, masks, labels 0–1 and `draw`."""
        film, mask, label, draw = batch
        smoothed = label * (1 - self.smoothing) + self.smoothing / 2
        whole = network(F.avg_pool2d(film, self.shrink))
        small = F.avg_pool2d(mask, self.shrink)
        value = F.binary_cross_entropy_with_logits(whole.logits[:, MALIGNANT], smoothed)
        value = value + outline_loss(whole, small) + self.place_weight * place_loss(whole, small, smoothed)
        centres, windows = self.closer_looks(mask, film, torch.sigmoid(whole.outline.detach()), draw)
        both = torch.cat([film, mask * 255], dim=1)
        looks = torch.cat(
            [
                look_at(both, centre, window, self.side)
                for centre, window in zip(centres, windows, strict=True)
            ]
        )
        image, drawn = looks[:, :1], looks[:, 1:] / 255
        quarter = self.side // 4
        middle = drawn[:, :, quarter:-quarter, quarter:-quarter]
        present = (middle.amax(dim=(1, 2, 3)) > 0.5).float()
        closer = network(image)
        there = present * (1 - self.presence_smoothing) + self.presence_smoothing / 2
        value = value + F.binary_cross_entropy_with_logits(closer.logits[:, PRESENT], there)
        labels = smoothed.repeat(len(centres))
        judged = F.binary_cross_entropy_with_logits(closer.logits[:, MALIGNANT], labels, reduction="none")
        value = value + (judged * present).sum() / present.sum().clamp(min=1)
        value = value + self.look_outline_weight * outline_loss(closer, drawn)
        return value + self.place_weight / 2 * place_loss(closer, drawn, labels)

    def closer_looks(
        self, mask: Tensor, film: Tensor, likely: Tensor, draw: Tensor
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Centres (N×2, x and y in stored pixels) and windows (N) of `LOOKS` looks a film.

        `mask`, `film` N×1×H×W, `likely` the mass probability N×1×h×w.
        """
        scale = mask.shape[2] // likely.shape[2]
        small = F.avg_pool2d(mask, scale)
        away = (F.max_pool2d(small, 5, stride=1, padding=2) < 0.01).float()
        at_mass = (small > 0.25).float() + 1e-3 * small
        most_wrong = F.avg_pool2d(likely, 3, stride=1, padding=1) ** 4 * away
        anywhere = (F.avg_pool2d(film, scale) > 8).float() * away
        low, high = (math.log(side) for side in self.windows)
        centres, windows = [], []
        for chance, field in zip(draw, (at_mass, most_wrong, anywhere), strict=True):
            total = (field.flatten(1) + 1e-12).cumsum(dim=1)
            picked = torch.searchsorted(total, chance[:, :1] * total[:, -1:])
            picked = picked.clamp(max=total.shape[1] - 1)[:, 0]
            x, y = picked % likely.shape[3], picked // likely.shape[3]
            centres.append((torch.stack([x, y], dim=1).float() + 0.5) * scale)
            windows.append(torch.exp(low + (high - low) * chance[:, 2]))
        return centres, windows

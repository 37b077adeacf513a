"""Clusters of calcifications drawn into films that have none: the few real ones are kept for judging.

A cluster has 5 to 30 specks of 0.1 to 0.5 mm within 1 to 2 cm (BI-RADS Atlas 2013: at least five within a centimetre,
regional above two). Calcium takes away light in proportion to its thickness, and film density goes with the logarithm
of exposure: a speck adds grey in proportion to its size, whatever lies behind it. What is thinner than a pixel is
spread over it, and the film and its scanner blur the rest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from inference.blocks.networks.specks import STEP
from inference.blocks.registry import block

#: Of a film: where its tile lies, whether a cluster is drawn, how it looks; then so many numbers for each speck.
_OF_A_TILE, _OF_A_SPECK = 12, 5
_MOST_SPECKS, _FEWEST_SPECKS = 30, 5
#: Single specks (a vessel's, dust, a scratch) that make no cluster.
_MOST_LONE = 3
_SMALLEST_MM, _LARGEST_MM = 0.1, 0.5
#: The full width at half maximum of a Gaussian in its standard deviations.
_FWHM = 2.355


@block("objective", "drawn_clusters")
@dataclass(frozen=True)
class DrawnClusters:
    """A tile of every film, in half of them a cluster; the network says place by place where.

    Parameters
    ----------
    side
        Of a tile, in pixels of the film; a multiple of 8.
    mm_per_px
        Of the film as the network sees it.
    contrast
        Least and most grey that a speck of 0.3 mm adds, of 255.
    blur
        Least and most of film and scanner together, as a standard deviation in pixels.
    hardest
        Of the places without a cluster the share that counts, hardest first.
    """

    side: int = 160
    mm_per_px: float = 0.18
    contrast: tuple[float, float] = (14.0, 70.0)
    blur: tuple[float, float] = (0.5, 0.9)
    hardest: float = 0.1

    def draw(self, count: int, generator: Generator) -> Tensor:
        """N×numbers, uniform: all that chance decides of a batch."""
        numbers = _OF_A_TILE + _OF_A_SPECK * (_MOST_SPECKS + _MOST_LONE)
        return torch.rand((count, numbers), generator=generator, device=generator.device)

    def __call__(self, network: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        """The loss; the batch is films (N×1×H×W in 0–255), what is not used, and `draw`."""
        film, _, _, chance = batch
        tile = self.tiles(film, chance)
        drawn, near = self.drawn(tile, chance)
        places = network(drawn).places
        breast = F.avg_pool2d((tile > 0).float(), STEP) > 0.99
        inside = F.max_pool2d(near, STEP) > 0.5
        surprise = F.binary_cross_entropy_with_logits(places, inside.float(), reduction="none")
        missed = surprise[inside & breast]
        wrong = surprise[~inside & breast]
        if not len(wrong):
            return surprise.mean()
        most = max(1, round(self.hardest * len(wrong)))
        value = wrong.topk(most).values.mean()
        return value + missed.mean() if len(missed) else value

    def tiles(self, film: Tensor, chance: Tensor) -> Tensor:
        """One tile a film around a place of its breast, N×1×side×side."""
        height, width = film.shape[2], film.shape[3]
        small = F.avg_pool2d((film > 0).float(), STEP).flatten(1)
        total = (small + 1e-9).cumsum(dim=1)
        picked = torch.searchsorted(total, chance[:, :1] * total[:, -1:]).clamp(max=total.shape[1] - 1)[:, 0]
        across = width // STEP
        x = (picked % across * STEP - self.side // 2).clamp(0, width - self.side)
        y = (torch.div(picked, across, rounding_mode="floor") * STEP - self.side // 2).clamp(
            0, height - self.side
        )
        steps = torch.arange(self.side, device=film.device)
        rows, columns = y[:, None] + steps, x[:, None] + steps
        number = torch.arange(len(film), device=film.device)[:, None, None]
        tile = film[:, 0][number, rows[:, :, None], columns[:, None, :]][:, None]
        # upside down and turned by a half, as chance will have it
        tile = torch.where((chance[:, 1] < 0.5).view(-1, 1, 1, 1), tile.flip(2), tile)
        return torch.where((chance[:, 2] < 0.5).view(-1, 1, 1, 1), tile.flip(3), tile)

    def drawn(self, tile: Tensor, chance: Tensor) -> tuple[Tensor, Tensor]:
        """The tiles with specks, and where clusters lie: N×1×side×side, 1 within reach of their specks."""
        own, each = chance[:, :_OF_A_TILE], chance[:, _OF_A_TILE:].reshape(len(chance), -1, _OF_A_SPECK)
        clustered, lone = each[:, :_MOST_SPECKS], each[:, _MOST_SPECKS:]
        there = (own[:, 3] < 0.5).float()[:, None]
        number = _FEWEST_SPECKS + own[:, 4] ** 2 * (_MOST_SPECKS - _FEWEST_SPECKS + 1)
        order = torch.arange(_MOST_SPECKS, device=tile.device)
        present = (order[None] < number[:, None]).float() * there
        # 1 to 2 cm across, a third of them drawn out along a duct
        reach = (5 + 5 * own[:, 5]) / self.mm_per_px
        narrow = torch.where(own[:, 6] < 1 / 3, 0.25 + 0.75 * own[:, 6], torch.ones_like(reach))
        angle = math.pi * own[:, 7]
        margin = self.side / 4
        centre = margin + own[:, 8:10] * (self.side - 2 * margin)
        # denser towards the middle
        radius, turn = clustered[:, :, 0] ** 0.75, 2 * math.pi * clustered[:, :, 1]
        along, aside = radius * turn.cos() * reach[:, None], radius * turn.sin() * (reach * narrow)[:, None]
        x = centre[:, :1] + along * angle.cos()[:, None] - aside * angle.sin()[:, None]
        y = centre[:, 1:] + along * angle.sin()[:, None] + aside * angle.cos()[:, None]
        apart = lone[:, :, :2] * self.side
        alone = (lone[:, :, 4] < 0.4).float()
        low, high = (math.log(value) for value in self.contrast)
        grey = torch.exp(low + (high - low) * own[:, 10:11])
        blur = self.blur[0] + (self.blur[1] - self.blur[0]) * own[:, 11:12]
        added = self._specks(x, y, clustered, present, grey, blur) + self._specks(
            apart[:, :, 0], apart[:, :, 1], lone, alone, grey, blur
        )
        # nothing is drawn on air, and film is black and white at its ends
        shown = torch.where(tile > 0, (tile + added).clamp(max=255.0), tile)
        distance = self._falls(x, 6.0)[:, :, None, :] * self._falls(y, 6.0)[:, :, :, None]
        near = (distance * present[:, :, None, None]).amax(dim=1, keepdim=True)
        return shown, (near > 0.2).float()

    def _specks(
        self, x: Tensor, y: Tensor, chance: Tensor, present: Tensor, grey: Tensor, blur: Tensor
    ) -> Tensor:
        """What specks add to tiles, N×1×side×side: small ones are more than large ones."""
        low, high = math.log(_SMALLEST_MM), math.log(_LARGEST_MM)
        size_mm = torch.exp(low + (high - low) * chance[:, :, 2])
        longer = 1 + 0.8 * chance[:, :, 3]
        upright = chance[:, :, 4] < 0.5
        size = size_mm / self.mm_per_px / _FWHM
        thin, thick = size / longer.sqrt(), size * longer.sqrt()
        sx = (torch.where(upright, thin, thick) ** 2 + blur**2).sqrt()
        sy = (torch.where(upright, thick, thin) ** 2 + blur**2).sqrt()
        # the light that calcium takes stays the same, however far blur spreads it
        height = grey * (size_mm / 0.3) * size**2 / (sx * sy) * present
        added = torch.einsum("nsy,nsx,ns->nyx", self._falls(y, sy), self._falls(x, sx), height)
        return added[:, None]

    def _falls(self, middle: Tensor, spread: Tensor | float) -> Tensor:
        """N×specks×side: a bell around each middle."""
        steps = torch.arange(self.side, device=middle.device, dtype=middle.dtype) + 0.5
        wide = spread[:, :, None] if isinstance(spread, Tensor) else spread
        return torch.exp(-((steps - middle[:, :, None]) ** 2) / (2 * wide**2))

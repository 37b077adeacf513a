"""A place of a slide read level by level, from afar to near, and then cell by cell: an LSTM tells what all of it means
([42], Su 2021)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from inference.blocks.networks.bags import RecurrentAttention
from inference.blocks.networks.classifier import made
from inference.blocks.registry import block

#: The row of the inverse of Ruifrok and Johnston's stain matrix (2001) by which optical density becomes haematoxylin.
_HAEMATOXYLIN = (1.88, -0.07, -0.60)
_LEAST_LIGHT = 1 / 255


@block("network", "level_reader", gives="labels")
class LevelReader(nn.Module):
    """N×3×(levels·S)×S, the squares of a place one under another from afar to near → N×`classes`.

    `backbone` reads the tissue of every level; `cells` reads the haematoxylin of the nearest one, where nuclei are. An
    LSTM of `hidden` units passes over the levels and ends with the cells; `fused: mean` takes their mean instead.
    """

    stain: Tensor

    def __init__(
        self, backbone: str | Mapping[str, Mapping[str, Any]], cells: str | Mapping[str, Mapping[str, Any]],
        hidden: int = 128, fused: Literal["lstm", "mean"] = "lstm", dropout: float = 0.3, classes: int = 2,
    ) -> None:  # fmt: skip
        super().__init__()
        self.backbone = made("backbone", backbone, {})
        self.cells = made("backbone", cells, {})
        self.of_tissue = nn.Linear(self.backbone.channels, hidden)
        self.of_cells = nn.Linear(self.cells.channels, hidden)
        self.reader = (
            RecurrentAttention(hidden, "lstm", hidden, "last", both_ways=False) if fused == "lstm" else None
        )
        self.dropout = nn.Dropout(dropout)
        self.last = nn.Linear(hidden, classes)
        self.register_buffer("stain", torch.tensor(_HAEMATOXYLIN)[None, :, None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Raises `ValueError` for pictures that are no squares one under another."""
        count, channels, height, side = x.shape
        if height % side or height == side:
            raise ValueError(f"{height} by {side} px are no squares of several levels one under another")
        squares = x.reshape(count, channels, height // side, side, side).transpose(1, 2)
        tissue = self.of_tissue(self.backbone(squares.flatten(0, 1)).mean(dim=(2, 3)))
        cells = self.of_cells(self.cells(self.haematoxylin(squares[:, -1])).mean(dim=(2, 3)))
        seen = torch.relu(torch.cat([tissue.unflatten(0, (count, -1)), cells[:, None]], dim=1))
        row = seen.mean(dim=1) if self.reader is None else self.reader(seen).row
        answer: Tensor = self.last(self.dropout(row))
        return answer

    def haematoxylin(self, square: Tensor) -> Tensor:
        """N×3×S×S normalised → N×1×S×S, the density of the stain of nuclei, at most about 1 as other inputs are."""
        light = (square * 0.5 + 0.5).clamp(_LEAST_LIGHT, 1)
        return (-torch.log10(light) * self.stain).sum(dim=1, keepdim=True).clamp(0, 2) - 1

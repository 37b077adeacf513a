"""Boxes: overlap, suppression, anchors over a pyramid, and the boxes that a mask's separate regions have.

A box is (x0, y0, x1, y1) in pixels, float32, as the last axis of a tensor.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

#: Height to width of the anchors, and their sizes within an octave.
_RATIOS, _OCTAVES = (0.5, 1.0, 2.0), (1.0, 2**0.5)
ANCHORS_A_PLACE = len(_RATIOS) * len(_OCTAVES)
#: A box changes in size by at most this factor, as its logarithm; more is a network that has gone astray.
_MOST_GROWTH = 4.0
#: A region of fewer pixels is an edge of an interpolated mask.
_FEWEST_PIXELS = 3


def overlap(first: Tensor, second: Tensor) -> Tensor:
    """M×4 and N×4 → M×N intersections over unions."""
    low = torch.maximum(first[:, None, :2], second[None, :, :2])
    high = torch.minimum(first[:, None, 2:], second[None, :, 2:])
    both = (high - low).clamp(min=0).prod(dim=2)
    areas = [(box[:, 2:] - box[:, :2]).clamp(min=0).prod(dim=1) for box in (first, second)]
    return both / (areas[0][:, None] + areas[1][None] - both).clamp(min=1e-6)


def suppressed(boxes: Tensor, scores: Tensor, most_overlap: float, most: int) -> Tensor:
    """Indices of at most `most` boxes, the highest score first, none of which overlaps a higher one by more than
    `most_overlap` (non-maximum suppression)."""
    order = torch.sort(scores, descending=True, stable=True).indices
    kept: list[int] = []
    shared = overlap(boxes[order], boxes[order])
    free = torch.ones(len(order), dtype=torch.bool, device=boxes.device)
    for place in range(len(order)):
        if len(kept) == most:
            break
        if free[place]:
            kept.append(int(order[place]))
            free &= shared[place] <= most_overlap
    return torch.tensor(kept, dtype=torch.int64, device=boxes.device)


def anchors(
    maps: Sequence[tuple[int, int]], strides: Sequence[int], smallest: float, device: torch.device
) -> Tensor:
    """M×4, level by level, row by row, `ANCHORS_A_PLACE` at each place of `maps` (height, width): of `smallest` px at
    the first stride, and in proportion to the strides at the others."""
    levels = []
    for (rows, columns), stride in zip(maps, strides, strict=True):
        size = smallest * stride / strides[0]
        shapes = [
            (size * octave * ratio**0.5, size * octave / ratio**0.5)
            for octave in _OCTAVES
            for ratio in _RATIOS
        ]
        high, wide = torch.tensor(shapes, dtype=torch.float32, device=device).T
        y = (torch.arange(rows, device=device, dtype=torch.float32) + 0.5)[:, None, None] * stride
        x = (torch.arange(columns, device=device, dtype=torch.float32) + 0.5)[None, :, None] * stride
        corners = torch.broadcast_tensors(x - wide / 2, y - high / 2, x + wide / 2, y + high / 2)
        levels.append(torch.stack(corners, dim=-1).reshape(-1, 4))
    return torch.cat(levels)


def encoded(boxes: Tensor, to: Tensor) -> Tensor:
    """What a network says of anchors `to` for them to become `boxes`: shift in their size, logarithm of growth."""
    (middle, size), (centre, side) = _middles(boxes), _middles(to)
    return torch.cat([(middle - centre) / side, (size / side).log()], dim=-1)


def decoded(deltas: Tensor, to: Tensor) -> Tensor:
    """The reverse of `encoded`."""
    centre, side = _middles(to)
    middle = centre + deltas[..., :2] * side
    half = side * deltas[..., 2:].clamp(-_MOST_GROWTH, _MOST_GROWTH).exp() / 2
    return torch.cat([middle - half, middle + half], dim=-1)


def boxes_of(mask: Tensor) -> Tensor:
    """K×4, of the separate regions of a mask H×W (0…1); two that touch are one."""
    marked = (mask.detach().cpu().numpy() > 0.5).astype(np.uint8)
    _, _, found, _ = cv2.connectedComponentsWithStats(marked, connectivity=8)
    large = [row for row in found[1:] if row[cv2.CC_STAT_AREA] >= _FEWEST_PIXELS]
    corners = [(x, y, x + wide, y + high) for x, y, wide, high, _ in large]
    return torch.tensor(corners, dtype=torch.float32, device=mask.device).reshape(-1, 4)


def _middles(boxes: Tensor) -> tuple[Tensor, Tensor]:
    size = (boxes[..., 2:] - boxes[..., :2]).clamp(min=1e-3)
    return (boxes[..., :2] + boxes[..., 2:]) / 2, size

"""A detector in one pass (RetinaNet, Lin 2017) on EfficientNet-Lite0: a feature pyramid, and two heads that look at
every anchor of every level. The second stage of [55]."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inference.blocks.networks.boxes import ANCHORS_A_PLACE, anchors, decoded, suppressed
from inference.blocks.networks.decoder import Smooth
from inference.blocks.networks.efficientnet import PYRAMID_CHANNELS, EfficientNetLite, effnet_lite0
from inference.blocks.registry import block

STRIDES = (8, 16, 32)
#: What a detector says of an image at most, and of how many boxes these are chosen.
MOST_BOXES, _CANDIDATES = 20, 200
#: Boxes of one lesion overlap by more.
_SAME = 0.3
#: How likely a box is before anything is learned: nearly all anchors lie on nothing.
_PRIOR = 0.01


class BoxOutput(NamedTuple):
    """`logits` N×M, one an anchor; `deltas` N×M×4, see `boxes.encoded`; `anchors` M×4 in pixels."""

    logits: Tensor
    deltas: Tensor
    anchors: Tensor


class RetinaNet(nn.Module):
    """Maps at strides 8, 16 and 32, each with what is above it; heads of `depth` convolutions that all levels share."""

    def __init__(self, backbone: EfficientNetLite, channels: int, depth: int, smallest: float) -> None:
        super().__init__()
        self.backbone, self.smallest = backbone, smallest
        self.lateral = nn.ModuleList(nn.Conv2d(inside, channels, 1) for inside in PYRAMID_CHANNELS[1:])
        self.smooth = nn.ModuleList(Smooth(channels) for _ in STRIDES)
        self.judge = self._head(channels, depth, 1)
        self.place = self._head(channels, depth, 4)
        nn.init.constant_(self.judge[-1].bias, -math.log((1 - _PRIOR) / _PRIOR))  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> BoxOutput:
        """`x`: N×3×H×W, normalised by mean = std = 0.5; H and W multiples of 32."""
        pyramid = self.backbone.pyramid(x)
        maps: list[Tensor] = []
        above: Tensor | None = None
        for level in (2, 1, 0):
            here = self.lateral[level](pyramid[level + 1])
            if above is not None:
                here = here + F.interpolate(above, size=here.shape[2:], mode="nearest")
            above = self.smooth[level](here)
            maps.insert(0, above)
        logits = torch.cat([self._said(self.judge(each), 1) for each in maps], dim=1)[..., 0]
        deltas = torch.cat([self._said(self.place(each), 4) for each in maps], dim=1)
        sizes = [(each.shape[2], each.shape[3]) for each in maps]
        return BoxOutput(logits, deltas, anchors(sizes, STRIDES, self.smallest, x.device))

    @staticmethod
    def _head(channels: int, depth: int, numbers: int) -> nn.Sequential:
        last = nn.Conv2d(channels, ANCHORS_A_PLACE * numbers, 3, padding=1)
        nn.init.normal_(last.weight, std=0.01)
        return nn.Sequential(*(Smooth(channels) for _ in range(depth)), last)

    @staticmethod
    def _said(answer: Tensor, numbers: int) -> Tensor:
        """N×(anchors·numbers)×h×w → N×(h·w·anchors)×numbers, in the order of `anchors`."""
        return answer.permute(0, 2, 3, 1).reshape(len(answer), -1, numbers)


def found(said: BoxOutput, height: int, width: int) -> Tensor:
    """N×`MOST_BOXES`×5: boxes as shares of width and height, and their probability, the surest first; what is missing
    is 0."""
    rows = said.logits.new_zeros((len(said.logits), MOST_BOXES, 5))
    scale = said.deltas.new_tensor([width, height, width, height])
    for number, (logits, deltas) in enumerate(zip(said.logits, said.deltas, strict=True)):
        best = logits.topk(min(_CANDIDATES, len(logits))).indices
        scores = torch.sigmoid(logits[best])
        boxes = (decoded(deltas[best], said.anchors[best]) / scale).clamp(0, 1)
        kept = suppressed(boxes * scale, scores, _SAME, MOST_BOXES)
        rows[number, : len(kept)] = torch.cat([boxes[kept], scores[kept, None]], dim=1)
    return rows


@block("network", "retina", gives="boxes")
def retina(
    width: int = 64,
    depth: int = 2,
    smallest: float = 24.0,
    weights: Literal["random", "imagenet"] = "random",
) -> RetinaNet:
    """RetinaNet on EfficientNet-Lite0, with a pyramid `width` channels wide (a multiple of 8): anchors of `smallest` px
    and up to six times that, three shapes each. 3.6 M parameters."""
    if width % 8 or width < 8 or depth < 0 or smallest <= 0:
        raise ValueError("width is a multiple of 8, depth is 0 or more and smallest above 0")
    return RetinaNet(effnet_lite0(weights=weights), width, depth, smallest)

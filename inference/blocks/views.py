"""What a network is shown of a batch of examples: all of each, or some of them closer."""

from __future__ import annotations

from collections.abc import Callable

from torch import Generator, Tensor
from torch.nn import functional as F

from inference.blocks.augment import look_closer, look_elsewhere, warp
from inference.blocks.registry import block

#: images float N×C×H×W in 0–255, masks N×1×H×W in 0–1, boxes N×4 (or nothing in it), generator → pairs of images and
#: masks, which together show each example once, in order
Views = Callable[[Tensor, Tensor, Tensor, Generator], list[tuple[Tensor, Tensor]]]


@block("views", "whole")
def whole() -> Views:
    """Each example as it is stored."""
    return lambda images, masks, boxes, generator: [(images, masks)]


@block("views", "whole_and_closer")
def whole_and_closer(
    whole: float = 0.5, closer_side: int = 224, turn_degrees: float = 12.0, zoom: float = 0.2,
    shift: float = 0.08,
) -> Views:  # fmt: skip
    """Grey images: the share `whole` of a batch at half the stored size, turned, enlarged, moved and mirrored, and of
    the others a look at their lesion, on squares of `closer_side` pixels (`look_closer`)."""

    def views(
        images: Tensor, masks: Tensor, boxes: Tensor, generator: Generator
    ) -> list[tuple[Tensor, Tensor]]:
        count = round(whole * len(images))
        wide = warp(
            F.avg_pool2d(images[:count], 2), F.avg_pool2d(masks[:count], 2), generator,
            turn_degrees=turn_degrees, zoom=zoom, shift=shift, mirror=True,
        )  # fmt: skip
        near = look_closer(images[count:], masks[count:], boxes[count:], closer_side, generator)
        return [wide, near]

    return views


@block("views", "whole_closer_elsewhere")
def whole_closer_elsewhere(
    whole: float = 0.5, elsewhere: float = 0.125, side: int = 224, closer_side: int = 160,
    turn_degrees: float = 12.0, zoom: float = 0.3, shift: float = 0.12,
) -> Views:  # fmt: skip
    """As `whole_and_closer`, whole frames on squares of `side` pixels; and the share `elsewhere` of a batch is shown
    where its lesion is not (`look_elsewhere`): tissue without a lesion, of every scanner."""

    def views(
        images: Tensor, masks: Tensor, boxes: Tensor, generator: Generator
    ) -> list[tuple[Tensor, Tensor]]:
        count, last = round(whole * len(images)), len(images) - round(elsewhere * len(images))
        wide = warp(
            F.interpolate(images[:count], (side, side), mode="area"),
            F.interpolate(masks[:count], (side, side), mode="area"), generator,
            turn_degrees=turn_degrees, zoom=zoom, shift=shift, mirror=True,
        )  # fmt: skip
        near = look_closer(images[count:last], masks[count:last], boxes[count:last], closer_side, generator)
        away = look_elsewhere(images[last:], masks[last:], boxes[last:], closer_side, generator)
        return [view for view in (wide, near, away) if len(view[0])]

    return views

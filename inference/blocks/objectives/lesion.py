"""What a network that outlines a lesion and judges it learns from: outlines, places and classes together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inference.blocks.networks.lesion import AssessedOutput, LesionOutput
from inference.blocks.registry import block

#: network, batch → the loss
Objective = Callable[[nn.Module, tuple[Tensor, ...]], Tensor]


def outline_loss(output: LesionOutput | AssessedOutput, masks: Tensor) -> Tensor:
    """Cross-entropy plus soft Dice at a quarter of the resolution. `masks` float N×1×H×W in 0–1."""
    small = F.avg_pool2d(masks, 4)
    entropy = F.binary_cross_entropy_with_logits(output.outline, small)
    inside = torch.sigmoid(output.outline)
    overlap = (inside * small).sum(dim=(1, 2, 3))
    total = (inside + small).sum(dim=(1, 2, 3))
    dice = 1 - (2 * overlap + 1) / (total + 1)
    return entropy + dice.mean()


def place_loss(output: LesionOutput | AssessedOutput, masks: Tensor, malignant: Tensor) -> Tensor:
    """The malignancy map learns inside lesions only; outside them the outline says that nothing is there.
    `malignant` float N in 0–1."""
    small = F.avg_pool2d(masks, 4)
    target = malignant.view(-1, 1, 1, 1).expand_as(small)
    entropy = F.binary_cross_entropy_with_logits(output.malignancy, target, reduction="none")
    per_image = (entropy * small).sum(dim=(1, 2, 3)) / small.sum(dim=(1, 2, 3)).clamp(min=1)
    return per_image.mean()


@block("objective", "lesion")
def lesion(
    class_weights: Sequence[float], malignant: int = 1, outline_weight: float = 1.0, place_weight: float = 0.3,
    smoothing: float = 0.05,
) -> Objective:  # fmt: skip
    """Classes, outlines and the malignancy map of every view of a batch; a view weighs as many examples as it shows.

    Truths are classes, alone or as the first of several columns. `class_weights`: one a class. `malignant`: the number
    of that class. `smoothing`: the share of each truth that is spread over all classes.
    """
    weights = torch.tensor(class_weights)

    def objective(network: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        *views, truth = batch
        label = truth if truth.ndim == 1 else truth[:, 0]
        images, masks = views[::2], views[1::2]
        looks = [network(image) for image in images]
        logits = torch.cat([look.logits for look in looks])
        value = weighted_entropy(logits, label, weights.to(logits.device), smoothing)
        shares = (label == malignant).float().split([len(image) for image in images])
        for look, mask, share in zip(looks, masks, shares, strict=True):
            part = len(mask) / len(label)
            value = value + part * (
                outline_weight * outline_loss(look, mask) + place_weight * place_loss(look, mask, share)
            )
        return value

    return objective


@block("objective", "assessed_lesion")
def assessed_lesion(
    malignant: int = 1, normal: int = 2, outline_weight: float = 1.0, place_weight: float = 0.3,
    assessment_weight: float = 0.3, smoothing: float = 0.05,
) -> Objective:  # fmt: skip
    """As `lesion`, of examples of several collections. Truths are N×2: the class, and the reader's category from 0, −1
    where none is known. A view that shows nothing of its example's outline is `normal` whatever the example is; one
    that shows a part of it that lies at its border teaches outlines alone.

    `assessment_weight`: of the reader's category, where the whole lesion is seen.
    """

    def objective(network: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        *views, truth = batch
        images, masks = views[::2], views[1::2]
        looks = [network(image) for image in images]
        logits = torch.cat([look.logits for look in looks])
        shown, cut = (torch.cat(parts) for parts in zip(*(_seen(mask) for mask in masks), strict=True))
        label = torch.where(shown, truth[:, 0], normal)
        whole = (~cut).float()
        surprise = -F.log_softmax(logits.float(), dim=1)
        entropy = (1 - smoothing) * surprise.gather(1, label[:, None])[:, 0] + smoothing * surprise.mean(
            dim=1
        )
        value = (entropy * whole).sum() / whole.sum().clamp(min=1)
        category = truth[:, 1]
        known = whole * (category >= 0).float() * shown.float()
        said = -F.log_softmax(torch.cat([look.assessment for look in looks]).float(), dim=1)
        missed = said.gather(1, category.clamp(min=0)[:, None])[:, 0]
        value = value + assessment_weight * (missed * known).sum() / known.sum().clamp(min=1)
        shares = (label == malignant).float().split([len(image) for image in images])
        for look, mask, share in zip(looks, masks, shares, strict=True):
            part = len(mask) / len(label)
            value = value + part * (
                outline_weight * outline_loss(look, mask) + place_weight * place_loss(look, mask, share)
            )
        return value

    return objective


def _seen(masks: Tensor) -> tuple[Tensor, Tensor]:
    """Whether an outline is to be seen, and whether the view's border cuts much of it off: N each. `masks` float
    N×1×H×W in 0–1."""
    total = masks.sum(dim=(1, 2, 3))
    edges = torch.cat([masks[:, 0, 0], masks[:, 0, -1], masks[:, 0, :, 0], masks[:, 0, :, -1]], dim=1)
    shown = total > 12
    # a lesion that ends in the view meets its border nowhere, or along a stretch that is short for its size
    return shown, shown & (edges.sum(dim=1) > 1.5 * total.sqrt())


def weighted_entropy(logits: Tensor, label: Tensor, class_weights: Tensor, smoothing: float) -> Tensor:
    """`F.cross_entropy` with weights and smoothing, which reads a number back from the GPU."""
    surprise = -F.log_softmax(logits.float(), dim=1)
    own = class_weights[label]
    right = own * surprise.gather(1, label[:, None])[:, 0]
    spread = (class_weights * surprise).mean(dim=1)
    return ((1 - smoothing) * right + smoothing * spread).sum() / own.sum()

"""What training minimises: cross-entropy, focal and margin loss for labels, Dice and Tversky for outlines.

A loss is called with a network's answer (logits, or a named tuple that has them first, as every classifier's
here) and the truth, and gives one number, the batch's mean. Logits N×K go with labels int64 N; logits N×1 or
N with labels 0 or 1; outlines N×1×h×w with masks 0…1 N×1×H×W, which are averaged down to the outline's size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from inference.blocks.registry import block

Loss = Callable[[Tensor | tuple[Tensor, ...], Tensor], Tensor]


@block("loss", "cross_entropy", takes="labels")
def cross_entropy(weights: Sequence[float] | None = None, label_smoothing: float = 0.0) -> Loss:
    """Cross-entropy. `weights`: one a class; a batch's mean is weighted by them. `label_smoothing` as of
    Szegedy 2016: that share of each truth is spread evenly over all classes."""
    _check(0 <= label_smoothing < 1, f"label_smoothing lies in 0…1, not at {label_smoothing}")

    def loss(outputs: Tensor | tuple[Tensor, ...], truth: Tensor) -> Tensor:
        logits = _two_or_more(outputs)
        return F.cross_entropy(
            logits, truth.long(), weight=_weights(weights, logits), label_smoothing=label_smoothing
        )

    return loss


@block("loss", "focal", takes="labels")
def focal(gamma: float = 2.0, weights: Sequence[float] | None = None) -> Loss:
    """(1 − p)^γ · cross-entropy (Lin 2017): what is already right weighs little. γ = 0 is cross-entropy."""
    _check(gamma >= 0, f"focal loss needs a gamma of at least 0, not {gamma}")

    def loss(outputs: Tensor | tuple[Tensor, ...], truth: Tensor) -> Tensor:
        logits = _two_or_more(outputs)
        surprise = F.cross_entropy(logits, truth.long(), reduction="none")
        values = (1 - torch.exp(-surprise)) ** gamma * surprise
        weight = _weights(weights, logits)
        if weight is None:
            return values.mean()
        shares = weight[truth.long()]
        return (shares * values).sum() / shares.sum()

    return loss


@block("loss", "margin", takes="labels")
def margin(present: float = 0.9, absent: float = 0.1, share: float = 0.5) -> Loss:
    """Of capsules (Sabour 2017), whose lengths are the sigmoids of the logits: the true class's should be at least
    `present`, all others' at most `absent`, which count for a `share`."""
    _check(0 <= absent < present <= 1, f"0 ≤ absent < present ≤ 1, not {absent} and {present}")

    def loss(outputs: Tensor | tuple[Tensor, ...], truth: Tensor) -> Tensor:
        lengths = torch.sigmoid(_two_or_more(outputs))
        true = F.one_hot(truth.long(), lengths.shape[1])
        missed = true * F.relu(present - lengths).square()
        extra = share * (1 - true) * F.relu(lengths - absent).square()
        return (missed + extra).sum(dim=1).mean()

    return loss


@block("loss", "dice_bce", takes="outlines")
def dice_bce(dice: float = 1.0, bce: float = 1.0) -> Loss:
    """`dice`·(1 − soft Dice) + `bce`·binary cross-entropy of an outline."""

    def loss(outputs: Tensor | tuple[Tensor, ...], truth: Tensor) -> Tensor:
        logits, mask = _outline(outputs, truth)
        return dice * _overlap_loss(logits, mask, 0.5, 0.5) + bce * F.binary_cross_entropy_with_logits(
            logits, mask
        )

    return loss


@block("loss", "tversky", takes="outlines")
def tversky(false_positives: float = 0.3, false_negatives: float = 0.7, focus: float = 1.0) -> Loss:
    """1 − TP / (TP + α·FP + β·FN) of an outline (Salehi 2017), to the power `focus` (Abraham 2019). Both at
    0.5 is Dice; more weight on false negatives finds small masses more often."""
    _check(false_positives >= 0 and false_negatives >= 0, "Tversky's weights are at least 0")

    def loss(outputs: Tensor | tuple[Tensor, ...], truth: Tensor) -> Tensor:
        logits, mask = _outline(outputs, truth)
        return _overlap_loss(logits, mask, false_positives, false_negatives, focus)

    return loss


def class_weights(labels: Sequence[int], classes: int) -> list[float]:
    """N / (K · count) a class: the mean over a data set is 1, and each class weighs the same in total.

    Raises
    ------
    ValueError
        A class without a sample.
    """
    counts = [sum(1 for label in labels if label == number) for number in range(classes)]
    empty = [number for number, count in enumerate(counts) if count == 0]
    if empty:
        raise ValueError(f"class {empty[0]} has no sample to weigh")
    return [len(labels) / (classes * count) for count in counts]


def _overlap_loss(
    logits: Tensor, mask: Tensor, false_positives: float, false_negatives: float, focus: float = 1.0
) -> Tensor:
    """Mean over images; one more pixel right everywhere keeps empty masks finite."""
    likely, mask = torch.sigmoid(logits).flatten(1), mask.flatten(1)
    both = (likely * mask).sum(dim=1)
    extra = (likely * (1 - mask)).sum(dim=1)
    missed = ((1 - likely) * mask).sum(dim=1)
    index = (both + 1) / (both + false_positives * extra + false_negatives * missed + 1)
    return ((1 - index) ** focus).mean()


def _outline(outputs: Tensor | tuple[Tensor, ...], truth: Tensor) -> tuple[Tensor, Tensor]:
    logits = _first(outputs)
    mask = truth.to(logits.dtype)
    if mask.ndim == logits.ndim - 1:
        mask = mask[:, None]
    if mask.shape[2:] != logits.shape[2:]:
        mask = F.adaptive_avg_pool2d(mask, (logits.shape[2], logits.shape[3]))
    return logits, mask


def _two_or_more(outputs: Tensor | tuple[Tensor, ...]) -> Tensor:
    """N×K; one logit a sample becomes two classes with 0 for the first, which is the same probability."""
    logits = _first(outputs)
    if logits.ndim == 1:
        logits = logits[:, None]
    if logits.shape[1] == 1:
        logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
    return logits


def _first(outputs: Tensor | tuple[Tensor, ...]) -> Tensor:
    return outputs if isinstance(outputs, Tensor) else outputs[0]


def _weights(weights: Sequence[float] | None, logits: Tensor) -> Tensor | None:
    if weights is None:
        return None
    _check(len(weights) == logits.shape[1], f"{len(weights)} weights for {logits.shape[1]} classes")
    return torch.tensor(weights, dtype=logits.dtype, device=logits.device)


def _check(fine: bool, sentence: str) -> None:
    if not fine:
        raise ValueError(sentence)

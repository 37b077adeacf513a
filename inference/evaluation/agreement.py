"""Agreement beyond chance: Cohen's kappa, and CAMELYON17's official metric."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

import numpy as np

from inference.datasets.camelyon17 import PN_STAGES, pn_stage
from inference.evaluation.bootstrap import Floats, Statistic
from inference.evaluation.metrics import confusions

Weights = Literal["none", "linear", "quadratic"]


def kappa_of(tables: Floats, weights: Weights = "none") -> Floats:
    """Cohen's kappa of D×K×K tables of two raters (Cohen 1960, weighted 1968); NaN where chance agreement is
    complete."""
    size = tables.shape[-1]
    steps = np.abs(np.arange(size)[:, None] - np.arange(size)[None, :]).astype(float)
    cost = {"none": (steps > 0).astype(float), "linear": steps, "quadratic": steps**2}[weights]
    whole = tables.sum(axis=(1, 2), keepdims=True)
    shares = tables / np.where(whole > 0, whole, 1)
    chance = shares.sum(axis=2)[:, :, None] * shares.sum(axis=1)[:, None, :]
    seen, expected = (cost * shares).sum(axis=(1, 2)), (cost * chance).sum(axis=(1, 2))
    return np.where(expected > 0, 1 - seen / np.where(expected > 0, expected, 1), np.nan)


def kappa(
    first: Sequence[str], second: Sequence[str], classes: Sequence[str], weights: Weights = "none"
) -> Statistic:
    """Cohen's kappa of two raters' labels; `classes` in their order where it is weighted."""
    return lambda counts: kappa_of(confusions(first, second, classes, counts), weights)


def stages_of(patients: Sequence[str], slides: Sequence[str]) -> dict[str, str]:
    """Each patient's pN stage from the labels of her slides."""
    nodes: dict[str, list[str]] = defaultdict(list)
    for patient, label in zip(patients, slides, strict=True):
        nodes[patient].append(label)
    return {patient: pn_stage(labels) for patient, labels in nodes.items()}


def camelyon17_kappa(patients: Sequence[str], truth: Sequence[str], predicted: Sequence[str]) -> Statistic:
    """The challenge's metric: quadratic kappa of patients' pN stages, which the rules make of slide labels
    (Bándi 2019). Counts are of slides; a patient's slides must be drawn together."""
    reference, submitted = stages_of(patients, truth), stages_of(patients, predicted)
    names = list(reference)
    first = [list(patients).index(name) for name in names]
    staged = kappa(
        [reference[name] for name in names], [submitted[name] for name in names], PN_STAGES, "quadratic"
    )
    return lambda counts: staged(counts[:, first])

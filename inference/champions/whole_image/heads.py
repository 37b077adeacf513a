"""Fitted heads as modules of arrays, so that network and head are one graph: N×d features → N×K probabilities.

What scikit-learn and XGBoost compute in float64 is computed in float32 here; an export compares every prediction.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from inference.blocks.heads.head import SHIFTS, Head
from inference.champions.whole_image.arrays import FAR, Arrays, Machine, Scaled, in_order, shares
from inference.champions.whole_image.refusals import ExportError

#: Ranges of what a neighbour's head learned from: see `arrays.FAR`.
_FAR_RANGES = 1e6


def as_module(head: Any, classes: Sequence[str]) -> nn.Module:
    """The fitted `head`; columns in the order of `classes`, 0 for one that its training part lacked.

    Raises
    ------
    ExportError
        It cannot be written as a graph.
    """
    if not isinstance(head, Head) or head.kind not in _KINDS:
        kind = head.kind if isinstance(head, Head) else type(head).__name__
        raise ExportError(f"the head {kind} cannot be written as a graph; {', '.join(_KINDS)} can")
    answers = _KINDS[head.kind](head.estimator_)
    if getattr(head, "band_", None) is not None:
        answers = _Steady(answers, head.band_)
    return in_order(answers, head.classes_, classes)


class _Steady(Arrays):
    """The mean answer over a band around each row (`Head`)."""

    shifts: Tensor

    def __init__(self, answers: nn.Module, band: Any) -> None:
        super().__init__()
        self.answers, self.count, self.wide = answers, len(SHIFTS), len(band)
        self.keep(shifts=SHIFTS[:, None] * band)

    def forward(self, rows: Tensor) -> Tensor:
        said: Tensor = self.answers((rows[:, None, :] + self.shifts).reshape(-1, self.wide))
        return said.reshape(-1, self.count, said.shape[1]).mean(dim=1)


class _Layers(Arrays):
    """Linear layers with ReLU between them; the last one's answers as shares of two or more classes."""

    def __init__(self, weights: Sequence[NDArray[Any]], biases: Sequence[NDArray[Any]]) -> None:
        super().__init__()
        self.count = len(weights)
        for number, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            self.keep(**{f"weight{number}": weight, f"bias{number}": bias})

    def forward(self, rows: Tensor) -> Tensor:
        for number in range(self.count):
            rows = rows @ getattr(self, f"weight{number}") + getattr(self, f"bias{number}")
            if number < self.count - 1:
                rows = torch.relu(rows)
        return shares(rows)


class _Gaussian(Arrays):
    mean: Tensor
    precision: Tensor
    constant: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, bayes: Any) -> None:
        super().__init__()
        constant = np.log(bayes.class_prior_) - 0.5 * np.log(2 * np.pi * bayes.var_).sum(axis=1)
        far = FAR * np.sqrt(bayes.var_)
        self.keep(
            mean=bayes.theta_, precision=0.5 / bayes.var_, constant=constant,
            low=(bayes.theta_ - far).min(axis=0), high=(bayes.theta_ + far).max(axis=0),
        )  # fmt: skip

    def forward(self, rows: Tensor) -> Tensor:
        apart = _between(self.low, rows, self.high)[:, None, :] - self.mean
        return torch.softmax(self.constant - (apart * apart * self.precision).sum(dim=2), dim=1)


class _Support(Arrays):
    """A support vector machine under Platt's sigmoid: of two classes one, of more one for each pair, whose votes are
    counted as scikit-learn does (`decision_function_shape="ovr"`) and judged by a sigmoid a class."""

    slopes: Tensor
    offsets: Tensor

    def __init__(self, machine: Any, sigmoids: Sequence[Any]) -> None:
        super().__init__()
        self.machine, self.classes = Machine(machine), len(machine.classes_)
        self.keep(slopes=[float(each.a_) for each in sigmoids], offsets=[float(each.b_) for each in sigmoids])

    def forward(self, rows: Tensor) -> Tensor:
        decisions = self.machine(rows)
        if self.classes == 2:
            return shares(-(self.slopes * decisions + self.offsets))
        chances = torch.sigmoid(-(self.slopes * self._counted(decisions) + self.offsets))
        return chances / chances.sum(dim=1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)

    def _counted(self, decisions: Tensor) -> Tensor:
        """N×pairs, above 0 for the first of a pair → N×K: votes, and a third at most for how sure they are."""
        votes = [torch.zeros_like(decisions[:, 0]) for _ in range(self.classes)]
        sure = list(votes)
        for number, (first, second) in enumerate(self.machine.pairs):
            said = decisions[:, number]
            against = (said < 0).to(said.dtype)
            votes[first] = votes[first] + 1 - against
            votes[second] = votes[second] + against
            sure[first], sure[second] = sure[first] + said, sure[second] - said
        together = torch.stack(sure, dim=1)
        return torch.stack(votes, dim=1) + together / (3 * (together.abs() + 1))


class _Neighbours(Arrays):
    """The classes of the nearest rows, weighted by 1 / distance over scaled columns. Rows are kept as they were before
    scaling: one that is met again is then exactly no distance away, and alone decides."""

    rows: Tensor
    scale: Tensor
    shares: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, scaler: Any, neighbours: Any) -> None:
        super().__init__()
        self.count = int(neighbours.n_neighbors)
        known = neighbours._fit_X * scaler.scale_ + scaler.mean_
        far = _FAR_RANGES * np.maximum(np.ptp(known, axis=0), scaler.scale_)
        self.keep(
            rows=known, scale=scaler.scale_, shares=np.eye(len(neighbours.classes_))[neighbours._y],
            low=known.min(axis=0) - far, high=known.max(axis=0) + far,
        )  # fmt: skip

    def forward(self, rows: Tensor) -> Tensor:
        apart = (_between(self.low, rows, self.high)[:, None, :] - self.rows) / self.scale
        nearest, which = (apart * apart).sum(dim=2).topk(self.count, dim=1, largest=False)
        met = (nearest == 0).to(nearest.dtype)
        any_met = met.amax(dim=1, keepdim=True)
        weights = torch.where(any_met > 0, met, 1 / nearest.clamp(min=torch.finfo(torch.float32).tiny).sqrt())
        known = self.shares.index_select(0, which.reshape(-1)).reshape(-1, self.count, self.shares.shape[1])
        summed = (weights[:, :, None] * known).sum(dim=1)
        return summed / summed.sum(dim=1, keepdim=True)


class _Mean(nn.Module):
    def __init__(self, several: Iterable[nn.Module]) -> None:
        super().__init__()
        self.several = nn.ModuleList(several)

    def forward(self, rows: Tensor) -> Tensor:
        return torch.stack([each(rows) for each in self.several]).mean(dim=0)


class _Tree(NamedTuple):
    """By node: what is asked (x[feature] <= threshold), the nodes that follow (a leaf's are itself), and what a leaf
    adds, a column a class."""

    feature: NDArray[Any]
    threshold: NDArray[Any]
    yes: NDArray[Any]
    no: NDArray[Any]
    value: NDArray[Any]


class _Trees(Arrays):
    """All trees walked at once, a level at a time; the sum of their leaves, plus `base`."""

    roots: Tensor
    feature: Tensor
    threshold: Tensor
    yes: Tensor
    no: Tensor
    value: Tensor
    base: Tensor

    def __init__(self, trees: Sequence[_Tree], base: Any) -> None:
        super().__init__()
        starts = np.cumsum([0, *(len(tree.feature) for tree in trees)])
        self.depth, self.trees = max(_depth(tree) for tree in trees), len(trees)
        self.keep(
            roots=starts[:-1],
            feature=np.concatenate([tree.feature for tree in trees]),
            threshold=np.concatenate([tree.threshold for tree in trees]),
            yes=np.concatenate([tree.yes + start for tree, start in zip(trees, starts[:-1], strict=True)]),
            no=np.concatenate([tree.no + start for tree, start in zip(trees, starts[:-1], strict=True)]),
            value=np.concatenate([tree.value for tree in trees]),
            base=np.atleast_1d(np.asarray(base, np.float64)),
        )

    def forward(self, rows: Tensor) -> Tensor:
        # the first questions are the same for every row; a root that is a leaf is followed by itself
        asked = rows.index_select(1, self.feature[self.roots])
        below = asked <= self.threshold[self.roots]
        node = torch.where(below, self.yes[self.roots], self.no[self.roots])
        for _ in range(self.depth - 1):
            asked = torch.gather(rows, 1, self._of(self.feature, node))
            below = asked <= self._of(self.threshold, node)
            node = torch.where(below, self._of(self.yes, node), self._of(self.no, node))
        leaves = self.value.index_select(0, node.reshape(-1)).reshape(-1, self.trees, self.value.shape[1])
        return leaves.sum(dim=1) + self.base

    def _of(self, values: Tensor, node: Tensor) -> Tensor:
        return values.index_select(0, node.reshape(-1)).reshape(-1, self.trees)


class _Boosted(nn.Module):
    def __init__(self, trees: _Trees) -> None:
        super().__init__()
        self.trees = trees

    def forward(self, rows: Tensor) -> Tensor:
        return shares(self.trees(rows))


def _between(low: Tensor, rows: Tensor, high: Tensor) -> Tensor:
    """Each column within its own bounds."""
    return torch.where(rows < low, low, torch.where(rows > high, high, rows))


def _depth(tree: _Tree) -> int:
    """Questions on the longest way to a leaf."""
    level, depth = {0}, 0
    while level := {
        int(after) for node in level if tree.yes[node] != node for after in (tree.yes[node], tree.no[node])
    }:
        depth += 1
    return depth


# --- from what was fitted --------------------------------------------------------------------------------


def _scaled(pipeline: Any, answers: Callable[[Any], nn.Module]) -> nn.Module:
    scaler, last = (step for _, step in pipeline.steps)
    return Scaled(scaler.mean_, scaler.scale_, answers(last))


def _logistic(pipeline: Any) -> nn.Module:
    return _scaled(pipeline, lambda one: _Layers([one.coef_.T], [one.intercept_]))


def _perceptron(pipeline: Any) -> nn.Module:
    return _scaled(pipeline, lambda one: _Layers(one.coefs_, one.intercepts_))


def _machines(calibrated: Any) -> nn.Module:
    several = []
    for one in calibrated.calibrated_classifiers_:
        several.append(_scaled(one.estimator.pipeline_, partial(_Support, sigmoids=one.calibrators)))
    return _Mean(several)


def _neighbours(pipeline: Any) -> nn.Module:
    scaler, last = (step for _, step in pipeline.steps)
    return _Neighbours(scaler, last)


def _forest(forest: Any) -> nn.Module:
    trees = []
    for estimator in forest.estimators_:
        tree = estimator.tree_
        own, leaf = np.arange(tree.node_count), tree.children_left < 0
        shares = tree.value[:, 0, :] / tree.value[:, 0, :].sum(axis=1, keepdims=True)
        near = tree.threshold.astype(np.float32)
        # of features in float32, "at most this" in float64 is "at most the next float32 below"
        near = np.where(near > tree.threshold, np.nextafter(near, np.float32(-np.inf)), near)
        trees.append(
            _Tree(
                np.where(leaf, 0, tree.feature), near, np.where(leaf, own, tree.children_left),
                np.where(leaf, own, tree.children_right), shares / len(forest.estimators_),
            )
        )  # fmt: skip
    return _Trees(trees, 0.0)


def _boosted(classifier: Any) -> nn.Module:
    learner = json.loads(bytes(classifier.get_booster().save_raw("json")))["learner"]
    model = learner["gradient_booster"]["model"]
    columns = max(1, int(learner["learner_model_param"]["num_class"]))
    trees = []
    for written, column in zip(model["trees"], model["tree_info"], strict=True):
        left, right = (np.array(written[f"{side}_children"]) for side in ("left", "right"))
        own, leaf = np.arange(len(left)), left < 0
        conditions = np.array(written["split_conditions"], np.float32)
        value = np.zeros((len(left), columns))
        value[leaf, column] = conditions[leaf]
        below = np.nextafter(conditions, np.float32(-np.inf))  # it asks for less, not for at most
        trees.append(
            _Tree(
                np.where(leaf, 0, written["split_indices"]), below, np.where(leaf, own, left),
                np.where(leaf, own, right), value,
            )
        )  # fmt: skip
    base = np.array(json.loads(learner["learner_model_param"]["base_score"]), np.float64)
    return _Boosted(_Trees(trees, np.log(base / (1 - base)) if columns == 1 else base))


_KINDS: dict[str, Callable[[Any], nn.Module]] = {
    "logistic_regression": _logistic,
    "svm": _machines,
    "knn": _neighbours,
    "random_forest": _forest,
    "naive_bayes": _Gaussian,
    "gradient_boosting": _boosted,
    "mlp": _perceptron,
}

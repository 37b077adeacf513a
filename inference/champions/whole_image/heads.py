"""Fitted heads as modules of arrays, so that network and head are one graph: N×d features → N×K probabilities.

What scikit-learn and XGBoost compute in float64 is computed in float32 here; an export compares every prediction.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from inference.blocks.heads.head import Head
from inference.champions.whole_image.refusals import ExportError

#: Standard deviations, and ranges of what a neighbour's head learned from: nothing is farther away. Answers are settled
#: long before, and sums of float32 stay exact enough for two libraries to agree about noise.
_FAR, _FAR_RANGES = 50.0, 10.0


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
    return _InOrder(
        answers, [list(map(str, head.classes_)).index(c) if c in head.classes_ else -1 for c in classes]
    )


class _Arrays(nn.Module):
    """A module of fixed numbers."""

    def keep(self, **arrays: Any) -> None:
        """Floats as parameters that nobody trains, whole numbers as buffers."""
        for name, values in arrays.items():
            array = np.asarray(values)
            if np.issubdtype(array.dtype, np.integer):
                self.register_buffer(name, torch.from_numpy(array.astype(np.int64)))
            else:
                value = torch.from_numpy(array.astype(np.float32))
                self.register_parameter(name, nn.Parameter(value, requires_grad=False))


class _InOrder(nn.Module):
    """Probabilities by other columns; −1 is a column of zeros."""

    def __init__(self, answers: nn.Module, columns: list[int]) -> None:
        super().__init__()
        self.answers, self.columns = answers, columns

    def forward(self, rows: Tensor) -> Tensor:
        said = self.answers(rows)
        zero = torch.zeros_like(said[:, :1])
        return torch.cat([zero if n < 0 else said[:, n : n + 1] for n in self.columns], dim=1)


class _Scaled(_Arrays):
    mean: Tensor
    scale: Tensor

    def __init__(self, scaler: Any, answers: nn.Module) -> None:
        super().__init__()
        self.keep(mean=scaler.mean_, scale=scaler.scale_)
        self.answers = answers

    def forward(self, rows: Tensor) -> Tensor:
        said: Tensor = self.answers(((rows - self.mean) / self.scale).clamp(-_FAR, _FAR))
        return said


class _Layers(_Arrays):
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
        return _shares(rows)


class _Gaussian(_Arrays):
    mean: Tensor
    precision: Tensor
    constant: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, bayes: Any) -> None:
        super().__init__()
        constant = np.log(bayes.class_prior_) - 0.5 * np.log(2 * np.pi * bayes.var_).sum(axis=1)
        far = _FAR * np.sqrt(bayes.var_)
        self.keep(
            mean=bayes.theta_, precision=0.5 / bayes.var_, constant=constant,
            low=(bayes.theta_ - far).min(axis=0), high=(bayes.theta_ + far).max(axis=0),
        )  # fmt: skip

    def forward(self, rows: Tensor) -> Tensor:
        apart = _between(self.low, rows, self.high)[:, None, :] - self.mean
        return torch.softmax(self.constant - (apart * apart * self.precision).sum(dim=2), dim=1)


class _Support(_Arrays):
    """A support vector machine under Platt's sigmoid: of two classes one, of more one for each pair, whose votes are
    counted as scikit-learn does (`decision_function_shape="ovr"`) and judged by a sigmoid a class."""

    vectors: Tensor
    weights: Tensor
    intercept: Tensor
    lengths: Tensor
    slopes: Tensor
    offsets: Tensor

    def __init__(self, machine: Any, sigmoids: Sequence[Any]) -> None:
        super().__init__()
        self.kernel, self.degree = machine.kernel, int(machine.degree)
        self.gamma, self.coef0 = float(machine._gamma), float(machine.coef0)
        self.classes = len(machine.classes_)
        self.pairs = list(combinations(range(self.classes), 2))
        self.keep(
            vectors=machine.support_vectors_.T, weights=_of_pairs(machine, self.pairs), intercept=machine.intercept_,
            lengths=(machine.support_vectors_**2).sum(axis=1),
            slopes=[float(each.a_) for each in sigmoids], offsets=[float(each.b_) for each in sigmoids],
        )  # fmt: skip

    def forward(self, rows: Tensor) -> Tensor:
        inner = rows @ self.vectors
        if self.kernel == "rbf":
            apart = (rows * rows).sum(dim=1, keepdim=True) - 2 * inner + self.lengths
            inner = torch.exp(-self.gamma * torch.relu(apart))
        elif self.kernel == "poly":
            base = inner = self.gamma * inner + self.coef0
            for _ in range(self.degree - 1):
                inner = inner * base
        elif self.kernel == "sigmoid":
            inner = torch.tanh(self.gamma * inner + self.coef0)
        decisions = inner @ self.weights + self.intercept
        if self.classes == 2:
            return _shares(-(self.slopes * decisions + self.offsets))
        chances = torch.sigmoid(-(self.slopes * self._counted(decisions) + self.offsets))
        return chances / chances.sum(dim=1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)

    def _counted(self, decisions: Tensor) -> Tensor:
        """N×pairs, above 0 for the first of a pair → N×K: votes, and a third at most for how sure they are."""
        votes = [torch.zeros_like(decisions[:, 0]) for _ in range(self.classes)]
        sure = list(votes)
        for number, (first, second) in enumerate(self.pairs):
            said = decisions[:, number]
            against = (said < 0).to(said.dtype)
            votes[first] = votes[first] + 1 - against
            votes[second] = votes[second] + against
            sure[first], sure[second] = sure[first] + said, sure[second] - said
        together = torch.stack(sure, dim=1)
        return torch.stack(votes, dim=1) + together / (3 * (together.abs() + 1))


class _Neighbours(_Arrays):
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


class _Trees(_Arrays):
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
        return _shares(self.trees(rows))


def _between(low: Tensor, rows: Tensor, high: Tensor) -> Tensor:
    """Each column within its own bounds."""
    return torch.where(rows < low, low, torch.where(rows > high, high, rows))


def _shares(scores: Tensor) -> Tensor:
    """N×1 log-odds of the second of two classes, or N×K scores, as probabilities."""
    if scores.shape[1] > 1:
        return torch.softmax(scores, dim=1)
    # 1 - p would lose a small one's digits, and so does ONNX Runtime's sigmoid
    odds = scores.clamp(-80, 80).exp()
    return torch.cat([1 / (1 + odds), 1 / (1 + 1 / odds)], dim=1)


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
    return _Scaled(scaler, answers(last))


def _logistic(pipeline: Any) -> nn.Module:
    return _scaled(pipeline, lambda one: _Layers([one.coef_.T], [one.intercept_]))


def _perceptron(pipeline: Any) -> nn.Module:
    return _scaled(pipeline, lambda one: _Layers(one.coefs_, one.intercepts_))


def _machines(calibrated: Any) -> nn.Module:
    several = []
    for one in calibrated.calibrated_classifiers_:
        several.append(_scaled(one.estimator.pipeline_, partial(_Support, sigmoids=one.calibrators)))
    return _Mean(several)


def _of_pairs(machine: Any, pairs: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
    """Support vectors × pairs: what each adds to the decision of each pair of classes (libsvm keeps, of a vector of one
    class, a coefficient against each of the others)."""
    ends = np.cumsum([0, *machine.n_support_])
    weights = np.zeros((int(ends[-1]), len(pairs)))
    for number, (first, second) in enumerate(pairs):
        one, other = slice(ends[first], ends[first + 1]), slice(ends[second], ends[second + 1])
        weights[one, number] = machine.dual_coef_[second - 1, one]
        weights[other, number] = machine.dual_coef_[first, other]
    return weights


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

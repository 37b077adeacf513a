"""Modules of fixed numbers: what was fitted elsewhere, as parts of a graph."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

#: Standard deviations: nothing is farther away, so that no square of noise overflows float32. A channel that hardly
#: ever answered while a head was fitted is thousands of them away where it answers: the head has to see how far.
FAR = 1e6


class Arrays(nn.Module):
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


class InOrder(nn.Module):
    """Probabilities by other columns; −1 is a column of zeros."""

    def __init__(self, answers: nn.Module, columns: list[int]) -> None:
        super().__init__()
        self.answers, self.columns = answers, columns

    def forward(self, rows: Tensor) -> Tensor:
        said = self.answers(rows)
        zero = torch.zeros_like(said[:, :1])
        return torch.cat([zero if n < 0 else said[:, n : n + 1] for n in self.columns], dim=1)


def in_order(answers: nn.Module, known: Any, classes: Sequence[str]) -> nn.Module:
    """Columns by the order of `classes` instead of `known`, 0 for a class that is not there."""
    names = [str(name) for name in known]
    return InOrder(answers, [names.index(name) if name in names else -1 for name in classes])


class Scaled(Arrays):
    """Columns (the last dimension) brought to their standard deviations before the answer."""

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: Any, scale: Any, answers: nn.Module) -> None:
        super().__init__()
        self.keep(mean=mean, scale=scale)
        self.answers = answers

    def forward(self, rows: Tensor) -> Tensor:
        said: Tensor = self.answers(((rows - self.mean) / self.scale).clamp(-FAR, FAR))
        return said


class Machine(Arrays):
    """A support vector machine: N×d → the decision of each pair of classes, above 0 for the first (of two classes: one,
    above 0 for the second, as scikit-learn has it)."""

    vectors: Tensor
    weights: Tensor
    intercept: Tensor
    lengths: Tensor

    def __init__(self, machine: Any) -> None:
        super().__init__()
        self.kernel, self.degree = machine.kernel, int(machine.degree)
        self.gamma, self.coef0 = float(machine._gamma), float(machine.coef0)
        self.pairs = list(combinations(range(len(machine.classes_)), 2))
        self.keep(
            vectors=machine.support_vectors_.T, weights=_of_pairs(machine, self.pairs), intercept=machine.intercept_,
            lengths=(machine.support_vectors_**2).sum(axis=1),
        )  # fmt: skip

    def forward(self, rows: Tensor) -> Tensor:
        inner = rows @ self.vectors
        if self.kernel == "rbf":
            apart = (rows * rows).sum(dim=-1, keepdim=True) - 2 * inner + self.lengths
            inner = torch.exp(-self.gamma * torch.relu(apart))
        elif self.kernel == "poly":
            most = 1e30 ** (1 / max(1, self.degree))
            base = inner = (self.gamma * inner + self.coef0).clamp(-most, most)
            for _ in range(self.degree - 1):
                inner = inner * base
        elif self.kernel == "sigmoid":
            inner = torch.tanh(self.gamma * inner + self.coef0)
        return inner @ self.weights + self.intercept


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


def shares(scores: Tensor) -> Tensor:
    """N×1 log-odds of the second of two classes, or N×K scores, as probabilities."""
    if scores.shape[1] > 1:
        return torch.softmax(scores, dim=1)
    # 1 - p would lose a small one's digits, and so does ONNX Runtime's sigmoid
    odds = scores.clamp(-80, 80).exp()
    return torch.cat([1 / (1 + odds), 1 / (1 + 1 / odds)], dim=1)

"""From scores to probabilities one may read as such. What is fitted is fitted in `inference.evaluation.calibration`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


Real = TypeVar("Real", bound=np.floating[Any])


def sigmoid(logits: NDArray[Real]) -> NDArray[Real]:
    """Probabilities of logits of any shape, without overflow, in the dtype of `logits`."""
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -30, 30))), logits.dtype)


@dataclass(frozen=True)
class Platt:
    """p = sigmoid(slope · score + offset) (Platt 1999)."""

    slope: float
    offset: float

    def __call__(self, score: float) -> float:
        return float(sigmoid(np.asarray(self.slope * score + self.offset, np.float64)))


def softmax(logits: Floats) -> Floats:
    """Along the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True), np.float64)

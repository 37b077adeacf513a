"""What every selector of features has in common: it ranks or picks columns in `fit`, and drops the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from inference.blocks.learned import NotFitted, Rows, checked_rows, groups_seen

Numbers = NDArray[np.intp]


class Selector(TransformerMixin, BaseEstimator):
    """`support_`: bool of length d, True for the columns kept. Constant columns are never kept, except by
    `none`.

    Parameters are those of the subclass; `_pick` answers with the kept columns' indices.
    """

    def fit(self, rows: Any, labels: Any, groups: Sequence[Any] | None = None) -> Self:
        """Raises `ValueError` for rows that do not go with labels, or that are all alike."""
        table, classes = checked_rows(rows, labels)
        numbers = np.unique(classes, return_inverse=True)[1]
        varying = np.flatnonzero(np.ptp(table, axis=0) > 0)
        if not varying.size:
            raise ValueError("there is nothing to select: every column is constant")
        self.support_ = np.zeros(table.shape[1], bool)
        self.support_[varying[self._pick(table[:, varying], numbers, groups)]] = True
        self.fitted_on = groups_seen(groups)
        return self

    def transform(self, rows: Any) -> Rows:
        """N×d → N×kept."""
        if not hasattr(self, "support_"):
            raise NotFitted(f"{type(self).__name__} has not been fitted")
        return np.asarray(np.asarray(rows, np.float64)[:, self.support_], np.float64)

    def kept(self, names: Sequence[str]) -> tuple[str, ...]:
        """Of the columns' names, those that stay."""
        return tuple(name for name, stays in zip(names, self.support_, strict=True) if stays)

    def _pick(self, rows: Rows, numbers: Numbers, groups: Sequence[Any] | None) -> Numbers:
        raise NotImplementedError

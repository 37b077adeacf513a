"""What every block that learns shares: the record of the groups it saw, and folds inside its training fold.

A block learns in `fit(…, groups=…)` only. `fitted_on` then names every group that it saw, so that a runner
can refuse to predict one of them; it is None before `fit`, and None where `fit` was given no groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]
Fold = tuple[NDArray[np.intp], NDArray[np.intp]]


class Plain(Protocol):
    """A block that can be made again where nothing is learned: what it learned as plain numbers and lists, which name
    nobody that it learned from."""

    def plain(self) -> dict[str, Any]:
        """Of a fitted block."""

    def take(self, learned: dict[str, Any], /) -> Self:
        """What `plain` gave, laid into a block of the same parameters.

        Raises
        ------
        LookupError, TypeError, ValueError
            Other numbers than those of such a block.
        """


class NotFitted(Exception):
    """A block that learns was used before `fit`; the sentence names it."""


def groups_seen(groups: Sequence[Any] | None) -> frozenset[str] | None:
    """The value of `fitted_on` for these groups, one a row or an image."""
    return None if groups is None else frozenset(str(group) for group in groups)


def checked_rows(rows: Any, labels: Any) -> tuple[Rows, NDArray[Any]]:
    """`rows` N×d as float64 and `labels` N as an array.

    Raises
    ------
    ValueError
        Shapes that do not agree, or values that are not finite.
    """
    table, classes = np.asarray(rows, np.float64), np.asarray(labels)
    if table.ndim != 2 or len(table) != len(classes):
        raise ValueError(f"{table.shape} rows do not go with {classes.shape} labels")
    if not np.isfinite(table).all():
        column = int(np.flatnonzero(~np.isfinite(table).all(axis=0))[0])
        raise ValueError(f"column {column} of the rows holds values that are not finite")
    return table, classes


def inner_folds(labels: Any, groups: Sequence[Any] | None, folds: int, seed: int) -> list[Fold]:
    """Up to `folds` pairs of (train, held out) indices; groups whole, every class in every training part.

    Without groups every row is a group of its own. Fewer folds come back where a class has few groups, and
    none where some class has a single one.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    classes = np.asarray(labels)
    names = np.arange(len(classes)) if groups is None else np.asarray([str(group) for group in groups])
    scarcest = min(len(np.unique(names[classes == label])) for label in np.unique(classes))
    for number in range(min(folds, scarcest), 1, -1):
        dealer = StratifiedGroupKFold(number, shuffle=True, random_state=seed)
        pairs = [(inside, outside) for inside, outside in dealer.split(names, classes, names)]
        if all(np.isin(classes, classes[inside]).all() for inside, _ in pairs):
            return pairs
    return []

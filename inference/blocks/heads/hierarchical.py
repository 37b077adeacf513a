"""Two levels: first the branch (benign or malignant), then the subtype within it, as in [34]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

from inference.blocks.learned import NotFitted, Rows, checked_rows, groups_seen
from inference.blocks.registry import UnknownBlock, block, build


@dataclass(frozen=True)
class LevelAccuracies:
    """Shares of right answers. `conditional` judges each branch's second level on that branch's own rows, as
    if the first level were always right, which is what the literature quotes; `end_to_end` is what a user
    gets."""

    first_level: float
    conditional: dict[str, float]
    end_to_end: float


@block("head", "hierarchical")
class Hierarchical(ClassifierMixin, BaseEstimator):
    """`branches` maps each branch to its labels. P(label) = P(branch) · P(label | branch): rows add up to 1.

    `first` and `second` name the heads of the levels with their settings, `{svm: {C: 10}}` or `svm`.
    A branch of one label, or with rows of one label only, needs no second head. A small branch has neighbours of its
    own number at most (`Head`).
    """

    def __init__(
        self,
        branches: dict[str, list[str]],
        first: str | dict[str, dict[str, Any]] = "svm",
        second: str | dict[str, dict[str, Any]] = "svm",
        seed: int = 0,
    ) -> None:
        self.branches = branches
        self.first = first
        self.second = second
        self.seed = seed

    def check_classes(self, classes: Sequence[str]) -> None:
        """Raises `ValueError` for a label in no branch or in two, and for heads that are none."""
        for spec in (self.first, self.second):
            self._head(spec)
        listed = [label for members in self.branches.values() for label in members]
        if len(set(listed)) != len(listed):
            raise ValueError("hierarchical: a label stands in two branches")
        if strange := sorted(set(classes) - set(listed)):
            raise ValueError(f"hierarchical: {strange[0]!r} stands in no branch")
        if sum(any(label in classes for label in members) for members in self.branches.values()) < 2:
            raise ValueError(
                "hierarchical: the classes stand in one branch, so there is nothing to choose first"
            )

    def fit(self, rows: Any, labels: Any, groups: Sequence[Any] | None = None) -> Self:
        """Raises `ValueError` for a label in no branch or in two, and where only one branch has rows."""
        table, given = checked_rows(rows, labels)
        names = [str(label) for label in given]
        self.check_classes(names)
        branch_of = {label: name for name, members in self.branches.items() for label in members}
        leaves, branch = np.asarray(names), np.asarray([branch_of[name] for name in names])
        self.classes_ = np.unique(leaves)
        self.first_ = self._head(self.first).fit(table, branch, groups)
        self.second_: dict[str, Any] = {}
        for name in np.unique(branch):
            own = np.flatnonzero(branch == name)
            inside = np.unique(leaves[own])
            some = None if groups is None else [groups[int(i)] for i in own]
            self.second_[str(name)] = (
                str(inside[0])
                if len(inside) == 1
                else self._head(self.second).fit(table[own], leaves[own], some)
            )
        self.fitted_on = groups_seen(groups)
        return self

    def branch_proba(self, rows: Any) -> tuple[tuple[str, ...], Rows]:
        """The branches, and N×branches of the first level."""
        if not hasattr(self, "first_"):
            raise NotFitted("hierarchical has not been fitted")
        return tuple(str(name) for name in self.first_.classes_), self.first_.predict_proba(rows)

    def conditional_proba(self, rows: Any, branch: str) -> Rows:
        """N×K given that the branch is the true one; nought for labels of other branches."""
        table = np.asarray(rows, np.float64)
        given = np.zeros((len(table), len(self.classes_)))
        second = self.second_[branch]
        if isinstance(second, str):
            given[:, np.flatnonzero(self.classes_ == second)[0]] = 1.0
        else:
            given[:, np.searchsorted(self.classes_, second.classes_)] = second.predict_proba(table)
        return given

    def predict_proba(self, rows: Any) -> Rows:
        """End to end, N×K in the order of `classes_`."""
        branches, chances = self.branch_proba(rows)
        total = np.zeros((len(chances), len(self.classes_)))
        for column, branch in enumerate(branches):
            total += chances[:, [column]] * self.conditional_proba(rows, branch)
        return total

    def predict(self, rows: Any) -> NDArray[Any]:
        return np.asarray(self.classes_[self.predict_proba(rows).argmax(axis=1)])

    def accuracies(self, rows: Any, labels: Any) -> LevelAccuracies:
        """Both levels on held-out rows, conditional and end to end."""
        table, given = checked_rows(rows, labels)
        leaves = np.asarray([str(label) for label in given])
        branch_of = {label: name for name, members in self.branches.items() for label in members}
        branch = np.asarray([branch_of[leaf] for leaf in leaves])
        names, chances = self.branch_proba(table)
        conditional = {}
        for name in names:
            own = np.flatnonzero(branch == name)
            if own.size:
                guess = self.classes_[self.conditional_proba(table[own], name).argmax(axis=1)]
                conditional[name] = float((guess == leaves[own]).mean())
        return LevelAccuracies(
            first_level=float((np.asarray(names)[chances.argmax(axis=1)] == branch).mean()),
            conditional=conditional,
            end_to_end=float((self.predict(table) == leaves).mean()),
        )

    def _head(self, spec: str | dict[str, dict[str, Any]]) -> Any:
        name, settings = (spec, {}) if isinstance(spec, str) else next(iter(spec.items()))
        try:
            made = build("head", name, **{"seed": self.seed, **(settings or {})})
        except (UnknownBlock, TypeError) as error:
            raise ValueError(f"hierarchical: {error}") from None
        if isinstance(made, Hierarchical):
            raise ValueError(f"hierarchical: {name} cannot be the head of a level")
        return made

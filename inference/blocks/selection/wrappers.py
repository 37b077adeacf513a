"""Wrappers: a metaheuristic looks for the subset of columns with which a classifier does best inside the
fold.

The worth of a subset is the balanced accuracy over inner folds, which keep groups whole, minus a price for
each column ([38], [51], [63]). The held-out part of the outer fold is never seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.metrics import balanced_accuracy_score

from inference.blocks.learned import Rows, inner_folds
from inference.blocks.parameters import BlockError, make
from inference.blocks.registry import UnknownBlock, block, build
from inference.blocks.selection.selector import Numbers, Selector
from inference.blocks.swarm import Agents, Iterations, Method, maximise


@block("select", "genetic")
@block("select", "differential_evolution")
@block("select", "grasshopper")
@block("select", "grey_wolf")
@block("select", "marine_predators")
@block("select", "shell_game")
class Wrapper(Selector):
    """The columns with which a classifier does best, as the metaheuristic of this name finds them.

    `genetic`: Bit-mask chromosomes and tournaments, as in [38] (Reshma 2022).
    `differential_evolution`: Binary differential evolution; [63]'s "reformed" variant (Jabeen 2022) is not public.
    `grasshopper`: Binary grasshopper optimisation, as in [51] (Sha 2020).
    `grey_wolf`: Binary grey wolf optimisation; [63]'s "reformed" variant (Jabeen 2022) is not public.
    `marine_predators`: Binary marine predators with opposition, the optimiser of [52] (Houssein 2022).
    `shell_game`: Binary shell game optimisation, the optimiser of [53] (Kavitha 2022).

    `price` is what keeping all columns costs in balanced accuracy; one of d columns costs `price` / d. `head` names the
    classifier, with its settings in `head_settings`.
    """

    def __init__(
        self,
        name: Method,
        head: str = "knn",
        head_settings: dict[str, Any] | None = None,
        price: float = 0.05,
        agents: Agents = 12,
        iterations: Iterations = 15,
        folds: int = 3,
        seed: int = 0,
    ) -> None:
        self.name = name
        self.head = head
        self.head_settings = head_settings
        self.price = price
        self.agents = agents
        self.iterations = iterations
        self.folds = folds
        self.seed = seed

    def check_classes(self, classes: Sequence[str]) -> None:
        """Raises `ValueError` where `head` with its settings is none."""
        try:
            build("head", self.head, **(self.head_settings or {}))
        except (UnknownBlock, TypeError) as error:
            raise ValueError(f"{self.name}: {error}") from None

    def _pick(self, rows: Rows, numbers: Numbers, groups: Sequence[Any] | None) -> Numbers:
        pairs = inner_folds(numbers, groups, self.folds, self.seed)
        if not pairs:
            raise ValueError(
                f"{self.name}: a class has a single group, so there are no inner folds to judge by"
            )
        rng = np.random.default_rng(self.seed)
        known: dict[bytes, float] = {}

        def worth(bits: NDArray[np.bool_]) -> float:
            key = bits.tobytes()
            if key not in known:
                known[key] = self._accuracy(rows[:, bits], numbers, groups, pairs) if bits.any() else 0.0
                known[key] -= self.price * float(bits.mean())
            return known[key]

        def score(point: NDArray[np.float64]) -> float:
            # A chromosome's genes are its bits; a swarm's place becomes bits by the usual transfer.
            if self.name == "genetic":
                return worth(point > 0.5)
            return worth(rng.random(point.size) < expit(10 * (point - 0.5)))

        maximise(self.name, score, rows.shape[1], agents=self.agents, iterations=self.iterations, rng=rng)
        best = max(known, key=lambda key: known[key])
        self.worth_ = known[best]
        self.asked_ = len(known)
        return np.flatnonzero(np.frombuffer(best, bool))

    def _accuracy(
        self,
        rows: Rows,
        numbers: Numbers,
        groups: Sequence[Any] | None,
        pairs: Sequence[tuple[Numbers, Numbers]],
    ) -> float:
        scores = []
        for inside, outside in pairs:
            head = build("head", self.head, **(self.head_settings or {}))
            head.fit(rows[inside], numbers[inside], None if groups is None else [groups[i] for i in inside])
            scores.append(balanced_accuracy_score(numbers[outside], head.predict(rows[outside])))
        return float(np.mean(scores))


@block("select", "fused")
class Fused(Selector):
    """Two selections made one after the other on the same columns, and fused ([63]).

    `first` and `second` are written as in a recipe: a block of this family with its parameters. A column that both
    keep is certain (1), one that a single selection keeps is worth `alone`; those of at least `threshold` stay. So
    `threshold` 0.5 with `alone` 0.5 is the union, above that the intersection.
    """

    def __init__(
        self,
        first: str | dict[str, dict[str, Any]] = "differential_evolution",
        second: str | dict[str, dict[str, Any]] = "grey_wolf",
        alone: float = 0.5,
        threshold: float = 0.5,
        seed: int = 0,
    ) -> None:
        self.first = first
        self.second = second
        self.alone = alone
        self.threshold = threshold
        self.seed = seed

    def check_classes(self, classes: Sequence[str]) -> None:
        """Raises `ValueError` where one of the two is no selection."""
        for spec in (self.first, self.second):
            made = self._selector(spec)
            if hasattr(made, "check_classes"):
                made.check_classes(classes)

    def _pick(self, rows: Rows, numbers: Numbers, groups: Sequence[Any] | None) -> Numbers:
        kept = [
            self._selector(spec).fit(rows, numbers, groups).support_ for spec in (self.first, self.second)
        ]
        certain = np.where(kept[0] & kept[1], 1.0, np.where(kept[0] | kept[1], self.alone, 0.0))
        chosen = np.flatnonzero(certain >= max(self.threshold, 1e-12))
        # two selections that agree in nothing have no intersection: what one of them keeps is then all there is
        return chosen if chosen.size else np.flatnonzero(kept[0] | kept[1])

    def _selector(self, spec: str | dict[str, dict[str, Any]]) -> Selector:
        name, settings = (spec, {}) if isinstance(spec, str) else next(iter(spec.items()))
        try:
            made = make("select", name, settings or {}, seed=self.seed)
        except BlockError as error:
            raise ValueError(f"fused: {error}") from None
        assert isinstance(made, Selector)
        return made

"""Ways to choose settings by asking for their score. Blocks of the family `search`: `f(axes, score, seed)`.

A search asks for a setting once: what it has asked for is remembered.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, product
from math import gcd, prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inference.blocks.registry import block
from inference.blocks.swarm import Agents, Iterations, Method, maximise

if TYPE_CHECKING:
    import optuna

Settings = dict[str, Any]
Axes = dict[str, tuple[Any, ...]]
Score = Callable[[Settings], float]
Search = Callable[[Axes, Score, int], Settings]
#: Of a grid that is larger, a fitted surface is looked at in so many points, drawn by seed.
_MOST = 20_000


def _points(axes: Axes) -> list[Settings]:
    return [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]


def _setting(axes: Axes, places: tuple[int, ...]) -> Settings:
    return {name: values[place] for (name, values), place in zip(axes.items(), places, strict=True)}


class _Asked:
    """The score of a setting by its places on the axes; `best` is the first of the best."""

    def __init__(self, axes: Axes, score: Score) -> None:
        self.axes = axes
        self.score = score
        self.known: dict[tuple[int, ...], float] = {}

    def __call__(self, places: tuple[int, ...]) -> float:
        if places not in self.known:
            self.known[places] = self.score(_setting(self.axes, places))
        return self.known[places]

    def best(self) -> Settings:
        return _setting(self.axes, max(self.known, key=lambda places: self.known[places]))


@block("search", "grid")
def grid() -> Search:
    """Every combination; the first of the best."""
    return lambda axes, score, seed: max(_points(axes), key=score)


@block("search", "random")
def random(budget: int = 8) -> Search:
    """`budget` different combinations, drawn by the run's seed."""

    def search(axes: Axes, score: Score, seed: int) -> Settings:
        points = _points(axes)
        order = np.random.default_rng(seed).permutation(len(points))[:budget]
        return max((points[int(index)] for index in order), key=score)

    return search


@block("search", "genetic")
@block("search", "differential_evolution")
@block("search", "grasshopper")
@block("search", "grey_wolf")
@block("search", "marine_predators")
@block("search", "shell_game")
def swarm(name: Method, agents: Agents = 6, iterations: Iterations = 4) -> Search:
    """The metaheuristic of this name, in a unit cube whose coordinates are places on the axes.

    `genetic`: A genetic algorithm with tournaments, crossover, mutation and an elite, as in [62] (Balaha 2022).
    `differential_evolution`: Differential evolution (Storn and Price 1997).
    `grasshopper`: Grasshopper optimisation (Saremi 2017), as in [51] (Sha 2020).
    `grey_wolf`: Grey wolf optimisation (Mirjalili 2014).
    `marine_predators`: Marine predators (Faramarzi 2020) with opposition-based learning, as in [52] (Houssein 2022).
    `shell_game`: Shell game optimisation (Dehghani 2020), as in [53] (Kavitha 2022).
    """

    def search(axes: Axes, score: Score, seed: int) -> Settings:
        asked = _Asked(axes, score)
        sizes = np.array([len(values) for values in axes.values()])

        def height(point: NDArray[np.float64]) -> float:
            places = np.minimum((point * sizes).astype(int), sizes - 1)
            return asked(tuple(int(place) for place in places))

        rng = np.random.default_rng(seed)
        maximise(name, height, len(axes), agents=agents, iterations=iterations, rng=rng)
        return asked.best()

    return search


@block("search", "tpe")
def tpe(budget: int = 12, start: int = 4) -> Search:
    """A tree-structured Parzen estimator (Bergstra 2011, multivariate as in Falkner 2018), that of `optuna`.

    After `start` settings drawn by chance it asks for what the good ones speak for, until `budget` settings were asked.
    Axes of numbers are taken in their order, all others as categories.
    """
    if not 1 < start <= budget:
        raise ValueError(f"a budget of {budget} after a start of {start} searches nothing")

    def search(axes: Axes, score: Score, seed: int) -> Settings:
        import optuna

        # Else each study and each trial writes a line.
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        asked = _Asked(axes, score)
        rng = np.random.default_rng(seed)
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=start)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        while len(asked.known) < min(budget, prod(len(values) for values in axes.values())):
            trial = study.ask()
            places = tuple(_suggested(trial, name, values) for name, values in axes.items())
            if places in asked.known:  # all that looks good is known: chance goes elsewhere
                study.enqueue_trial({name: int(rng.integers(len(values))) for name, values in axes.items()})
            study.tell(trial, asked(places))
        return asked.best()

    return search


def _suggested(trial: optuna.Trial, name: str, values: tuple[Any, ...]) -> int:
    """The place on an axis that the trial is to take."""
    ordered = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if ordered:
        return trial.suggest_int(name, 0, len(values) - 1)
    return trial.suggest_categorical(name, range(len(values)))


# --- uniform design --------------------------------------------------------------------------------------


@block("search", "uniform_design")
def uniform_design(runs: int = 12) -> Search:
    """A uniform design table of `runs` settings, a quadratic surface fitted to their scores, its maximum confirmed by
    a run of its own ([32], Lin and Jeng 2020). The best of all that was asked for is taken."""
    if runs < 2:
        raise ValueError(f"a surface is not fitted to {runs} runs")

    def search(axes: Axes, score: Score, seed: int) -> Settings:
        asked = _Asked(axes, score)
        sizes = [len(values) for values in axes.values()]
        table = uniform_table(runs, len(axes))
        rows = [
            tuple(min(int(u * size), size - 1) for u, size in zip(row, sizes, strict=True)) for row in table
        ]
        heights = np.array([asked(row) for row in rows])
        weights = _surface(_levels(rows, sizes), heights)
        candidates = _candidates(sizes, seed)
        predicted = _quadratic(_levels(candidates, sizes)) @ weights
        asked(candidates[int(predicted.argmax())])
        return asked.best()

    return search


def uniform_table(runs: int, factors: int) -> NDArray[np.float64]:
    """`runs`×`factors` in (0, 1): good lattice points of `runs` + 1 without the last, by the powers of the generator
    whose table has the smallest centred L2 discrepancy (Fang and Wang 1994)."""
    from scipy.stats.qmc import discrepancy

    modulus = runs + 1
    rows = np.arange(1, modulus)[:, None]
    tables = []
    for generator in (number for number in range(1, modulus) if gcd(number, modulus) == 1):
        powers = np.array([pow(generator, power, modulus) for power in range(factors)])
        tables.append(((rows * powers) % modulus - 0.5) / runs)
    return min(tables, key=lambda table: float(discrepancy(np.clip(table, 0, 1), method="CD")))


def _levels(rows: list[tuple[int, ...]], sizes: list[int]) -> NDArray[np.float64]:
    """Places on the axes as numbers in −1 … 1."""
    return np.asarray(2 * np.array(rows, np.float64) / np.maximum(np.array(sizes) - 1, 1) - 1, np.float64)


def _quadratic(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """One, the factors, their squares and their products."""
    products = [levels[:, i] * levels[:, j] for i, j in combinations(range(levels.shape[1]), 2)]
    return np.column_stack([np.ones(len(levels)), levels, levels**2, *products])


def _surface(levels: NDArray[np.float64], heights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least squares with a small ridge: a table has fewer runs than a quadratic surface of many factors has terms."""
    terms = _quadratic(levels)
    ridge = 1e-2 * np.eye(terms.shape[1])
    ridge[0, 0] = 0.0
    return np.asarray(np.linalg.solve(terms.T @ terms + ridge, terms.T @ heights), np.float64)


def _candidates(sizes: list[int], seed: int) -> list[tuple[int, ...]]:
    if prod(sizes) <= _MOST:
        return list(product(*(range(size) for size in sizes)))
    drawn = np.random.default_rng(seed).integers(0, sizes, (_MOST, len(sizes)))
    return [tuple(int(place) for place in row) for row in drawn]

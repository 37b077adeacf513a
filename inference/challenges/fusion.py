"""Several sources of one patient, any of them missing: each source has a reader of its own, and what is there is fused.

A source's reader gives log-odds. Of patients with all sources it is learned, class by class, how the log-odds lie and
hang together (a normal distribution with one covariance); of a subset the joint distribution of that subset alone is
asked. One fit serves every subset, none needs numbers made up for what is missing, and two sources that say the same
are not believed twice, as adding up log-odds does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

from inference.challenges.chart import Chart, Line
from inference.challenges.cohort import Cohort, auc
from inference.challenges.probe import Scale, probabilities
from inference.challenges.report import ChallengeError, Figure, Table

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True)
class Sources:
    """N patients' rows by source, their truth and their groups; `weights` of each source's reader (its C)."""

    rows: Mapping[str, Floats]
    truth: Booleans
    groups: tuple[str, ...]
    weights: Mapping[str, float]

    def take(self, chosen: NDArray[np.int64]) -> Sources:
        """Some of the patients."""
        return Sources(
            {name: rows[chosen] for name, rows in self.rows.items()}, self.truth[chosen],
            tuple(self.groups[i] for i in chosen), self.weights,
        )  # fmt: skip


@dataclass(frozen=True)
class Fuser:
    """How log-odds lie: means by class 2×S, their common covariance S×S, and the share of positives."""

    means: Floats
    covariance: Floats
    positive: float

    @classmethod
    def of(cls, odds: Floats, truth: Booleans) -> Fuser:
        """From log-odds N×S of patients whom the readers have not learned from."""
        means = np.stack([odds[~truth].mean(axis=0), odds[truth].mean(axis=0)])
        rest = odds - means[truth.astype(int)]
        covariance = rest.T @ rest / max(len(odds) - 2, 1)
        return cls(means, covariance + 1e-6 * np.eye(odds.shape[1]), float(truth.mean()))

    def __call__(self, odds: Floats, there: Sequence[int]) -> Floats:
        """Log-odds of the positive class from the sources `there` alone; the prior's where none is."""
        prior = math.log(self.positive / (1 - self.positive))
        if not there:
            return np.full(len(odds), prior)
        own = list(there)
        low, high = self.means[0, own], self.means[1, own]
        direction = np.linalg.solve(self.covariance[np.ix_(own, own)], high - low)
        return np.asarray((odds[:, own] - (low + high) / 2) @ direction + prior)


@dataclass(frozen=True)
class Subset:
    """What some sources are worth together: AUC fused and by adding up log-odds, the difference (paired), and the best
    that can be had where the truth is known."""

    sources: tuple[str, ...]
    fused: Figure
    added: Figure
    gain: Figure
    best: float | None


def subsets(names: Sequence[str]) -> list[tuple[int, ...]]:
    """All 2^S of them, the empty one first."""
    return [chosen for size in range(len(names) + 1) for chosen in combinations(range(len(names)), size)]


def fuse(
    asked: Sources, counts: NDArray[np.int16], folds: int = 5, seed: int = 0,
    best: Mapping[tuple[int, ...], float] | None = None,
) -> list[Subset]:  # fmt: skip
    """Every subset, judged on patients that neither readers nor fuser have seen.

    The fuser learns from log-odds that the readers gave out of inner folds: what they say of patients whom they have
    learned from is surer than what they will say.

    Raises
    ------
    ChallengeError
        There are too few groups for so many folds.
    """
    names = list(asked.rows)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    fused = {chosen: np.zeros(len(asked.truth)) for chosen in subsets(names)}
    added = {chosen: np.zeros(len(asked.truth)) for chosen in subsets(names)}
    try:
        parts = list(splitter.split(asked.truth, asked.truth, asked.groups))
        for train, held in parts:
            inside = asked.take(train)
            fuser = Fuser.of(_out_of_fold(inside), inside.truth)
            odds = np.stack([_odds(inside, name, asked.rows[name][held]) for name in names], axis=1)
            for chosen in fused:
                fused[chosen][held] = fuser(odds, chosen)
                added[chosen][held] = odds[:, list(chosen)].sum(axis=1)
    except ValueError as error:
        raise ChallengeError(f"{folds} folds: {error}") from None
    found = []
    for chosen in fused:
        if not chosen:
            half = Figure(0.5, 0.5, 0.5)
            found.append(Subset((), half, half, Figure(0.0, 0.0, 0.0), 0.5 if best else None))
            continue
        ours, theirs = auc(asked.truth, fused[chosen], counts), auc(asked.truth, added[chosen], counts)
        gap = ours - theirs
        found.append(
            Subset(
                tuple(names[i] for i in chosen), Figure.of(float(ours[0]), ours[1:]),
                Figure.of(float(theirs[0]), theirs[1:]), Figure.of(float(gap[0]), gap[1:]),
                best[chosen] if best else None,
            )
        )  # fmt: skip
    return found


def _odds(inside: Sources, name: str, asked: Floats) -> Floats:
    scale = Scale.of(inside.rows[name])
    said = probabilities(scale(inside.rows[name]), inside.truth, scale(asked), inside.weights[name])
    said = np.clip(said, 1e-6, 1 - 1e-6)
    return np.log(said / (1 - said))


def _out_of_fold(inside: Sources) -> Floats:
    odds = np.zeros((len(inside.truth), len(inside.rows)))
    for train, held in GroupKFold(3).split(inside.truth, inside.truth, inside.groups):
        part = inside.take(train)
        for column, name in enumerate(inside.rows):
            odds[held, column] = _odds(part, name, inside.rows[name][held])
    return odds


# --- a cohort whose truth is known ---------------------------------------------------------------------------

#: Mammogram, ultrasound, clinical and genomic facts: numbers a source, and how far the classes lie apart in each
#: number in units of its spread. A source alone reaches an AUC of 0.75, 0.79, 0.66 and 0.71.
GENERATED = {"mammogram": (6, 0.39), "ultrasound": (6, 0.47), "clinical": (4, 0.29), "genomic": (8, 0.28)}
#: Correlation of any two numbers of different imaging sources: they look at the same breast.
_SHARED = 0.12


def generated(patients: int, seed: int = 0) -> tuple[Sources, dict[tuple[int, ...], float]]:
    """A cohort drawn from normal distributions, and the AUC that nobody can exceed, for every subset of the sources.

    With means apart by δ and a common covariance Σ the best score is linear, and its AUC Φ(√(δ' Σ⁻¹ δ / 2)) (Bayes'
    rule; Su and Liu 1993), of a subset with its own part of δ and Σ.
    """
    names, sizes = list(GENERATED), [size for size, _ in GENERATED.values()]
    owner = np.repeat(np.arange(len(names)), sizes)
    apart = np.repeat([gap for _, gap in GENERATED.values()], sizes)
    imaging = owner < 2
    covariance = np.eye(len(owner)) + _SHARED * ((owner[:, None] != owner) & imaging[:, None] & imaging[None])
    generator = np.random.default_rng(seed)
    truth = np.arange(patients) % 3 == 0
    rows = generator.multivariate_normal(np.zeros(len(owner)), covariance, size=patients)
    rows += truth[:, None] * apart
    best = {}
    for chosen in subsets(names):
        own = np.isin(owner, chosen)
        distance = apart[own] @ np.linalg.solve(covariance[np.ix_(own, own)], apart[own])
        best[chosen] = float(norm.cdf(math.sqrt(distance / 2)))
    parts = {name: rows[:, owner == number] for number, name in enumerate(names)}
    return Sources(parts, truth, tuple(map(str, range(patients))), dict.fromkeys(names, 1.0)), best


def of_busbra(asked: Cohort) -> Sources:
    """Of BUS-BRA's images what the set allows: the image, the radiologist's BI-RADS, the lesion's measures.

    Raises
    ------
    ChallengeError
        No image has both a category and a box.
    """
    chosen = np.array([i for i, s in enumerate(asked.samples) if s.birads and s.boxes])
    if not len(chosen):
        raise ChallengeError("no image has a BI-RADS category and a box: nothing can be fused")
    kept = asked.take(chosen)
    category = np.array([[float(sample.birads or 0)] for sample in kept.samples])
    measures = []
    for sample in kept.samples:
        x0, y0, x1, y1 = sample.boxes[0]
        measures.append([math.log(x1 - x0), math.log(y1 - y0), math.log((y1 - y0) / (x1 - x0))])
    rows = {"image": kept.rows, "BI-RADS": category, "measures": np.array(measures)}
    return Sources(rows, kept.truth, kept.groups, {"image": 0.01, "BI-RADS": 1.0, "measures": 1.0})


def table(found: Sequence[Subset]) -> Table:
    """A row a subset."""
    return Table(
        "subsets", "AUC by what is there",
        ("sources", "fused", "log-odds added", "fused minus added", "best possible"),
        [(_words(one), one.fused, one.added, one.gain, None if one.best is None else round(one.best, 4))
         for one in found],
    )  # fmt: skip


def chart(found: Sequence[Subset]) -> Chart:
    """Subsets in the table's order, fused, and the best that can be had where it is known."""
    lines = [
        Line("fused", [(float(n), s.fused.value, s.fused.low, s.fused.high) for n, s in enumerate(found)])
    ]
    if found[0].best is not None:
        lines.append(Line("best possible", [(float(n), s.best or 0.0, s.best or 0.0, s.best or 0.0)
                                            for n, s in enumerate(found)]))  # fmt: skip
    ticks = [(float(n), str(n)) for n in range(len(found))]
    return Chart("subsets", "What is there, fused", "row of the table, from 0", "AUC", lines, ticks)


def _words(one: Subset) -> str:
    return " + ".join(one.sources) or "nothing"

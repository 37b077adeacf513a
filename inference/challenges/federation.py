"""Learning together without putting patients together: FedAvg, FedProx and SCAFFOLD over sites that are processes.

Each site holds its patients' rows in a process of its own (`site.py`); what crosses is sums (for one common scale) and
weights. Beside them stand each site alone and all patients pooled, each the minimum of the same loss on what it has,
judged on the same held-out patients of all sites. McMahan 2017 (FedAvg), Li 2020 (FedProx), Karimireddy 2020 (SCAFFOLD,
option II).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from inference.challenges.chart import Chart, Line
from inference.challenges.cohort import Cohort, auc, mean_known
from inference.challenges.probe import Scale
from inference.challenges.report import ChallengeError, Figure, Table
from inference.challenges.site import gradient
from inference.challenges.wire import Message, receive, send

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Plan:
    """Rounds, and the steps of a site within one. `pull` and `controlled` make FedProx and SCAFFOLD of FedAvg."""

    rounds: int = 30
    epochs: int = 2
    batch: int = 32
    rate: float = 0.01
    decay: float = 0.1
    pull: float = 0.0
    controlled: bool = False


#: Methods by name. FedProx's pull is of the order that its paper found best.
METHODS: dict[str, dict[str, Any]] = {
    "FedAvg": {},
    "FedProx": {"pull": 1.0},
    "SCAFFOLD": {"controlled": True},
}


class Together(ABC):
    """The coordinator's side of every method; who the sites are says a subclass."""

    @abstractmethod
    def ask(self, message: Message) -> list[Message]:
        """The same of all sites; their answers in their order."""

    def common_scale(self) -> tuple[Floats, Floats]:
        """Mean and spread of each feature over all sites, from their sums; every site scales by them from now on."""
        told = self.ask({"kind": np.array("moments")})
        count = sum(float(one["count"]) for one in told)
        middle = np.sum([one["sum"] for one in told], axis=0) / count
        squares = np.sum([one["squares"] for one in told], axis=0) / count
        spread = np.sqrt(np.maximum(squares - middle**2, 1e-12))
        self.ask({"kind": np.array("scale"), "middle": middle, "spread": spread})
        return np.asarray(middle, np.float64), np.asarray(spread, np.float64)

    def learn(self, plan: Plan, features: int) -> Floats:
        """Weights C+1, the offset last, after the plan's rounds: each site counts by its patients' images."""
        self.ask({"kind": np.array("begin")})
        weights, control = np.zeros(features + 1), np.zeros(features + 1)
        for _ in range(plan.rounds):
            asked: Message = {
                "kind": np.array("learn"), "weights": weights, "rate": np.array(plan.rate),
                "epochs": np.array(plan.epochs), "batch": np.array(plan.batch), "decay": np.array(plan.decay),
                "pull": np.array(plan.pull),
            }  # fmt: skip
            if plan.controlled:
                asked["control"] = control
            told = self.ask(asked)
            shares = np.array([float(one["count"]) for one in told])
            shares /= shares.sum()
            weights = weights + sum(share * one["change"] for share, one in zip(shares, told, strict=True))
            if plan.controlled:
                control = control + sum(s * one["control"] for s, one in zip(shares, told, strict=True))
        return np.asarray(weights, np.float64)


class Federation(Together):
    """So many site processes over rows and truth of each; a context, at whose end they are gone."""

    def __init__(self, parts: Sequence[tuple[Floats, NDArray[np.bool_]]], seed: int = 0) -> None:
        self._parts, self._seed = parts, seed
        self._folder = tempfile.TemporaryDirectory(prefix="federation-")
        self._sites: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Federation:
        # one thread a site: five share the machine, as five hospitals would not
        alone = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        for number, (rows, truth) in enumerate(self._parts):
            file = Path(self._folder.name) / f"site-{number}.npz"
            np.savez(file, rows=rows, truth=truth, seed=np.array(self._seed * 1000 + number))
            self._sites.append(
                subprocess.Popen(
                    [sys.executable, "-m", "inference.challenges.site", str(file)],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=alone,
                    cwd=Path(__file__).parents[2],
                )
            )  # fmt: skip
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for site in self._sites:
            assert site.stdin is not None and site.stdout is not None
            try:
                site.stdin.close()
            except BrokenPipeError:  # it is gone already
                pass
            try:
                site.wait(timeout=10)
            except subprocess.TimeoutExpired:
                site.kill()
                site.wait()
            site.stdout.close()
        self._folder.cleanup()

    @property
    def processes(self) -> list[int]:
        """The sites' process ids."""
        return [site.pid for site in self._sites]

    def ask(self, message: Message) -> list[Message]:
        """The same of all sites, at the same time; their answers in their order.

        Raises
        ------
        ChallengeError
            A site has gone.
        """
        found = []
        try:
            for site in self._sites:
                assert site.stdin is not None
                send(site.stdin, message)
        except BrokenPipeError:
            pass  # its answer is missing, too: that is where it is named
        for number, site in enumerate(self._sites):
            assert site.stdout is not None
            answer = receive(site.stdout)
            if answer is None:
                raise ChallengeError(f"site {number + 1} has gone: the federation cannot go on without it")
            found.append(answer)
        return found


@dataclass(frozen=True)
class Outcome:
    """How a way of learning does on all sites' held-out patients; minus pooled and minus the sites alone (paired).

    `within`: the mean of the AUCs within each site's held-out patients, which asks nothing about scores of different
    scanners being comparable."""

    way: str
    auc: Figure
    within: Figure
    against_pooled: Figure
    against_alone: Figure


def sites_of(asked: Cohort, number: int) -> list[tuple[str, NDArray[np.int64]]]:
    """So many sites: collections divided by scanner, then the largest halved by its groups, again and again.

    Raises
    ------
    ChallengeError
        There are more scanners than sites, or too few groups to divide.
    """
    named: dict[str, list[int]] = {}
    for index, sample in enumerate(asked.samples):
        named.setdefault(f"{sample.dataset} {sample.extra.get('device', '')}".strip(), []).append(index)
    if len(named) > number:
        raise ChallengeError(f"{len(named)} scanners cannot be {number} sites: {', '.join(named)}")
    found = [(name, np.array(own)) for name, own in named.items()]
    while len(found) < number:
        largest = max(range(len(found)), key=lambda site: len(found[site][1]))
        name, own = found.pop(largest)
        groups = sorted({asked.groups[i] for i in own})
        first = set(groups[::2])
        if len(groups) < 2:
            raise ChallengeError(f"{name} has too few patients to be divided into sites")
        halves = [np.array([i for i in own if (asked.groups[i] in first) is side]) for side in (True, False)]
        found += [(f"{name} {letter}", half) for letter, half in zip("ab", halves, strict=True)]
    return sorted(found)


def compare(
    asked: Cohort, sites: Sequence[tuple[str, NDArray[np.int64]]], plan: Plan, folds: int = 3, seed: int = 0
) -> list[Outcome]:
    """Each way on the same held-out patients, fold by fold; `alone` is the mean of the sites' AUCs on all of them.

    Raises
    ------
    ChallengeError
        A fold lacks a class, or a site has gone.
    """
    counts = asked.counts(seed)
    values: dict[str, list[Floats]] = {}
    inner: dict[str, list[Floats]] = {}
    for train, held in asked.folds(folds, seed):
        inside = set(train.tolist())
        parts = [np.array([i for i in own if i in inside]) for _, own in sites]
        if any(not len(own) for own in parts):
            raise ChallengeError(f"{folds} folds leave a site without patients to learn from; take fewer")
        with Federation([(asked.rows[own], asked.truth[own]) for own in parts], seed) as together:
            said = _said(together, asked.rows[held], plan)
        single = {f"alone: {name}": own for (name, _), own in zip(sites, parts, strict=True)}
        for way, own in {**single, "pooled": np.concatenate(parts)}.items():
            said[way] = _best(asked.rows[own], asked.truth[own], asked.rows[held], plan.decay)
        site_of = np.array([next(k for k, (_, own) in enumerate(sites) if i in own) for i in held])
        for way, scores in said.items():
            values.setdefault(way, []).append(auc(asked.truth[held], scores, counts[:, held]))
            of_sites = [
                auc(asked.truth[held[here]], scores[here], counts[:, held[here]])
                for k in range(len(sites))
                for here in [np.flatnonzero(site_of == k)]
                if len(set(asked.truth[held[here]])) == 2
            ]
            inner.setdefault(way, []).append(mean_known(np.stack(of_sites)))
    whole = {way: mean_known(np.stack(own)) for way, own in values.items()}
    within = {way: mean_known(np.stack(own)) for way, own in inner.items()}
    for found in (whole, within):
        found["sites alone, mean"] = np.mean(
            [v for way, v in found.items() if way.startswith("alone: ")], axis=0
        )

    def figure(draws: Floats) -> Figure:
        return Figure.of(float(draws[0]), draws[1:])

    return [
        Outcome(
            way,
            figure(own),
            figure(within[way]),
            figure(own - whole["pooled"]),
            figure(own - whole["sites alone, mean"]),
        )
        for way, own in whole.items()
    ]


def _said(together: Together, rows: Floats, plan: Plan) -> dict[str, Floats]:
    """What each method learns, asked about `rows`."""
    middle, spread = together.common_scale()
    scaled = (rows - middle) / spread
    found = {}
    for way, more in METHODS.items():
        weights = together.learn(replace(plan, **more), scaled.shape[1])
        found[way] = np.asarray(scaled @ weights[:-1] + weights[-1], np.float64)
    return found


def _best(rows: Floats, truth: NDArray[np.bool_], asked: Floats, decay: float) -> Floats:
    """What the minimum of the same loss on `rows` says: whoever needs nobody's help may go on until nothing moves."""
    scale = Scale.of(rows)
    weights = optimum(scale(rows), truth, decay)
    return np.asarray(scale(asked) @ weights[:-1] + weights[-1], np.float64)


def optimum(rows: Floats, truth: NDArray[np.bool_], decay: float) -> Floats:
    """The weights C+1 of the least mean logistic loss with `decay` / 2 of their squares, the offset's aside."""
    known = truth.astype(np.float64)
    with_one = np.concatenate([rows, np.ones((len(rows), 1))], axis=1)

    def loss(weights: Floats) -> tuple[float, Floats]:
        odds = with_one @ weights
        mean = float((np.logaddexp(0.0, odds) - known * odds).mean() + decay / 2 * (weights[:-1] ** 2).sum())
        return mean, gradient(weights, with_one, known, decay)

    start = np.zeros(with_one.shape[1])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 2000, "gtol": 1e-8})
    return np.asarray(found.x, np.float64)


def tables(
    found: Sequence[Outcome], asked: Cohort, sites: Sequence[tuple[str, NDArray[np.int64]]]
) -> list[Table]:
    """The sites, and a row a way of learning."""
    return [
        Table("sites", "Sites, a process each", ("site", "images", "patients", "positive images"),
              [(name, len(own), len({asked.groups[i] for i in own}), int(asked.truth[own].sum()))
               for name, own in sites]),
        Table("ways", "AUC an image on the held-out patients of all sites",
              ("way", "AUC", "mean AUC within a site", "minus pooled", "minus sites alone"),
              [(one.way, one.auc, one.within, one.against_pooled, one.against_alone) for one in found]),
    ]  # fmt: skip


def chart(found: Sequence[Outcome]) -> Chart:
    """A point a way, numbered as in the table."""
    line = Line("AUC", [(float(n + 1), o.auc.value, o.auc.low, o.auc.high) for n, o in enumerate(found)])
    ticks = [(float(n + 1), str(n + 1)) for n in range(len(found))]
    return Chart("federation", "Learning together, apart", "row of the table", "AUC an image", [line], ticks)

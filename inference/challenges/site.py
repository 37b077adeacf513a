"""A site of a federation, a process of its own: it reads its patients' rows from its own file, and answers the
coordinator with sums and weights alone.

    python -m inference.challenges.site FILE.npz

Messages go over stdin and stdout: a length, then an archive of arrays (`wire`). No message holds a patient's row.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from inference.challenges.wire import Message, receive, send

Floats = NDArray[np.float64]


class Site:
    """Rows N×C and truth N of one site, and its control variate (Karimireddy 2020)."""

    def __init__(self, rows: Floats, truth: NDArray[np.bool_], seed: int) -> None:
        self._plain, self._truth, self._seed = rows, truth.astype(np.float64), seed
        self._rows = _with_one(rows)
        self._own = np.zeros(rows.shape[1] + 1)
        self._round = 0

    def answer(self, asked: Message) -> Message:
        """What the coordinator gets for what it asked."""
        kind = str(asked["kind"])
        if kind == "moments":
            return {
                "count": np.array(float(len(self._plain))),
                "sum": self._plain.sum(axis=0),
                "squares": (self._plain**2).sum(axis=0),
            }
        if kind == "scale":
            self._rows = _with_one((self._plain - asked["middle"]) / asked["spread"])
            return {}
        if kind == "begin":
            self._own, self._round = np.zeros(self._rows.shape[1]), 0
            return {}
        if kind == "learn":
            return self._learn(asked)
        raise ValueError(f"a site cannot answer {kind!r}")

    def _learn(self, asked: Message) -> Message:
        """Stochastic gradient steps from the coordinator's weights; `pull` towards them (FedProx), `control` of all
        sites where the site's own is to be corrected by it (SCAFFOLD, option II)."""
        begin, rate = asked["weights"], float(asked["rate"])
        epochs, batch = int(asked["epochs"]), int(asked["batch"])
        decay, pull, control = float(asked["decay"]), float(asked["pull"]), asked.get("control")
        weights, steps = begin.copy(), 0
        # the order follows from site and round alone, so that methods see the same batches
        generator = np.random.default_rng([self._seed, self._round])
        self._round += 1
        correction = 0.0 if control is None else control - self._own
        for _ in range(epochs):
            order = generator.permutation(len(self._rows))
            for start in range(0, len(order), batch):
                chosen = order[start : start + batch]
                slope = gradient(weights, self._rows[chosen], self._truth[chosen], decay)
                weights -= rate * (slope + pull * (weights - begin) + correction)
                steps += 1
        told: Message = {"change": weights - begin, "count": np.array(float(len(self._rows)))}
        if control is not None:
            new = self._own - control + (begin - weights) / (steps * rate)
            told["control"] = new - self._own
            self._own = new
        return told


def gradient(weights: Floats, rows: Floats, truth: Floats, decay: float) -> Floats:
    """Of the mean logistic loss with `decay` / 2 of the squared weights, the last of which is the offset and free."""
    said = 1 / (1 + np.exp(-np.clip(rows @ weights, -30, 30)))
    slope = rows.T @ (said - truth) / len(rows)
    slope[:-1] += decay * weights[:-1]
    return np.asarray(slope)


def _with_one(rows: Floats) -> Floats:
    return np.concatenate([rows, np.ones((len(rows), 1))], axis=1)


def serve(file: Path, asked: IO[bytes], told: IO[bytes]) -> None:
    """Answer until the coordinator hangs up."""
    with np.load(file, allow_pickle=False) as archive:
        site = Site(archive["rows"], archive["truth"], int(archive["seed"]))
    while (message := receive(asked)) is not None:
        send(told, site.answer(message))


if __name__ == "__main__":
    serve(Path(sys.argv[1]), sys.stdin.buffer, sys.stdout.buffer)

"""A recipe's search: settings of dotted keys chosen by grouped folds inside the training part."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np

from inference.blocks.parameters import make
from inference.recipes.protocol import inner
from inference.recipes.provenance import Fitted, Rows, fit
from inference.recipes.schema import Search

Settings = dict[str, Any]


def searched(
    search: Search, train: Rows, seed: int, judged: Callable[[Settings, Rows, Rows, str, int], float]
) -> Fitted[Settings]:
    """The settings that do best, stamped like everything learned.

    Parameters
    ----------
    judged
        `judged(settings, inside, outside, name, number)`: how well a pipeline of these settings, fitted on the rows
        `inside`, does on `outside`. `name` is that of the settings, `number` that of the fold.
    """

    def score(settings: Settings) -> float:
        name = hashlib.sha256(repr(sorted(settings.items())).encode()).hexdigest()[:8]
        right = []
        for number in range(search.folds):
            inside, outside = inner(train.samples, search.folds, seed + number)
            right.append(judged(settings, train.take(inside), train.take(outside), name, number))
        return float(np.mean(right))

    method = make("search", search.method.name, search.method.parameters)
    return fit("search", lambda _: method(dict(search.over), score, seed), train)

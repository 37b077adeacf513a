"""The heat map of a whole section against its labels: the pointing game row by row, and the area under ROC."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from inference.evaluation import metrics
from inference.evaluation.bootstrap import DRAWS, draw_counts, evaluate, interval, of_all
from inference.evaluation.records import Record
from inference.explain.measure import Measured, Outcome
from inference.explain.pointing import POINTING


def rows_pointed(records: Sequence[Record], positive: str) -> list[Outcome]:
    """One outcome for each row of fields that holds both labels: whether its hottest field is positive (the
    share of them where several are equally hot). `records`: `inference.evaluation.measuring.mosaic_records`."""
    rows: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        rows[record.group].append(record)
    outcomes = []
    for name, fields in rows.items():
        truth = np.array([field.label == positive for field in fields])
        if truth.all() or not truth.any():
            continue
        heat = np.array([field.probabilities[positive] for field in fields])
        outcomes.append(
            Outcome(
                f"{POINTING}, rows of a slide", "served map", name, name,
                float(truth[heat >= heat.max()].mean()), float(truth.mean()),
            )
        )  # fmt: skip
    return outcomes


def area_under_roc(records: Sequence[Record], positive: str, seed: int = 0) -> Measured:
    """Of the fields' heat against their labels; the interval is over rows of fields.

    Raises
    ------
    ValueError
        No fields.
    """
    truth = np.array([record.label == positive for record in records])
    heat = np.array([record.probabilities[positive] for record in records], np.float64)
    groups = [record.group for record in records]
    statistic = metrics.auc(truth, heat)
    low, high = interval(evaluate(statistic, draw_counts(groups, [r.label for r in records], DRAWS, seed)))
    value = of_all(statistic, len(records))
    return Measured(
        "area under ROC, fields of a slide", "served map", len(records), len(set(groups)), round(value, 4),
        round(low, 4), round(high, 4), 0.5,
    )  # fmt: skip

"""The files of a version's folder that say how good it is: figures, plots and card, written from its records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from inference.evaluation import plots
from inference.evaluation.account import read_account
from inference.evaluation.card import CARD, card_text
from inference.evaluation.results import Results, results_on_record

METRICS = "metrics.json"
EXPLANATION = "explanation.json"
LATENCY = "latency.json"
ROBUSTNESS = "robustness.json"


def measured_elsewhere(path: Path) -> dict[str, Any] | None:
    """What another part of the laboratory measured and left beside the weights; None where it did not.

    Raises
    ------
    ValueError
        No JSON object.
    """
    if not path.is_file():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{path.parent.parent.name}/{path.parent.name}/{path.name} is no JSON object")
    return content


def write_results(folder: Path) -> Results:
    """Write `metrics.json`, `plots/*.svg` and `card.md` of a model's folder anew, from `manifest.json`,
    `predictions.csv`, `protocol.json` and, where they are there, `explanation.json`, `latency.json` and
    `robustness.json`.
    The same files give the same bytes.

    Raises
    ------
    StoreError, RecordsError, AccountError
        One of the first three is missing or damaged.
    """
    found = results_on_record(folder)
    drawn = plots.plots(found.manifest, found.records)
    plots.write_plots(folder, drawn)
    text = json.dumps(found.as_json(), indent=2, ensure_ascii=False)
    (folder / METRICS).write_text(text + "\n", encoding="utf-8")
    explained, latency, robust = (
        measured_elsewhere(folder / name) for name in (EXPLANATION, LATENCY, ROBUSTNESS)
    )
    card = card_text(found, read_account(folder), drawn, explained, latency, robust)
    (folder / CARD).write_text(card, encoding="utf-8")
    return found

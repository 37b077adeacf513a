"""A stored run as one small file: what `docs/reproductions/` is made of.

Runs lie outside the repository; of each that a page stands on, the figures, the curve, the table of confusions, the
digest of its recipe and its time are committed. `NAME.json` is the run with groups whole, `NAME.inflated.json` that of
the protocol `image_level`, which shows by how much such a split inflates the figure.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inference.evaluation import bootstrap, metrics
from inference.evaluation.comparison import common
from inference.evaluation.plots import roc
from inference.evaluation.records import PREDICTIONS, Record, read_records
from inference.recipes.part import digest_of_content
from inference.recipes.protocol import LEAKY
from inference.recipes.runfolder import GENERATED, SECONDS, RunError
from inference.recipes.runner import SHUFFLED

#: Corners of a curve that are kept, and bins of Dice.
_CORNERS, _BINS = 60, 10
#: Of a recipe what says something and does nothing: it can be mended without running it again.
WORDS = ("substitutions",)
#: The variant for the data at hand.
PORT = "port"
#: What ends the name of a file of the protocol `image_level`.
INFLATED = ".inflated"


def collected(run: Path) -> dict[str, Any]:
    """The content of the file of a finished run.

    Raises
    ------
    RunError
        It is not finished, a control, or of made-up pictures.
    """
    if not (run / "summary.json").is_file():
        raise RunError(f"{run} holds no finished run of a recipe")
    page: dict[str, Any] = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    if SHUFFLED in page["declared"]:
        raise RunError(f"{run}: {SHUFFLED}")
    if (run / GENERATED).is_dir() or "quick" in page["variants"]:
        raise RunError(f"{run}: a run of seconds, or of made-up pictures, says nothing of a method")
    for fold in page.get("clusters", ()):
        fold.pop("places")  # of every image: they stay with the run
    facts = json.loads((run / "run.json").read_text(encoding="utf-8"))
    recipe = json.loads((run / "recipe.json").read_text(encoding="utf-8"))
    task = recipe["task"]
    folds, made = _folds(run), predicted(run)
    return {
        **page,
        **_seconds(folds),
        "commit": facts["commit"],
        "without_words": digest_of_content(recipe, WORDS),
        **(
            _outlines(made)
            if task["kind"] == "segment"
            else _classes(made, task["classes"], task["positive"])
        ),
    }


def _folds(run: Path) -> list[Path]:
    return sorted(run.glob("fold-*"), key=lambda fold: int(fold.name.removeprefix("fold-")))


def predicted(run: Path) -> list[Record]:
    """What the folds of a run say of the images that each was judged on."""
    return [record for fold in _folds(run) for record in read_records(fold / PREDICTIONS)]


def added_by_the_split(leaky: Path, whole: Path, positive: str) -> dict[str, float] | None:
    """By how much the AUC of a class against the rest is higher where images are dealt one by one.

    Both runs' answers to the same images; the 95 % interval of the difference by drawing the groups that the other run
    kept whole.

    Returns
    -------
    dict or None
        `value`, `low`, `high`, `images` and `groups`; None where all images are of one truth.

    Raises
    ------
    RecordsError
        The runs have no image in common, or say another truth of one.
    """
    apart, together = common(predicted(whole), predicted(leaky))
    truth = np.array([record.label == positive for record in apart])
    if truth.all() or not truth.any():
        return None
    groups = [f"{record.dataset} {record.group}" for record in apart]
    counts = bootstrap.draw_counts(groups, [record.label for record in apart])
    aucs = [
        metrics.auc(truth, np.array([record.probabilities[positive] for record in made]))
        for made in (together, apart)
    ]
    low, high = bootstrap.interval(bootstrap.evaluate(aucs[0], counts) - bootstrap.evaluate(aucs[1], counts))
    inflated, honest = (bootstrap.of_all(auc, len(truth)) for auc in aucs)
    return {
        "value": round(inflated - honest, 4),
        "low": round(low, 4),
        "high": round(high, 4),
        "images": len(truth),
        "groups": len(set(groups)),
    }


def _seconds(folds: Sequence[Path]) -> dict[str, float]:
    """Processor time of all folds; nothing where a fold does not say."""
    files = [fold / SECONDS for fold in folds]
    if not all(file.is_file() for file in files):
        return {}
    return {
        "seconds": round(sum(json.loads(file.read_text(encoding="utf-8"))["processor"] for file in files))
    }


def _classes(made: Sequence[Record], classes: Sequence[str], positive: str) -> dict[str, Any]:
    truth = np.array([record.label == positive for record in made])
    scores = np.array([record.probabilities[positive] for record in made])
    corners = roc(truth, scores)
    kept = np.unique(np.linspace(0, len(corners) - 1, _CORNERS).round().astype(int))
    said = Counter((r.label, max(r.probabilities, key=lambda name: r.probabilities[name])) for r in made)
    return {
        "positive": positive,
        "roc": [[round(value, 4) for value in corners[number]] for number in kept],
        "confusion": {
            "classes": list(classes),
            "rows": [[said[truth, answer] for answer in classes] for truth in classes],
        },
    }


def _outlines(made: Sequence[Record]) -> dict[str, Any]:
    values = [record.dice for record in made if record.dice is not None]
    counts, _ = np.histogram(values, bins=_BINS, range=(0, 1))
    return {"dice_of_tenths": counts.tolist()}


def title_of(page: dict[str, Any]) -> str:
    """What a run is of: the recipe, and its variants beside that for the data at hand."""
    return "-".join((page["id"], *(name for name in page["variants"] if name != PORT)))


def name_of(page: dict[str, Any]) -> str:
    """The file's name."""
    return f"{title_of(page)}{INFLATED if page.get('leaky') == LEAKY else ''}.json"


def stored(folder: Path) -> list[tuple[dict[str, Any] | None, dict[str, Any] | None]]:
    """Every method's pair of runs, with groups whole and inflated, by the review's number."""
    names = sorted(
        {file.name.split(".")[0] for file in folder.glob("*.json") if file.stem not in (INDEX, QUICK)}
    )
    pairs = [(_read(folder / f"{name}.json"), _read(folder / f"{name}{INFLATED}.json")) for name in names]
    return sorted(pairs, key=lambda pair: (either(pair)["reference"], title_of(either(pair))))


def either(pair: tuple[dict[str, Any] | None, dict[str, Any] | None]) -> dict[str, Any]:
    """The run with groups whole, or else the other."""
    page = pair[0] or pair[1]
    assert page is not None
    return page


def _read(file: Path) -> dict[str, Any] | None:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def in_seconds(folder: Path) -> list[dict[str, Any]]:
    """What every recipe came to on made-up images (`quick_runs`), by the review's number."""
    found = _read(folder / f"{QUICK}.json") or {}
    return sorted(found.values(), key=lambda page: (page["reference"], page["id"]))


#: The file that holds the table, and that of the runs in seconds.
INDEX, QUICK = "reproductions", "quick"

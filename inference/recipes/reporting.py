"""From held-out predictions to figures with intervals over groups, and the page that puts the review's number
beside ours."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.blocks.overlap import dice
from inference.evaluation import metrics
from inference.evaluation.calibration import Perfect, perfect_calibration
from inference.evaluation.detection import components, mark_of
from inference.evaluation.figures import Figure, Measure, NotComputable, figure
from inference.evaluation.records import Record
from inference.recipes.pictures import Picture
from inference.recipes.protocol import LEAKY, is_leaky
from inference.recipes.provenance import Rows, held_out
from inference.recipes.runfolder import RunError
from inference.recipes.schema import Recipe


def records(recipe: Recipe, predicted: Rows, pictures: Rows, fold: int) -> list[Record]:
    """Predictions of record of one fold: only what passes `held_out` becomes a record.

    Raises
    ------
    LeakError
        A step has seen a sample, its group or its patient.
    RunError
        What was predicted is no number.
    """
    made = []
    for sample, value, picture in zip(
        held_out(predicted).samples, predicted.values, pictures.values, strict=True
    ):
        if not np.isfinite(np.asarray(value, np.float64)).all():
            raise RunError(f"{recipe.id}: what is predicted of {sample.id} is no number")
        outlined, detects = recipe.task.kind == "segment", recipe.task.kind == "detect"
        lesions, marks = located(recipe, sample.label, value, picture) if detects else (0, ())
        facts = {"patient": sample.extra.get("slide") or sample.patient_id or sample.group_id}
        made.append(
            Record(
                dataset=sample.dataset,
                image=sample.id,
                group=sample.group_id,
                label=sample.label,
                probabilities=probabilities_of(recipe, value),
                dice=dice(value, picture.mask) if outlined and picture.mask is not None else None,
                lesions=lesions,
                marks=marks,
                split="oof",
                fold=fold,
                facts=facts,
                flags=("image_level_leaky",) if is_leaky(recipe) else (),
            )
        )
    return made


def probabilities_of(recipe: Recipe, value: Any) -> dict[str, float]:
    """Of what a recipe predicts of an image: none of an outline; of boxes that of the surest."""
    task = recipe.task
    if task.kind == "segment":
        return {}
    if task.kind == "detect":
        surest = float(value[:, 4].max())
        return {name: surest if name == task.positive else 1 - surest for name in task.classes}
    return {name: float(p) for name, p in zip(task.classes, value, strict=True)}


def located(
    recipe: Recipe, label: str, boxes: Any, picture: Picture
) -> tuple[int, tuple[tuple[float, int], ...]]:
    """How many lesions are to be found in an image, and each box's score with the lesion that its middle lies in, 0 for
    none."""
    height, width = recipe.data.size
    lesions = np.zeros((height, width), np.int32)
    if label == recipe.task.positive and picture.mask is not None:
        lesions = components(picture.mask)
    made = []
    for x0, y0, x1, y1, score in boxes[boxes[:, 4] > 0]:
        mark = mark_of(0, score, (x0 * width, y0 * height, x1 * width, y1 * height), lesions)
        made.append((float(score), next(iter(mark.hits), 0)))
    return int(lesions.max()), tuple(made)


def by_patient(recipe: Recipe, made: Sequence[Record]) -> list[Record]:
    """One record a patient and fold, the mean of its images, where the recipe judges patients."""
    if recipe.task.level == "image":
        return list(made)
    own: dict[tuple[int | None, str, str], list[Record]] = defaultdict(list)
    for record in made:
        own[record.fold, record.facts["patient"], record.label].append(record)
    return [
        replace(
            images[0],
            image=patient,
            probabilities={
                name: float(np.mean([r.probabilities[name] for r in images]))
                for name in images[0].probabilities
            },
        )
        for (_, patient, _), images in own.items()
    ]


def figures(recipe: Recipe, made: Sequence[Record]) -> list[Figure]:
    """All that these records can give; what they cannot (a class is missing) is left out."""
    judged = by_patient(recipe, made)
    found = []
    for line, given in [
        *((line, judged) for line in _lines(recipe)),
        *((line, made) for line in _rates(recipe)),
    ]:
        try:
            found.append(figure(line, given))
        except NotComputable:
            continue
    return found


def _predicted(record: Record) -> str:
    return max(record.probabilities, key=lambda name: record.probabilities[name])


def _every(_: Record) -> bool:
    return True


def _lines(recipe: Recipe) -> list[Measure]:
    if recipe.task.kind == "segment":
        dice = Measure("dice", "mean Dice of the outlines", _every, lambda rs: metrics.mean(_dices(rs)))
        return [
            dice,
            Measure("iou", "mean intersection over union", _every, lambda rs: metrics.mean(_ious(rs))),
        ]
    positive, classes = recipe.task.positive, recipe.task.classes
    specificity = recipe.evaluate.specificity

    def truth(rs: Sequence[Record]) -> NDArray[np.bool_]:
        return np.array([r.label == positive for r in rs])

    def chance(rs: Sequence[Record]) -> NDArray[np.float64]:
        return np.array([r.probabilities[positive] for r in rs])

    marked = _marks() if recipe.task.kind == "detect" else []
    return [
        *marked,
        Measure("auc", f"{positive} against the rest", _every, lambda rs: metrics.auc(truth(rs), chance(rs))),
        Measure(
            "average_precision", f"of {positive}", _every,
            lambda rs: metrics.average_precision(truth(rs), chance(rs)),
        ),
        Measure("accuracy", "likeliest class is right", _every, hits=lambda r: _predicted(r) == r.label),
        Measure(
            "balanced_accuracy", "mean of the classes' recalls", _every,
            lambda rs: metrics.balanced_accuracy([r.label for r in rs], [_predicted(r) for r in rs], classes),
        ),
        Measure(
            f"sensitivity_at_{specificity:g}", f"to {positive} at that specificity", _every,
            lambda rs: metrics.sensitivity_at_specificity(truth(rs), chance(rs), specificity),
        ),
        Measure("brier", f"of {positive}", _every, lambda rs: metrics.brier(truth(rs), chance(rs))),
        Measure(
            "ece", "ten bins", _every, lambda rs: metrics.calibration_error(truth(rs), chance(rs)),
            perfect=lambda rs: perfect_calibration(truth(rs), chance(rs)),
        ),
    ]  # fmt: skip


def _marks() -> list[Measure]:
    def found(false_marks: Sequence[float], rs: Sequence[Record]) -> Any:
        return metrics.found_at([r.marks for r in rs], [r.lesions for r in rs], false_marks)

    return [
        Measure("lesions_found", "at one false mark an image", _every, partial(found, (1.0,))),
        Measure(
            "froc", "lesions found, mean over ¼, ½, 1, 2, 4 and 8 false marks an image", _every,
            partial(found, metrics.FROC_POINTS),
        ),
    ]  # fmt: skip


def _rates(recipe: Recipe) -> list[Measure]:
    """BreakHis' two rates, over images whatever the level."""
    if not recipe.evaluate.recognition_rates:
        return []
    return [
        Measure(
            "image_recognition_rate", "images whose class is right", _every,
            hits=lambda r: _predicted(r) == r.label,
        ),
        Measure(
            "patient_recognition_rate", "mean over slides of their images' rate (Spanhol 2016)", _every,
            lambda rs: metrics.mean_of_groups(
                np.array([_predicted(r) == r.label for r in rs]), [f"{r.fold} {r.facts['patient']}" for r in rs]
            ),
        ),
    ]  # fmt: skip


def _dices(rs: Sequence[Record]) -> NDArray[np.float64]:
    return np.array([np.nan if r.dice is None else r.dice for r in rs])


def _ious(rs: Sequence[Record]) -> NDArray[np.float64]:
    values = _dices(rs)
    return values / (2 - values)


def summary(
    recipe: Recipe, made: Sequence[Record], facts: dict[str, Any], declared: Sequence[str]
) -> dict[str, Any]:  # fmt: skip
    """`summary.json`."""
    measured = figures(recipe, made)
    ours = next((found for found in measured if found.name == recipe.expect.measure), None)
    return {
        "id": recipe.id,
        "reference": recipe.reference,
        "title": recipe.title,
        "hash": recipe.hash,
        **({"leaky": LEAKY} if is_leaky(recipe) else {}),
        **facts,
        "measure": recipe.expect.measure,
        "review_number": recipe.expect.review,
        "honest_number": None if ours is None else {"value": ours.value, "low": ours.low, "high": ours.high},
        "honest_goal": recipe.expect.honest_goal,
        "caveat_of_the_review": recipe.expect.caveat,
        "substitutions": list(recipe.substitutions),
        "declared": list(declared),
        "figures": [found.as_json() for found in measured],
    }


def as_text(page: dict[str, Any]) -> str:
    """The page for a terminal."""
    head = [
        f"[{page['reference']}] {page['title']}",
        f"recipe {page['id']} {page['hash'][:12]}, {page['dataset']}, {page['images']} images of "
        f"{page['groups']} groups, {page['folds']} folds, seed {page['seed']}",
    ]
    ours = page["honest_number"]
    theirs = "not stated" if page["review_number"] is None else f"{page['review_number']:.3f}"
    mine = "not computable" if ours is None else f"{ours['value']:.3f} ({ours['low']:.3f}–{ours['high']:.3f})"
    how = page.get("leaky", "group-disjoint")
    rows = [f"{page['measure']}: the review says {theirs}; held out, {how}: {mine}"]
    if page["caveat_of_the_review"]:
        rows.append(f"  why they differ: {page['caveat_of_the_review']}")
    rows += [
        f"  {found['name']:28} {found['value']:.3f} ({found['low']:.3f}–{found['high']:.3f})"
        + (f"; {Perfect(**found['perfect']).in_words}" if "perfect" in found else "")
        for found in page["figures"]
    ]
    rows += [
        f"  fold {number}: {found['clusters']} clusters of what the network sees; agreement with the classes "
        f"(adjusted Rand, 0 is chance) {found['adjusted_rand']:.2f}"
        for number, found in enumerate(page.get("clusters", ()), start=1)
    ]
    rows += [f"  substituted: {text}" for text in page["substitutions"]]
    rows += [f"  declared: {text}" for text in page["declared"]]
    return "\n".join((*head, *rows))

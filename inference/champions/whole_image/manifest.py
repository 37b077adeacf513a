"""What the manifest of an exported version says, and what of it is fitted on held-out images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.champions.plan import INTENDED_USE
from inference.champions.registry import recipe_of
from inference.champions.whole_image.network import served_by
from inference.champions.whole_image.refusals import ExportError
from inference.champions.whole_image.stated import sizes_of, stated
from inference.contract import OPERATING_POINTS, InputContract, ModalityCode, ModelManifest, WeightsFile
from inference.datasets.pixels import read_rgb
from inference.datasets.sample import Sample
from inference.evaluation.calibration import conformal_level, operating_points
from inference.evaluation.records import Record
from inference.recipes.pictures import Picture
from inference.recipes.pipeline import Pipeline
from inference.recipes.runner import Prepared
from inference.recipes.schema import Recipe, Task
from inference.runtime import quality
from inference.runtime.onnx_session import WEIGHTS
from inference.runtime.pipelines import WHOLE_IMAGE
from inference.runtime.whole_image import preprocessing
from inference.runtime.whole_image.pipeline import COLOUR, OUTLINE_LEVEL, OUTLINED, statistics
from inference.training.export import parameter_count, preprocessing_sha256

#: Widening of the range of colour beyond its quarter: a grey set has no spread at all.
_LEAST_COLOUR = 0.06


def look_of(sample: Sample, picture: Picture, recipe: Recipe) -> dict[str, float]:
    """What serving's gate looks at."""
    canvas = picture.image
    for size in sizes_of(recipe):
        canvas = preprocessing.stretched(canvas, size)
    return statistics(canvas, quality.colourfulness(read_rgb(sample.path)))


def described(
    named: tuple[str, str], asked: Recipe, ready: Prepared, pipeline: Pipeline, held: Sequence[Record],
    looks: Sequence[dict[str, float]],
) -> ModelManifest:  # fmt: skip
    """The manifest of the pipeline's network, under a name and a version: points, gates and conformal level fitted on
    `held` out predictions and on `looks`; without weights yet.

    Raises
    ------
    ExportError
        `held` has one class alone.
    """
    recipe = pipeline.recipe
    prepared = stated(pipeline)
    task = asked.task
    outlines = task.kind == "segment"
    calibrated = pipeline.learned.get("calibration")
    dataset = ready.chosen.manifest
    gate = {
        "temperature": 1.0 if calibrated is None else float(calibrated.thing),
        **quality.fit_ranges(looks),
        **_colours(np.array([look[COLOUR] for look in looks], np.float64)),
    }
    return ModelManifest(
        name=named[0], version=named[1], title=recipe.title,
        classes=OUTLINED if outlines else task.classes, positive_class=OUTLINED[1] if outlines else task.positive,
        pipeline=WHOLE_IMAGE, research=True,
        input=InputContract(
            modality=modality_of(ready), kinds=("image",), max_images=64, max_pixels=36_000_000,
        ),
        weights=WeightsFile(file=WEIGHTS, sha256="0" * 64), preprocessing=prepared,
        preprocessing_sha256=preprocessing_sha256(prepared),
        **(_outlines_points(gate) if outlines else _fitted_points(task, held, gate)),
        parameters=parameter_count(served_by(pipeline)),
        licence=f"Learned from {dataset.dataset}: {dataset.licence}", intended_use=INTENDED_USE,
    )  # fmt: skip


def modality_of(ready: Prepared) -> ModalityCode:
    return recipe_of(ready.chosen.samples[0].discipline).modality


def _outlines_points(gate: dict[str, float]) -> dict[str, Any]:
    """Nothing is fitted: all images of such a run have an outline. At or above the level something is outlined."""
    level = 0.5
    return {
        "thresholds": dict.fromkeys(OPERATING_POINTS, level),
        "calibration": {**gate, "conformal_level": level, OUTLINE_LEVEL: level},
    }


def _fitted_points(task: Task, held: Sequence[Record], gate: dict[str, float]) -> dict[str, Any]:
    """Operating points and conformal level of `held`-out predictions.

    Raises
    ------
    ExportError
        They have one class alone.
    """
    truth = np.array([record.label == task.positive for record in held], bool)
    if not truth.any() or truth.all():
        raise ExportError(
            f"operating points of an image are fitted without its group, and of the {len(held)} held-out images "
            f"left {'all' if truth.any() else 'none'} are {task.positive}: more groups would be needed"
        )
    chances = np.array([[record.probabilities[name] for name in task.classes] for record in held], np.float64)
    labels = np.array([task.classes.index(record.label) for record in held], np.int64)
    return {
        "thresholds": operating_points(chances[:, task.classes.index(task.positive)], truth),
        "calibration": {**gate, "conformal_level": conformal_level(chances, labels)},
    }


def _colours(values: NDArray[np.float64]) -> dict[str, float]:
    low, high = (float(value) for value in np.quantile(values, (0.002, 0.998)))
    margin = max(0.25 * (high - low), _LEAST_COLOUR)
    return {"colour_low": low - margin, "colour_high": high + margin}

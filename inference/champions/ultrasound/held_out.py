"""What a network says of frames that it was not trained on, and what is fitted on that: calibration, gates and
operating points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.blocks.overlap import dice
from inference.champions.learning import guarded
from inference.champions.plan import INTENDED_USE, Plan
from inference.champions.ultrasound import train as ultrasound
from inference.contract import OPERATING_POINTS, InputContract, ModelManifest
from inference.datasets.pixels import read_gray, read_joined_masks
from inference.datasets.sample import Sample
from inference.evaluation.calibration import fit_temperature, fit_temperature_and_biases, operating_points
from inference.recipes.boundary import NearDuplicates
from inference.recipes.provenance import Stamp
from inference.runtime.calibration import softmax
from inference.runtime.fusion import FUSED
from inference.runtime.onnx_session import OnnxForward
from inference.runtime.quality import appearance, fit_ranges
from inference.runtime.ultrasound import preprocessing as frame
from inference.runtime.ultrasound.pipeline import CLASSES, MALIGNANT, NORMAL, bias_of, read_frame
from inference.training.export import parameter_count

#: A scanner of fewer malignant lesions sets no operating point of its own.
FEWEST = 20


@dataclass(frozen=True, eq=False)
class HeldOutReadings:
    """What a network says of `samples`, none of which it was trained on. `logits` N×3, `labels`, `distances` N, `dice`
    N×levels (not a number where no lesion is drawn), `looks` plain statistics of each canvas, `stamp` whom the network
    saw."""

    samples: list[Sample]
    logits: NDArray[np.float64]
    labels: NDArray[np.int64]
    distances: NDArray[np.float64]
    dice: NDArray[np.float64]
    looks: list[dict[str, float]]
    stamp: Stamp


def read_held_out(
    plan: Plan, weights: Path, stamp: Stamp, inside: Sequence[Sample], own: Sequence[Sample],
    twins: Sequence[NearDuplicates] = (),
) -> HeldOutReadings:  # fmt: skip
    """`own`, read as they will be served by the network of `weights` that was trained on `inside`.

    Raises
    ------
    LeakError
        A frame, or a copy of one, stands on both sides of the border.
    """
    guarded(inside, own, twins)
    forward = OnnxForward(weights)
    tried = levels(plan)
    logits, distances, overlaps, looks = [], [], [], []
    for sample in own:
        gray = read_gray(sample.path)
        canvas, placement = frame.working_canvas(gray)
        reading = read_frame(gray, canvas, placement, lambda each: forward(frame.network_input(each)))
        logits.append(reading.logits)
        distances.append(reading.distance)
        looks.append(appearance(canvas))
        overlaps.append(_dice_at_levels(reading.placement.map_to_image(reading.outline), sample, tried))
    labels = np.array([CLASSES.index(sample.label) for sample in own])
    return HeldOutReadings(
        list(own), np.stack(logits), labels, np.array(distances), np.stack(overlaps), looks, stamp
    )


def levels(plan: Plan) -> NDArray[np.float64]:
    """The levels of the outline that are tried."""
    return np.arange(*plan.recipe.calibrate.outline_levels)


def _dice_at_levels(
    outline: NDArray[np.float32], sample: Sample, tried: NDArray[np.float64]
) -> NDArray[np.float64]:
    truth = read_joined_masks(sample.masks, *outline.shape) > 127
    if not truth.any():
        return np.full(len(tried), np.nan)
    return np.array([dice(outline >= level, truth) for level in tried])


def calibration(plan: Plan, logits: NDArray[np.float64], labels: NDArray[np.int64]) -> dict[str, float]:
    """The temperature, and a bias a class where the recipe asks for that, as the manifest keeps them."""
    least = plan.recipe.calibrate.least_temperature
    if plan.recipe.calibrate.method == "temperature_and_biases":
        temperature, biases = fit_temperature_and_biases(logits, labels, least)
        return {
            "temperature": temperature,
            **{bias_of(name): float(b) for name, b in zip(CLASSES, biases, strict=True)},
        }
    return {"temperature": max(least, fit_temperature(logits, labels))}


def described(plan: Plan, held: Sequence[HeldOutReadings]) -> ModelManifest:
    """The manifest, its calibration, gates and operating points fitted on `held`; without weights yet."""
    recipe = plan.recipe
    logits, labels = np.concatenate([h.logits for h in held]), np.concatenate([h.labels for h in held])
    fitted = calibration(plan, logits, labels)
    biases = np.array([fitted.get(bias_of(name), 0.0) for name in CLASSES])
    shares = softmax(logits / fitted["temperature"] + biases)
    level = float(levels(plan)[int(np.nanmean(np.concatenate([h.dice for h in held]), axis=0).argmax())])
    learned = ultrasound.collections(recipe)
    together = {FUSED: float(recipe.calibrate.fused_images)} if recipe.calibrate.fused_images > 1 else {}
    return ModelManifest(
        name="ultrasound", version=plan.version, title="Breast ultrasound: lesion and malignancy",
        classes=CLASSES, positive_class="malignant",
        input=InputContract(
            modality=recipe.modality, kinds=("image",), max_images=64, working_um_per_px=None,
            min_um_per_px=5.0, max_um_per_px=2000.0, max_pixels=36_000_000,
        ),
        weights=plan.unwritten_weights, preprocessing=frame.PREPROCESSING,
        preprocessing_sha256=plan.digest(frame.PREPROCESSING),
        thresholds=points(plan, [sample for h in held for sample in h.samples], shares, labels),
        mark_class=CLASSES[MALIGNANT],
        calibration={
            **fitted,
            **together,
            "outline_level": round(level, 2),
            "conformal_level": plan.conformal_level(shares, labels),
            "novelty_limit": plan.novelty_limit(np.concatenate([h.distances for h in held])),
            "colour_high": recipe.gates.colour,
            **fit_ranges([one for h in held for one in h.looks]),
        },
        parameters=parameter_count(recipe.network("lesion").made(len(CLASSES), plan.seed)),
        licence=f"Learned from {' and '.join(f'{TITLES[name]}: {ultrasound.LICENCES[name]}' for name in learned)}",
        intended_use=INTENDED_USE,
    )  # fmt: skip


#: What the collections are called.
TITLES = {"busi": "BUSI", "busbra": "BUS-BRA"}


def points(
    plan: Plan, samples: Sequence[Sample], shares: NDArray[np.float64], labels: NDArray[np.int64]
) -> dict[str, float]:
    """The operating points on frames with a lesion: of all scanners together, or, where the recipe says
    `worst_scanner`, such that what is promised holds on each scanner: the lowest of their high-sensitivity points,
    aimed `sensitivity_room` above the promise, the highest of their high-specificity points, and between them the best
    of all together."""
    asked = plan.recipe.calibrate
    lesions = labels != NORMAL
    chances, positive = shares[lesions, MALIGNANT], labels[lesions] == MALIGNANT
    if positive.all() or not positive.any():
        return dict.fromkeys(OPERATING_POINTS, 0.5)  # one class alone tells nothing of where they part
    together = plan.operating_points(chances, positive)
    if asked.points == "pooled":
        return together
    names = np.array([ultrasound.scanner(sample) for sample in samples])[lesions]
    aimed = min(1.0, asked.sensitivity + asked.sensitivity_room)
    each = [
        operating_points(chances[names == name], positive[names == name], aimed, asked.specificity)
        for name in np.unique(names)
        if positive[names == name].sum() >= FEWEST and (~positive[names == name]).sum() >= FEWEST
    ]
    if not each:
        return together
    low = min(one["high_sensitivity"] for one in each)
    high = max(max(one["high_specificity"] for one in each), low)
    return {
        "high_sensitivity": low,
        "balanced": float(np.clip(together["balanced"], low, high)),
        "high_specificity": high,
    }

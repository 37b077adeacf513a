"""The ultrasound champion from data to model store: five grouped folds for the figures, then one network on all.

A fold's network never saw the fold. Its calibration, outline level and gates come from the held-out predictions of
the other four folds. What is served is fitted on everything and calibrated on the held-out predictions of all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from inference.blocks.networks.lesion import LesionNetwork, LesionOutput
from inference.blocks.overlap import dice
from inference.champions.learning import guarded, judged
from inference.champions.method import facts, method
from inference.champions.plan import INTENDED_USE, FoldNetwork, Plan, store_model
from inference.champions.ultrasound import train as ultrasound
from inference.contract import InputContract, ModelManifest
from inference.datasets import busi
from inference.datasets.pixels import read_gray, read_joined_masks
from inference.datasets.sample import Sample
from inference.evaluation.account import Account
from inference.evaluation.calibration import fit_temperature
from inference.evaluation.measuring import predict
from inference.evaluation.records import Record
from inference.recipes.boundary import NearDuplicates, look_alikes
from inference.recipes.provenance import Fitted, Stamp
from inference.runtime.calibration import softmax
from inference.runtime.onnx_session import WEIGHTS, OnnxForward
from inference.runtime.quality import appearance, fit_ranges
from inference.runtime.store import read_manifest
from inference.runtime.ultrasound import preprocessing as frame
from inference.runtime.ultrasound.pipeline import CLASSES, MALIGNANT, NORMAL, read_frame
from inference.training.export import export_onnx, parameter_count

_EXAMPLES = tuple(
    torch.zeros((2, 1, side, side), dtype=torch.uint8) for side in (frame.SIDE, frame.CLOSER_SIDE)
)


@dataclass(frozen=True, eq=False)
class HeldOutReadings:
    """What a fold's network says of the frames that it was not trained on. `logits` N×3, `labels`, `distances`
    N, `dice` N×levels (not a number where no lesion is drawn), `looks` plain statistics of each canvas, `stamp`
    whom the network saw."""

    samples: list[Sample]
    logits: NDArray[np.float64]
    labels: NDArray[np.int64]
    distances: NDArray[np.float64]
    dice: NDArray[np.float64]
    looks: list[dict[str, float]]
    stamp: Stamp


def build(plan: Plan) -> ModelManifest:
    """BUSI → `ultrasound`: the folds first, then the network that is served."""
    samples = list(ultrasound.read(plan.data).samples)
    twins = look_alikes(samples)
    copied = crossing(plan, samples, twins)
    folds = range(len(plan.folds(samples)))
    held = [read_held_out(plan, samples, fold, copied, twins) for fold in folds]
    manifest = described(plan, held)
    records = [record for fold in folds for record in fold_records(plan, held, fold)]
    network = final_network(plan, samples) if refitted(plan) else fold_network(plan, samples, 0).thing
    return store_model(
        plan, manifest, network, _EXAMPLES, LesionOutput._fields, samples, records, account(plan, held)
    )


def refitted(plan: Plan) -> bool:
    """Whether what is served is fitted again on every frame."""
    return plan.refit and plan.recipe.protocol.served == "refitted"


def final_network(plan: Plan, samples: Sequence[Sample]) -> LesionNetwork:
    """The network fitted on every frame; a finished run gives it at once."""
    return ultrasound.train(plan, samples, plan.run / "final").thing


def fit_final(plan: Plan) -> Path:
    """`final_network` exported in the run folder."""
    weights = plan.run / "final" / WEIGHTS
    network = final_network(plan, list(ultrasound.read(plan.data).samples))
    export_onnx(network, _EXAMPLES, LesionOutput._fields, weights)
    return weights


def retrain_fold(fold: int, plan: Plan) -> list[Record]:
    """Train fold `fold` anew in `plan.run`. What the stored model is calibrated with serves here too: it moves no
    figure that ranks frames."""
    samples = list(ultrasound.read(plan.data).samples)
    weights, stamp = fold_weights(plan, samples, fold)
    own = [samples[i] for i in plan.folds(samples)[fold][1]]
    manifest = read_manifest("ultrasound", plan.store, plan.version)
    return judged(own, predict(manifest, OnnxForward(weights), own, split="oof", fold=fold), stamp)


def networks_of_folds(plan: Plan) -> Iterator[FoldNetwork]:
    """Each fold's network, of a run that has trained it.

    Raises
    ------
    LookupError
        A fold was not trained yet.
    """
    samples = list(ultrasound.read(plan.data).samples)
    for fold, (_, outside) in enumerate(plan.folds(samples)):
        if not (plan.run / f"fold-{fold}" / WEIGHTS).is_file():
            raise LookupError(f"{plan.run} holds no trained fold {fold}: train ultrasound first")
        network: nn.Module = fold_network(plan, samples, fold).thing
        yield FoldNetwork(network, [samples[index] for index in outside])


def fold_weights(plan: Plan, samples: Sequence[Sample], fold: int) -> tuple[Path, Stamp]:
    """`model.onnx` of the network that never saw `fold`, trained, or resumed, where it is not there yet; and whom it
    saw."""
    learned = fold_network(plan, samples, fold)
    weights = plan.run / f"fold-{fold}" / WEIGHTS
    if not weights.is_file():
        export_onnx(learned.thing, _EXAMPLES, LesionOutput._fields, weights)
    return weights, learned.stamp


def fold_network(plan: Plan, samples: Sequence[Sample], fold: int) -> Fitted[LesionNetwork]:
    """The network that never saw `fold`; a finished run gives it at once."""
    inside, _ = plan.folds(samples)[fold]
    return ultrasound.train(plan, [samples[i] for i in inside], plan.run / f"fold-{fold}")


def crossing(plan: Plan, samples: Sequence[Sample], twins: Sequence[NearDuplicates]) -> set[Path]:
    """Frames that the audit takes for copies of a frame in another fold, although `split.csv` gives them groups of
    their own. They were trained on, so that no figure may hold them."""
    fold_of = {
        samples[index].path: fold
        for fold, (_, outside) in enumerate(plan.folds(samples))
        for index in outside
    }
    copies = [pair for pair in twins if pair.kind != "look_alike"]
    apart = [pair for pair in copies if fold_of[pair.first] != fold_of[pair.second]]
    return {path for pair in apart for path in (pair.first, pair.second)}


def read_held_out(
    plan: Plan, samples: Sequence[Sample], fold: int, copied: Set[Path] = frozenset(),
    twins: Sequence[NearDuplicates] = (),
) -> HeldOutReadings:  # fmt: skip
    """The fold's frames but those of `copied`, read as they will be served.

    Raises
    ------
    LeakError
        A frame, or a copy of one, stands on both sides of the fold's border.
    """
    inside, outside = plan.folds(samples)[fold]
    own = [samples[i] for i in outside if samples[i].path not in copied]
    copies = [pair for pair in twins if pair.kind != "look_alike"]
    guarded([samples[i] for i in inside], own, copies)
    weights, stamp = fold_weights(plan, samples, fold)
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
        own, np.stack(logits), labels, np.array(distances), np.stack(overlaps), looks, stamp
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


def described(plan: Plan, held: Sequence[HeldOutReadings]) -> ModelManifest:
    """The manifest, its calibration, gates and operating points fitted on `held`; without weights yet."""
    logits, labels = np.concatenate([h.logits for h in held]), np.concatenate([h.labels for h in held])
    temperature = max(plan.recipe.calibrate.least_temperature, fit_temperature(logits, labels))
    shares = softmax(logits / temperature)
    lesions = labels != NORMAL
    level = float(levels(plan)[int(np.nanmean(np.concatenate([h.dice for h in held]), axis=0).argmax())])
    return ModelManifest(
        name="ultrasound", version=plan.version, title="Breast ultrasound: lesion and malignancy",
        classes=CLASSES, positive_class="malignant",
        input=InputContract(
            modality=plan.recipe.modality, kinds=("image",), max_images=64, working_um_per_px=None,
            min_um_per_px=5.0, max_um_per_px=2000.0, max_pixels=36_000_000,
        ),
        weights=plan.unwritten_weights, preprocessing=frame.PREPROCESSING,
        preprocessing_sha256=plan.digest(frame.PREPROCESSING),
        thresholds=plan.operating_points(shares[lesions, MALIGNANT], labels[lesions] == MALIGNANT),
        mark_class=CLASSES[MALIGNANT],
        calibration={
            "temperature": temperature,
            "outline_level": round(level, 2),
            "conformal_level": plan.conformal_level(shares, labels),
            "novelty_limit": plan.novelty_limit(np.concatenate([h.distances for h in held])),
            "colour_high": plan.recipe.gates.colour,
            **fit_ranges([one for h in held for one in h.looks]),
        },
        parameters=parameter_count(plan.recipe.network("lesion").made(len(CLASSES), plan.seed)),
        licence=f"Learned from BUSI: {busi.LICENCE}", intended_use=INTENDED_USE,
    )  # fmt: skip


def fold_records(plan: Plan, held: Sequence[HeldOutReadings], fold: int) -> list[Record]:
    """Predictions of record of the fold's frames, by the serving pipeline with the fold's network and what the
    other folds say of calibration."""
    others = [each for number, each in enumerate(held) if number != fold]
    forward = OnnxForward(plan.run / f"fold-{fold}" / WEIGHTS)
    manifest = described(replace(plan, version=f"{plan.version}-fold-{fold}"), others)
    said = predict(manifest, forward, held[fold].samples, split="oof", fold=fold)
    return judged(held[fold].samples, said, held[fold].stamp)


def account(plan: Plan, held: Sequence[HeldOutReadings]) -> Account:
    """How the model was made, for its card."""
    count = sum(len(each.samples) for each in held)
    total = len(ultrasound.read(plan.data).samples)
    folds = plan.recipe.protocol.folds
    served = (
        "The served network was fitted afterwards on all frames by the same recipe."
        if refitted(plan)
        else "The served network is that of the first fold, which never saw its frames."
    )
    return Account(
        data=f"BUSI (Al-Dhabyani 2020): {total} frames. No patient ids exist; near-duplicates are grouped. "
        f"{count} frames are measured; the others are copies of a frame in another fold.",
        method="Outline, malignancy map and three classes in one network. A frame is read twice, whole at "
        f"{frame.SIDE} px and at {frame.CLOSER_SIDE} px closer at what was outlined; the answers are averaged. "
        f"{method(plan.recipe)}",
        protocol=f"Figures of record are pooled out-of-fold predictions over train and val together: {folds} folds, "
        "disjoint by near-duplicate group; a fold's network never saw it, and its temperature, outline level, gates "
        "and operating points were fitted on the held-out predictions of the other folds. "
        f"{plan.recipe.history} {served} It is calibrated on the pooled out-of-fold predictions.",
        limits=(
            "Learned from one hospital, two machines of one maker; other machines and populations are another matter.",
            "`normal` frames look different altogether, so three-class figures flatter.",
            "Many frames carry callipers and text; the network may have learned from them.",
            "Two pairs of frames show one picture under both labels (benign 333 and malignant 77, benign 406 and "
            "malignant 94): one of each pair counts as an error whatever is said.",
            "No patient ids exist: two frames of one woman that look different may stand in different folds.",
            "The heat map's formula was chosen among nine on held-out frames of three of the folds, some of which the "
            "pointing game is measured on again: its figure is somewhat optimistic.",
            "Sensitivity and specificity at the operating points are those of the folds' own points; the served "
            "points were fitted on all held-out predictions and cannot be measured on them again.",
        ),
        refitted=refitted(plan),
        run=facts(plan.recipe),
    )

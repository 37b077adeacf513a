"""The ultrasound champion from data to model store: the network that is served, networks that have seen nothing of one
collection or scanner, and grouped folds; each goes on from its checkpoint.

A fold's network never saw the fold. Its calibration, outline level, gates and operating points come from the held-out
predictions of the other four folds; those of a network that left something out come from a part of the rest that was
kept for that. What is served is fitted on everything and calibrated on the held-out predictions of all folds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from inference.blocks.networks.lesion import LesionNetwork
from inference.champions.learning import judged
from inference.champions.plan import FoldNetwork, Plan, store_model
from inference.champions.ultrasound import train as ultrasound
from inference.champions.ultrasound.accounted import account
from inference.champions.ultrasound.borders import Border, folds, left_out
from inference.champions.ultrasound.held_out import HeldOutReadings, described, read_held_out
from inference.contract import ModelManifest
from inference.datasets.sample import Sample
from inference.evaluation.measuring import predict
from inference.evaluation.records import Record
from inference.recipes.boundary import NearDuplicates, look_alikes
from inference.recipes.provenance import Fitted, Stamp
from inference.runtime.onnx_session import WEIGHTS, OnnxForward
from inference.runtime.store import read_manifest
from inference.runtime.ultrasound import preprocessing as frame
from inference.training.export import export_onnx

_EXAMPLES = tuple(
    torch.zeros((2, 1, side, side), dtype=torch.uint8) for side in (frame.SIDE, frame.CLOSER_SIDE)
)


def build(plan: Plan) -> ModelManifest:
    """The recipe's collections → `ultrasound`: what is served first, then what its figures come from."""
    samples = read(plan)
    if refitted(plan):
        final_network(plan, samples)
    twins = copies(samples)
    away = [
        record
        for number, border in enumerate(left_out(plan, samples))
        for record in left_out_records(plan, samples, border, number, twins)
    ]
    copied = crossing(plan, samples, twins)
    count = range(len(folds(plan, samples)))
    held = [read_fold(plan, samples, fold, copied, twins) for fold in count]
    manifest = described(plan, held)
    records = [record for fold in count for record in fold_records(plan, held, fold)]
    network = final_network(plan, samples) if refitted(plan) else fold_network(plan, samples, 0).thing
    measured = [sample for each in held for sample in each.samples]
    return store_model(
        plan, manifest, network, _EXAMPLES, network.answers, samples, records,
        account(plan, samples, measured, refitted=refitted(plan)), away=away,
    )  # fmt: skip


def read(plan: Plan) -> list[Sample]:
    """All frames of the recipe's collections."""
    return ultrasound.read(plan.data, ultrasound.collections(plan.recipe))


def refitted(plan: Plan) -> bool:
    """Whether what is served is fitted again on every frame."""
    return plan.refit and plan.recipe.protocol.served == "refitted"


def final_network(plan: Plan, samples: Sequence[Sample]) -> LesionNetwork:
    """The network fitted on every frame; a finished run gives it at once."""
    return ultrasound.train(plan, samples, plan.run / "final").thing


def fit_final(plan: Plan) -> Path:
    """`final_network` exported in the run folder."""
    weights = plan.run / "final" / WEIGHTS
    network = final_network(plan, read(plan))
    export_onnx(network, _EXAMPLES, network.answers, weights)
    return weights


def retrain_fold(fold: int, plan: Plan) -> list[Record]:
    """Train fold `fold` anew in `plan.run`. What the stored model is calibrated with serves here too: it moves no
    figure that ranks frames."""
    samples = read(plan)
    weights, stamp = fold_weights(plan, samples, fold)
    own = [samples[i] for i in folds(plan, samples)[fold][1]]
    manifest = read_manifest("ultrasound", plan.store, plan.version)
    return judged(own, predict(manifest, OnnxForward(weights), own, split="oof", fold=fold), stamp)


def networks_of_folds(plan: Plan) -> Iterator[FoldNetwork]:
    """Each fold's network, of a run that has trained it.

    Raises
    ------
    LookupError
        A fold was not trained yet.
    """
    samples = read(plan)
    for fold, (_, outside) in enumerate(folds(plan, samples)):
        if not (plan.run / f"fold-{fold}" / WEIGHTS).is_file():
            raise LookupError(f"{plan.run} holds no trained fold {fold}: train ultrasound first")
        network: nn.Module = fold_network(plan, samples, fold).thing
        yield FoldNetwork(network, [samples[index] for index in outside])


def fold_weights(plan: Plan, samples: Sequence[Sample], fold: int) -> tuple[Path, Stamp]:
    """`model.onnx` of the network that never saw `fold`, trained, or resumed, where it is not there yet; and whom it
    saw."""
    return _exported(fold_network(plan, samples, fold), plan.run / f"fold-{fold}" / WEIGHTS)


def fold_network(plan: Plan, samples: Sequence[Sample], fold: int) -> Fitted[LesionNetwork]:
    """The network that never saw `fold`; a finished run gives it at once."""
    inside, _ = folds(plan, samples)[fold]
    return ultrasound.train(plan, [samples[i] for i in inside], plan.run / f"fold-{fold}")


def _exported(learned: Fitted[LesionNetwork], weights: Path) -> tuple[Path, Stamp]:
    """Written anew each time: what lies there may be of the same training before a stage was added."""
    export_onnx(learned.thing, _EXAMPLES, learned.thing.answers, weights, compared=True)
    return weights, learned.stamp


def copies(samples: Sequence[Sample]) -> list[NearDuplicates]:
    """Frames of one collection that the audit takes for copies of one another although their groups differ."""
    names = dict.fromkeys(sample.dataset for sample in samples)
    found = [
        pair
        for name in names
        for pair in look_alikes([sample for sample in samples if sample.dataset == name])
    ]
    return [pair for pair in found if pair.kind != "look_alike"]


def crossing(plan: Plan, samples: Sequence[Sample], twins: Sequence[NearDuplicates]) -> set[Path]:
    """Copies of a frame in another fold, although the collection gives them groups of their own. They were trained on,
    so that no figure may hold them."""
    fold_of = {
        samples[index].path: fold
        for fold, (_, outside) in enumerate(folds(plan, samples))
        for index in outside
    }
    apart = [pair for pair in twins if fold_of[pair.first] != fold_of[pair.second]]
    return {path for pair in apart for path in (pair.first, pair.second)}


def read_fold(
    plan: Plan, samples: Sequence[Sample], fold: int, copied: Set[Path] = frozenset(),
    twins: Sequence[NearDuplicates] = (),
) -> HeldOutReadings:  # fmt: skip
    """The fold's frames but those of `copied`.

    Raises
    ------
    LeakError
        A frame, or a copy of one, stands on both sides of the fold's border.
    """
    inside, outside = folds(plan, samples)[fold]
    own = [samples[i] for i in outside if samples[i].path not in copied]
    weights, stamp = fold_weights(plan, samples, fold)
    return read_held_out(plan, weights, stamp, [samples[i] for i in inside], own, twins)


def fold_records(plan: Plan, held: Sequence[HeldOutReadings], fold: int) -> list[Record]:
    """Predictions of record of the fold's frames, by the serving pipeline with the fold's network and what the
    other folds say of calibration."""
    others = [each for number, each in enumerate(held) if number != fold]
    forward = OnnxForward(plan.run / f"fold-{fold}" / WEIGHTS)
    manifest = described(replace(plan, version=f"{plan.version}-fold-{fold}"), others)
    said = predict(manifest, forward, held[fold].samples, split="oof", fold=fold)
    return judged(held[fold].samples, said, held[fold].stamp)


def left_out_records(
    plan: Plan, samples: Sequence[Sample], border: Border, number: int, twins: Sequence[NearDuplicates]
) -> list[Record]:
    """Predictions of record of what a training left out, by the serving pipeline with its network, and with what the
    part that was kept says of calibration and operating points.

    Raises
    ------
    LeakError
        A frame, or a copy of one, stands on both sides of a border.
    """
    plan = shortened(plan)
    inside = [samples[i] for i in border.inside]
    weights, stamp = _exported(
        ultrasound.train(plan, inside, plan.run / border.name), plan.run / border.name / WEIGHTS
    )
    apart = {path for pair in twins for path in (pair.first, pair.second)}
    kept = [samples[i] for i in border.kept if samples[i].path not in apart]
    outside = [samples[i] for i in border.outside if samples[i].path not in apart]
    readings = read_held_out(plan, weights, stamp, inside, kept, twins)
    manifest = described(replace(plan, version=f"{plan.version}-{border.name}"), [readings])
    said = predict(manifest, OnnxForward(weights), outside, split=border.split, fold=number)
    return judged(outside, said, stamp)


def shortened(plan: Plan) -> Plan:
    """The plan with the epochs of a leave-one-out training."""
    share, recipe = plan.recipe.protocol.left_out_epochs, plan.recipe
    networks = {
        name: network.model_copy(
            update={
                "train": tuple(
                    stage.model_copy(update={"epochs": max(1, round(share * stage.epochs))})
                    for stage in network.train
                )
            }
        )
        for name, network in recipe.networks.items()
    }
    return replace(plan, recipe=recipe.model_copy(update={"networks": networks}))

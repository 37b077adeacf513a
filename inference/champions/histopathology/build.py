"""The histopathology champion from data to model store.

The network is fitted on `train` without one grouped part of it, which calibration, gates and operating points are
fitted on; `val` is read once, for the figures.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from inference.blocks.networks.fields import NETWORK_PX
from inference.champions.histopathology import train as histopathology
from inference.champions.histopathology.network import FieldNetwork, FieldOutput
from inference.champions.learning import guarded, judged
from inference.champions.method import facts, method
from inference.champions.plan import INTENDED_USE, Plan, store_model
from inference.contract import InputContract, ModelManifest
from inference.datasets import idc
from inference.datasets.sample import Sample
from inference.evaluation.account import Account
from inference.evaluation.calibration import fit_platt
from inference.evaluation.measuring import mosaic_records, predict
from inference.evaluation.records import Record, RecordsError
from inference.runtime.histopathology import preprocessing as tissue
from inference.runtime.histopathology.pipeline import CLASSES
from inference.runtime.onnx_session import WEIGHTS, OnnxForward
from inference.runtime.quality import colourfulness
from inference.runtime.store import read_manifest
from inference.training.export import export_onnx, parameter_count

_EXAMPLES = (torch.zeros((2, idc.PATCH_PX, idc.PATCH_PX, 3), dtype=torch.uint8),)


def build(plan: Plan) -> ModelManifest:
    """IDC patches → `histopathology`."""
    published = histopathology.read(plan.data)
    seen = list(published.part("train"))
    fitted, held = plan.kept_part(seen)
    val = published.part("val")
    guarded(fitted, held)
    guarded(seen, val)
    learned = histopathology.train(plan, fitted, plan.run / "inner")
    network = learned.thing
    manifest = described(plan, network, fitted, judged(held, held, learned.stamp))
    weights = plan.run / WEIGHTS
    export_onnx(network, _EXAMPLES, FieldOutput._fields, weights)
    forward = OnnxForward(weights)
    records = judged(val, predict(manifest, forward, val), learned.stamp)
    records += mosaic_records(manifest, forward, plan.data)
    return store_model(
        plan,
        manifest,
        network,
        _EXAMPLES,
        FieldOutput._fields,
        seen,
        records,
        account(plan, seen, fitted),
        val,
    )


def retrain_fold(fold: int, plan: Plan) -> list[Record]:
    """Train anew in `plan.run` what the figures come from: one network, so that there is one fold, 0. What the stored
    model is calibrated with serves here too: it moves no figure that ranks fields.

    Raises
    ------
    RecordsError
        Another fold.
    """
    if fold != 0:
        raise RecordsError(f"histopathology is trained once: its only fold is 0, not {fold}")
    published = histopathology.read(plan.data)
    fitted, held = plan.kept_part(list(published.part("train")))
    val = published.part("val")
    guarded(fitted, held)
    guarded(fitted, val)
    learned = histopathology.train(plan, fitted, plan.run / "inner")
    weights = plan.run / WEIGHTS
    export_onnx(learned.thing, _EXAMPLES, FieldOutput._fields, weights)
    manifest, forward = read_manifest("histopathology", plan.store, plan.version), OnnxForward(weights)
    records = judged(val, predict(manifest, forward, val), learned.stamp)
    return records + mosaic_records(manifest, forward, plan.data)


def described(
    plan: Plan, network: FieldNetwork, fitted: Sequence[Sample], held: Sequence[Sample]
) -> ModelManifest:
    """The manifest, its calibration, gates and operating points fitted on `held`; without weights yet."""
    logits, distances = histopathology.score(network, histopathology.load(held))
    positive = np.array([bool(sample.label_binary) for sample in held])
    platt = fit_platt(logits, positive)
    chances = np.array([platt(float(logit)) for logit in logits])
    both = np.stack([1 - chances, chances], axis=1)
    colours = [colourfulness(field) for field in histopathology.load(fitted[::7])]
    return ModelManifest(
        name="histopathology", version=plan.version, title="Histopathology: invasive ductal carcinoma in H&E",
        classes=CLASSES, positive_class="idc",
        input=InputContract(
            modality=plan.recipe.modality, kinds=("image", "slide"), max_images=16, needs_pixel_spacing=True,
            working_um_per_px=tissue.UM_PER_PX,
            # from a × 100 objective's camera to an enlargement of four times
            min_um_per_px=0.05, max_um_per_px=16.0, max_pixels=128_000_000,
        ),
        weights=plan.unwritten_weights, preprocessing=tissue.PREPROCESSING,
        preprocessing_sha256=plan.digest(tissue.PREPROCESSING),
        thresholds=plan.operating_points(chances, positive),
        calibration={
            "slope": platt.slope,
            "offset": platt.offset,
            "conformal_level": plan.conformal_level(both, positive.astype(np.int64)),
            "novelty_limit": plan.novelty_limit(distances),
            "colour_low": float(np.quantile(colours, 0.005)) * 0.7,
        },
        parameters=parameter_count(network), licence=f"Learned from IDC patches: {idc.LICENCE}",
        intended_use=INTENDED_USE,
    )  # fmt: skip


def account(plan: Plan, seen: Sequence[Sample], fitted: Sequence[Sample]) -> Account:
    """How the model was made, for its card."""
    readers = sum(name.startswith("reader_") for name in plan.recipe.networks)
    return Account(
        data="IDC patches (Cruz-Roa 2014, Janowczyk 2016): 50×50 px at about 4 µm/px; "
        f"{len(fitted)} to train, {len(seen) - len(fitted)} to calibrate.",
        method=f"{readers} readers of fields of 0.2 mm enlarged to {NETWORK_PX} px, averaged. Their labels are moved "
        "towards what smaller trainings (teacher) say of patients that they had not seen. Images of few fields are "
        "read in four mirrored ways. An image's or slide's logit is the mean of its fields' logits weighted by gated "
        f"attention, learned from bags of one patient's fields. {method(plan.recipe)}",
        protocol="Fitted on the published `train` part only; calibration, gates and operating points on one of "
        f"{plan.recipe.protocol.kept_part} grouped parts of it that neither readers nor teachers had seen. The "
        "published `val` part, disjoint by runs of patients, was read once for these figures. "
        f"{plan.recipe.history}",
        limits=(
            "Class 0 means *not invasive ductal carcinoma*: normal, fat, stroma, perhaps DCIS. It is not benign.",
            "The outlines that gave the labels are coarse; borders are noise.",
            "The calibration holds for a field. A whole slide's score is a ranking, not a probability of disease.",
            "Scanners other than the set's own, frozen sections and lobular carcinoma were not measured.",
        ),
        run=facts(plan.recipe),
    )

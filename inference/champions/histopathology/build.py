"""The histopathology champion from data to model store.

The network is fitted on `train` without one grouped part of it, which calibration, gates and operating points are
fitted on; `val` is read once, for the figures.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from inference.champions.histopathology import train as histopathology
from inference.champions.histopathology.network import FieldNetwork, FieldOutput
from inference.champions.plan import INTENDED_USE, Plan, novelty_limit, settings_in_words, store_model
from inference.contract import InputContract, ModelManifest
from inference.datasets import idc
from inference.datasets.sample import Sample, grouped_folds
from inference.evaluation.account import Account
from inference.evaluation.calibration import conformal_level, fit_platt, operating_points
from inference.evaluation.measuring import mosaic_records, predict
from inference.runtime.histopathology import preprocessing as tissue
from inference.runtime.histopathology.pipeline import CLASSES
from inference.runtime.onnx_session import WEIGHTS, OnnxForward
from inference.runtime.quality import colourfulness
from inference.training.export import export_onnx, parameter_count

#: One of so many grouped parts of `train` is kept for calibration.
INNER_PARTS = 8
_EXAMPLES = (torch.zeros((2, idc.PATCH_PX, idc.PATCH_PX, 3), dtype=torch.uint8),)


def build(plan: Plan) -> ModelManifest:
    """IDC patches → `histopathology`."""
    published = histopathology.read(plan.data)
    seen = list(published.part("train"))
    inside, held = grouped_folds(seen, INNER_PARTS, plan.seed)[0]
    fitted = [seen[i] for i in inside]
    settings = plan.settings_of(histopathology.Settings)
    network = histopathology.train(fitted, plan.run / "inner", settings, plan.seed)
    manifest = described(plan, network, fitted, [seen[i] for i in held])
    weights = plan.run / WEIGHTS
    export_onnx(network, _EXAMPLES, FieldOutput._fields, weights)
    forward = OnnxForward(weights)
    records = predict(manifest, forward, published.part("val")) + mosaic_records(manifest, forward, plan.data)
    return store_model(
        plan, manifest, network, _EXAMPLES, FieldOutput._fields, seen, records, account(plan, seen, fitted)
    )


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
            modality=plan.modality, kinds=("image", "slide"), max_images=16, needs_pixel_spacing=True,
            working_um_per_px=tissue.UM_PER_PX,
            # from a × 100 objective's camera to an enlargement of four times
            min_um_per_px=0.05, max_um_per_px=16.0, max_pixels=128_000_000,
        ),
        weights=plan.unwritten_weights, preprocessing=tissue.PREPROCESSING,
        preprocessing_sha256=plan.digest(tissue.PREPROCESSING),
        thresholds=operating_points(chances, positive),
        calibration={
            "slope": platt.slope,
            "offset": platt.offset,
            "conformal_level": conformal_level(both, positive.astype(np.int64)),
            "novelty_limit": novelty_limit(distances),
            "colour_low": float(np.quantile(colours, 0.005)) * 0.7,
        },
        parameters=parameter_count(network), licence=f"Learned from IDC patches: {idc.LICENCE}",
        intended_use=INTENDED_USE,
    )  # fmt: skip


def account(plan: Plan, seen: Sequence[Sample], fitted: Sequence[Sample]) -> Account:
    """How the model was made, for its card."""
    return Account(
        data="IDC patches (Cruz-Roa 2014, Janowczyk 2016): 50×50 px at about 4 µm/px; "
        f"{len(fitted)} to train, {len(seen) - len(fitted)} to calibrate.",
        method="Two readers, EfficientNet-Lite0 and Lite1 (from ImageNet weights, nothing frozen), on fields of 0.2 mm "
        "enlarged to 96 px, averaged; trained with stain augmentation, first on mixed pairs. Their labels were moved "
        "by two fifths towards what four smaller trainings say of patients that they had not seen; the last part of "
        "each training was run twice and the weights averaged. Images of few fields are read in four mirrored ways. An "
        "image's or slide's logit is the mean of its fields' logits weighted by gated attention, learned from bags of "
        "one patient's fields.",
        protocol="Fitted on the published `train` part only; calibration, gates and operating points on a grouped "
        "eighth of it that neither readers nor teachers had seen. The published `val` part, disjoint by runs of "
        "patients, was read once for these figures; versions 1.0.0, 2.0.0 and 2.1.0 had read it before (2.1.0: AUC "
        "0.922). What is new in the recipe since then was chosen on the eighth. The mosaic was read once more after "
        "its shortfall (AUC 0.973) was traced to carcinoma dismissed as glass; the share of tissue that a field needs "
        "was then chosen on `train`.",
        limits=(
            "Class 0 means *not invasive ductal carcinoma*: normal, fat, stroma, perhaps DCIS. It is not benign.",
            "The outlines that gave the labels are coarse; borders are noise.",
            "The calibration holds for a field. A whole slide's score is a ranking, not a probability of disease.",
            "Scanners other than the set's own, frozen sections and lobular carcinoma were not measured.",
        ),
        run=settings_in_words(plan.settings_of(histopathology.Settings)),
    )

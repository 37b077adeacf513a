"""The mammography champion from data to model store.

Masses: the network is fitted on CBIS-DDSM's published `train` part without one grouped eighth, which calibration and
the level of marks are fitted on; `val` is read once, for the figures. Films: five folds of mini-MIAS, disjoint by
woman, pooled out of fold; each fold's calibration comes from the other four. The mass network never sees mini-MIAS,
and the film reader and the network of clusters never see CBIS-DDSM. What the three say together of a film's abnormality
is fitted on out-of-fold films.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from inference.blocks.networks.efficientnet import effnet_lite0
from inference.blocks.networks.lesion import LesionNetwork, pooled_statistics
from inference.blocks.networks.specks import SpeckNetwork
from inference.champions.learning import guarded, judged, seen
from inference.champions.mammography import clusters, films, gate, masses, taken
from inference.champions.mammography.films import Places
from inference.champions.mammography.network import FilmOutput, FilmReader, MammogramNetwork
from inference.champions.method import facts, method
from inference.champions.plan import INTENDED_USE, Plan, store_model
from inference.contract import InputContract, ModelManifest
from inference.datasets import cbis_mass_256, mini_mias
from inference.datasets.pixels import read_gray, read_joined_masks
from inference.datasets.sample import Sample
from inference.evaluation.account import Account
from inference.evaluation.calibration import fit_platt
from inference.evaluation.detection import Mark, components, froc, mark_of
from inference.evaluation.mark_levels import mark_thresholds
from inference.evaluation.measuring import predict
from inference.evaluation.records import Record
from inference.recipes.provenance import Fitted, Stamp
from inference.runtime.calibration import sigmoid
from inference.runtime.geometry import lay_out
from inference.runtime.mammography import preprocessing as film
from inference.runtime.mammography.pipeline import marks_of, quarter
from inference.runtime.onnx_session import WEIGHTS, OnnxForward
from inference.runtime.quality import appearance, fit_ranges
from inference.runtime.store import read_manifest
from inference.training.export import export_onnx, parameter_count

#: Of noise: a flat film has many best places alike, and which of them comes first is anybody's guess.
_EXAMPLES = (
    torch.randint(
        0, 256, (2, 1, film.HEIGHT, film.WIDTH), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    ),
)


def build(plan: Plan) -> ModelManifest:
    """CBIS-DDSM masses and mini-MIAS films → `mammography`."""
    learned = learn(plan)
    folds = range(len(plan.folds(learned.films)))
    records = [record for fold in folds for record in fold_records(plan, learned, fold)]
    films.fit(learned.network.film, learned.places, plan.recipe, plan.seed)
    manifest = described(plan, learned, folds)
    path = plan.run / WEIGHTS
    export_onnx(learned.network, _EXAMPLES, FilmOutput._fields, path)
    val = masses.read(plan.data).part("val")
    guarded(masses.read(plan.data).part("train"), val)
    outside = judged(val, predict(manifest, OnnxForward(path), val), learned.stamp)
    manifest = manifest.model_copy(update={"mark_thresholds": mark_thresholds(outside)})
    records += outside
    seen = [*masses.read(plan.data).part("train"), *learned.films]
    return store_model(
        plan,
        manifest,
        learned.network,
        _EXAMPLES,
        FilmOutput._fields,
        seen,
        records,
        account(plan, learned),
        val,
    )


def retrain_fold(fold: int, plan: Plan) -> list[Record]:
    """Fit the film reader of `fold` anew, and the mass network, which is trained once: the predictions of the fold's
    films and of CBIS-DDSM's `val`. What the stored model is calibrated with serves here too: it moves no ranking."""
    shown = list(films.read(plan.data).samples)
    reader = FilmReader(effnet_lite0(weights="imagenet"))
    train, outside = plan.folds(shown)[fold]
    guarded([shown[i] for i in train], [shown[i] for i in outside])
    places = films.places(reader, shown, plan.run / "places.npz")
    films.fit(reader, places.part(train), plan.recipe, plan.seed)
    fitted, held = plan.kept_part(list(masses.read(plan.data).part("train")))
    val = masses.read(plan.data).part("val")
    guarded(fitted, held)
    guarded(fitted, val)
    learned = _masses(plan, fitted)
    mass = learned.thing
    small = np.stack([quarter(film.working_canvas(read_gray(sample.path))[0]) for sample in shown])
    _fit_novelty(plan, mass, fitted, small)
    specks = clusters.train(plan, [shown[i] for i in train], plan.run / f"clusters-{fold}")
    path = plan.run / f"fold-{fold}.onnx"
    network = MammogramNetwork(mass, reader, specks.thing).eval()
    export_onnx(network, _EXAMPLES, FilmOutput._fields, path, compared=True)
    manifest = read_manifest("mammography", plan.store, plan.version)
    own = [shown[i] for i in outside]
    readers = seen("film reader", [shown[i] for i in train])
    forward = OnnxForward(path)
    predicted = predict(manifest, forward, own, split="oof", fold=fold)
    at_home = judged(own, predicted, readers, specks.stamp)
    return at_home + judged(val, predict(manifest, forward, val), learned.stamp)


def _masses(plan: Plan, fitted: list[Sample]) -> Fitted[LesionNetwork]:
    """The mass network: trained, or of the version that the recipe takes it from."""
    if "masses" in plan.recipe.taken:
        return taken.mass_network(plan, fitted)
    return masses.train(plan, fitted, plan.run / "masses")


def _fit_novelty(plan: Plan, mass: LesionNetwork, fitted: list[Sample], small: NDArray[np.uint8]) -> None:
    """What is usual comes from both sets' films; a network that was taken over knows it already."""
    if "masses" not in plan.recipe.taken:
        mass.novelty.fit(pooled_statistics(mass, np.concatenate([masses.quarters(fitted), small])))


@dataclass(frozen=True, eq=False)
class Learned:
    """The fitted networks in the served one, and what held-out films say for calibration. `told` N×3: of each film of
    mini-MIAS what speaks of its abnormality (`gate.SPEAKERS`), by networks that it was kept out of; `fold_of` N;
    `specks`: the network of clusters of each fold; `stamp`: whom the mass network saw."""

    network: MammogramNetwork
    stamp: Stamp
    masses: MassCalibration
    fitted: list[Sample]
    films: list[Sample]
    places: Places
    fold_of: NDArray[np.int64]
    told: NDArray[np.float64]
    specks: list[Fitted[SpeckNetwork]]
    looks: list[dict[str, float]]
    shares: list[float]


@dataclass(frozen=True)
class MassCalibration:
    """Fitted on the held-out part of CBIS-DDSM's `train`."""

    values: dict[str, float]
    distances: NDArray[np.float64]
    looks: list[dict[str, float]]
    shares: list[float]


def learn(plan: Plan) -> Learned:
    """Train what is missing in `plan.run`, then read the held-out films."""
    known = list(masses.read(plan.data).part("train"))
    fitted, held = plan.kept_part(known)
    guarded(fitted, held)
    learned = _masses(plan, fitted)
    reader = FilmReader(effnet_lite0(weights="imagenet"))
    shown = list(films.read(plan.data).samples)
    places = films.places(reader, shown, plan.run / "places.npz")
    canvases = [film.working_canvas(read_gray(sample.path))[:2] for sample in shown]
    small = np.stack([quarter(canvas) for canvas, _ in canvases])
    _fit_novelty(plan, learned.thing, fitted, small)
    fold_of, told, specks = np.zeros(len(shown), np.int64), np.zeros((len(shown), len(gate.SPEAKERS))), []
    for fold, (train, outside) in enumerate(plan.folds(shown)):
        guarded([shown[i] for i in train], [shown[i] for i in outside])
        fold_of[outside] = fold
        films.fit(reader, places.part(train), plan.recipe, plan.seed)
        told[outside, gate.FILM], _ = films.score(reader, places.part(outside))
        specks.append(clusters.train(plan, [shown[i] for i in train], plan.run / f"clusters-{fold}"))
        told[outside, gate.CLUSTER] = clusters.score(specks[fold].thing, [canvases[i][0] for i in outside])
    served = clusters.train(plan, shown, plan.run / "clusters-final")
    network = MammogramNetwork(learned.thing, reader, served.thing).eval()
    calibration, forward = calibrate_masses(plan, network, held, learned.stamp)
    said = [forward(film.network_input(canvas)).outputs for canvas, _ in canvases]
    told[:, gate.MASS] = [gate.likeliest_mass(output, calibration.values) for output in said]
    return Learned(
        network, learned.stamp, calibration, fitted, shown, places, fold_of, told, specks,
        [appearance(canvas) for canvas in small], [float((breast > 0).mean()) for _, breast in canvases],
    )  # fmt: skip


def calibrate_masses(
    plan: Plan, network: MammogramNetwork, held: Sequence[Sample], stamp: Stamp
) -> tuple[MassCalibration, OnnxForward]:
    """Malignancy, the score of marks and their level, from films that the mass network has not seen; and the network
    that was asked, exported.

    Raises
    ------
    LeakError
        It has seen one of them.
    """
    held = judged(held, held, stamp)
    path = plan.run / "calibrate.onnx"
    export_onnx(network, _EXAMPLES, FilmOutput._fields, path)
    forward = OnnxForward(path)
    outputs, truths, looks, shares = [], [], [], []
    for sample in held:
        gray = read_gray(sample.path)
        canvas, breast, placement = film.working_canvas(gray)
        outputs.append(forward(film.network_input(canvas)).outputs)
        drawn = read_joined_masks(sample.masks, *gray.shape)
        laid, _ = lay_out(
            drawn, placement.crop, film.HEIGHT, film.WIDTH, mirrored=placement.mirrored, centred=False
        )
        truths.append(components(laid > 127))
        looks.append(appearance(quarter(canvas)))
        shares.append(float((breast > 0).mean()))
    malignant = np.array([bool(sample.label_binary) for sample in held])
    malignancy = fit_platt(np.array([float(output["malignancy"][0]) for output in outputs]), malignant)
    values = {"malignancy_slope": malignancy.slope, "malignancy_offset": malignancy.offset}
    values |= _fit_marks([output["candidates"][0] for output in outputs], truths)
    marks = [
        mark_of(number, mark.score, mark.box, truth)
        for number, (output, truth) in enumerate(zip(outputs, truths, strict=True))
        for mark in marks_of(output["candidates"][0], _outline(output), {**values, "mark_level": 0.0})
    ]
    values["mark_level"] = _level(marks, truths, plan.recipe.calibrate.false_marks)
    distances = np.array([float(output["distance"][0]) for output in outputs])
    return MassCalibration(values, distances, looks, shares), forward


def _outline(output: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    likely = sigmoid(output["outline"][0, 0])
    return np.asarray(
        cv2.resize(likely, (film.WIDTH, film.HEIGHT), interpolation=cv2.INTER_LINEAR), np.float32
    )


def _fit_marks(
    candidates: Sequence[NDArray[np.float32]], truths: Sequence[NDArray[np.int32]]
) -> dict[str, float]:
    """Logistic regression of "a mass is here" on the peak's logit and the closer look's."""
    rows, hits = [], []
    for places, truth in zip(candidates, truths, strict=True):
        near = cv2.dilate((truth > 0).astype(np.uint8), np.ones((9, 9), np.uint8))
        for x, y, peak, present, _ in places:
            rows.append((peak, present))
            hits.append(
                near[min(int(y * film.HALF), film.HEIGHT - 1), min(int(x * film.HALF), film.WIDTH - 1)] > 0
            )
    model = LogisticRegression(C=1.0).fit(np.array(rows), np.array(hits))
    peak, present = (float(value) for value in model.coef_[0])
    return {"mark_peak": peak, "mark_present": present, "mark_offset": float(model.intercept_[0])}


def _level(marks: Sequence[Mark], truths: Sequence[NDArray[np.int32]], false_marks: float) -> float:
    _, level = froc(marks, sum(int(truth.max()) for truth in truths), len(truths)).at(false_marks)
    return round(min(max(level, 0.01), 0.9), 4)


def described(plan: Plan, learned: Learned, folds: Sequence[int]) -> ModelManifest:
    """The manifest; the abnormality's calibration and operating points are fitted on the held-out logits of
    `folds`. Without weights yet."""
    chosen = np.isin(learned.fold_of, list(folds))
    abnormal = learned.places.abnormal[chosen]
    spoken = gate.fit(learned.told[chosen], abnormal)
    chances = gate.chances(spoken, learned.told[chosen])
    both = np.stack([1 - chances, chances], axis=1)
    normal_level, abnormal_level = plan.conformal_levels(both, abnormal.astype(np.int64))
    shares = [*learned.masses.shares, *learned.shares]
    return ModelManifest(
        name="mammography", version=plan.version,
        title="Mammography: abnormality of a view, masses and their malignancy",
        classes=("normal", "abnormal", "malignancy"), positive_class="abnormal",
        input=InputContract(
            modality=plan.recipe.modality, kinds=("image",), max_images=16, working_um_per_px=None,
            # a film of 24 × 30 cm, read at 25 µm, has 115 million pixels; thumbnails of films have 1 mm
            min_um_per_px=10.0, max_um_per_px=1200.0, max_pixels=120_000_000,
        ),
        weights=plan.unwritten_weights, preprocessing=film.PREPROCESSING,
        preprocessing_sha256=plan.digest(film.PREPROCESSING), thresholds=plan.operating_points(chances, abnormal),
        calibration={
            **learned.masses.values,
            **spoken,
            "conformal_normal": normal_level,
            "conformal_abnormal": abnormal_level,
            "novelty_limit": plan.novelty_limit(learned.masses.distances),
            "colour_high": plan.recipe.gates.colour,
            "breast_share_low": float(np.quantile(shares, 0.002)) * 0.7,
            "breast_share_high": min(0.97, float(np.quantile(shares, 0.998)) * 1.15),
            **fit_ranges([*learned.masses.looks, *learned.looks]),
        },
        parameters=parameter_count(learned.network),
        licence=f"Learned from mini-MIAS: {mini_mias.LICENCE}; and from CBIS-DDSM: {cbis_mass_256.LICENCE}",
        intended_use=INTENDED_USE,
    )  # fmt: skip


def fold_records(plan: Plan, learned: Learned, fold: int) -> list[Record]:
    """Predictions of record of the fold's films, by the serving pipeline with the fold's reader."""
    network, specks = copy.deepcopy(learned.network), learned.specks[fold]
    network.specks = specks.thing
    train = np.flatnonzero(learned.fold_of != fold)
    films.fit(network.film, learned.places.part(list(train)), plan.recipe, plan.seed)
    path = plan.run / f"fold-{fold}.onnx"
    export_onnx(network, _EXAMPLES, FilmOutput._fields, path, compared=True)
    manifest = described(
        plan, learned, [other for other in range(len(plan.folds(learned.films))) if other != fold]
    )
    own = [sample for sample, each in zip(learned.films, learned.fold_of, strict=True) if each == fold]
    readers = seen("film reader", [learned.films[index] for index in train])
    predicted = predict(manifest, OnnxForward(path), own, split="oof", fold=fold)
    return judged(own, predicted, readers, specks.stamp, learned.stamp)


def account(plan: Plan, learned: Learned) -> Account:
    """How the model was made, for its card."""
    women = len({sample.group_id for sample in learned.films})
    return Account(
        data=f"Two tasks, never pooled. Masses: CBIS-DDSM mass films at 256 px, {len(learned.fitted)} to train, "
        f"{len(learned.masses.shares)} to calibrate. Abnormality and density: mini-MIAS, {len(learned.films)} films "
        f"of {women} women.",
        method="A mass network outlines masses on the film at 288×192, then looks closer at its six best places in "
        "two windows: is there a mass, is it malignant? Every look is also taken upside down. A film reader over "
        "frozen ImageNet features of the film at 1152×768 and 576×384 gives each place of 32×32 px a suspicion, by one "
        "penalised linear layer learned from the circled findings; a film's abnormality is the mean of its six most "
        "suspicious places. A small network at full resolution looks for clusters of calcifications, taught by "
        "clusters drawn into normal films. A film's abnormality is a logistic of the film reader, the likeliest mass "
        "and the likeliest cluster, fitted out of fold. A breast is the mean of its views, an exam the higher breast. "
        f"{method(plan.recipe)}",
        protocol="CBIS-DDSM: fitted on the published `train` part, calibrated on one of "
        f"{plan.recipe.protocol.kept_part} grouped parts of it that the network had not seen; `val`, disjoint by "
        "woman, was read once for these figures. mini-MIAS: pooled out-of-fold predictions over train and val "
        f"together, {plan.recipe.protocol.folds} folds disjoint by woman; each fold's calibration comes "
        f"from the other folds. {plan.recipe.history} The served film reader was fitted "
        "afterwards on all films by the same recipe.",
        # no network that saw a film of mini-MIAS says how malignant a mass is
        foreign={mini_mias.NAME: ("malignancy",)},
        limits=(
            "Digitised film only; full-field digital mammograms were not tried.",
            "`malignancy` was learned from films that all show a mass: on a film without one it says little.",
            "The malignancy of masses was learned at 256 px a film: margins and calcifications are coarse there.",
            "The abnormality was learned from 258 films of one screening programme, MLO views only.",
            "Density (fatty, glandular, dense) follows mini-MIAS's three letters, not BI-RADS.",
        ),
        run=facts(plan.recipe),
    )

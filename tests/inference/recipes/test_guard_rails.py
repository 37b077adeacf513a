"""Leaks planted in the data flow of a recipe: each is refused, and the same flow without it passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from imaging.digest import sha256_of
from inference.blocks.registry import block
from inference.datasets.sample import HISTOPATHOLOGY, ULTRASOUND, LeakError, Sample, grouped_folds
from inference.recipes.boundary import guard, joined, look_alikes, refuse_neighbourly
from inference.recipes.pictures import Picture
from inference.recipes.pipeline import Pipeline, Place
from inference.recipes.provenance import Fitted, Rows, fit, held_out
from inference.recipes.reporting import records
from inference.recipes.schema import Recipe
from inference.recipes.steps import resampled
from inference.recipes.validation import parse

RNG = np.random.default_rng(5)


def texture(seed: int, level: float = 90.0, shape: tuple[int, int] = (90, 120)) -> np.ndarray:
    """Speckle with structure, as no two images share it."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.normal(level, 25, (9, 12)).astype(np.float32), shape[::-1])
    fine = cv2.resize(rng.normal(0, 18, (45, 60)).astype(np.float32), shape[::-1])
    return np.clip(coarse + fine, 1, 254).astype(np.uint8)


def samples_of(folder: Path, groups: int = 12) -> tuple[tuple[Sample, ...], dict[Path, Picture]]:
    """Two images a group, malignant ones a little brighter."""
    samples, pictures = [], {}
    for number in range(2 * groups):
        group = number // 2
        label = "malignant" if group % 2 else "benign"
        path = folder / f"{label} ({number}).png"
        image = texture(number, 90.0 + 25 * (group % 2))
        Image.fromarray(image).save(path)
        samples.append(
            Sample(
                f"{label} ({number})", "toy", ULTRASOUND, path, f"g{group}", label, label == "malignant",
                patient_id=f"p{group}",
            )
        )  # fmt: skip
        pictures[path] = Picture(image)
    return tuple(samples), pictures


def recipe_of(**changes: Any) -> Recipe:
    recipe = parse(
        {
            "id": "toy", "reference": 61, "title": "A toy",
            "task": {"classes": ["benign", "malignant"], "positive": "malignant"},
            "data": {"dataset": "busi", "size": [90, 120]},
            "streams": [{"features": ["intensity"]}],
            "select": [{"information_gain": {"keep": 4}}],
            "head": "logistic_regression",
            "expect": {"measure": "auc"},
            **changes,
        },
        "toy",
    )  # fmt: skip
    assert isinstance(recipe, Recipe)
    return recipe


class Flow:
    """One fold of the toy recipe, with a place to plant something that was learned elsewhere."""

    def __init__(self, folder: Path) -> None:
        self.samples, pictures = samples_of(folder)
        self.everything = Rows(self.samples, tuple(pictures[sample.path] for sample in self.samples))
        self.inside, self.outside = grouped_folds(self.samples, 3, 0)[0]
        self.train, self.held = self.everything.take(self.inside), self.everything.take(self.outside)
        self.place = Place(folder)

    def judged(self, recipe: Recipe, planted: dict[str, Fitted[Any]] | None = None) -> int:
        """How many records the fold gives; leaks raise."""
        pipeline = Pipeline(recipe, 0, dict(planted or {}))
        pipeline.fit(self.train, self.place)
        said = pipeline.predict(self.held)
        made = records(recipe, said, self.held, 0)
        refuse_neighbourly(pipeline.predict, self.held, said)
        return len(made)

    def learned_from(self, rows: Rows, recipe: Recipe) -> dict[str, Fitted[Any]]:
        """What the recipe's own code learns from `rows`."""
        pipeline = Pipeline(recipe, 0)
        pipeline.fit(rows, self.place)
        return pipeline.learned


@pytest.fixture
def flow(tmp_path: Path) -> Flow:
    return Flow(tmp_path)


def test_a_fold_without_a_leak_is_judged(flow: Flow) -> None:
    assert flow.judged(recipe_of()) == len(flow.outside)


# --- at the border -----------------------------------------------------------------------------------------


def border(folder: Path) -> tuple[list[Sample], list[Sample]]:
    samples, _ = samples_of(folder)
    inside, outside = grouped_folds(samples, 3, 0)[0]
    return [samples[i] for i in inside], [samples[i] for i in outside]


def crossed(train: Sequence[Sample], held: Sequence[Sample]) -> None:
    """What the runner does at the border."""
    guard(train, held, {s.path: sha256_of(s.path) for s in (*train, *held)}, look_alikes([*train, *held]))


def test_disjoint_parts_of_images_of_their_own_pass_the_border(tmp_path: Path) -> None:
    crossed(*border(tmp_path))


def test_a_patient_under_two_group_names_is_refused(tmp_path: Path) -> None:
    train, held = border(tmp_path)
    train[0] = replace(train[0], patient_id=held[0].patient_id)
    with pytest.raises(LeakError, match=f"patient_id {held[0].patient_id}"):
        crossed(train, held)


def test_identical_bytes_under_another_name_and_group_are_refused(tmp_path: Path) -> None:
    train, held = border(tmp_path)
    copy = tmp_path / "elsewhere.png"
    copy.write_bytes(held[0].path.read_bytes())
    train.append(replace(train[0], id="copy", path=copy, group_id="new", patient_id="new"))
    with pytest.raises(LeakError, match=r"elsewhere\.png \(train\) are the same bytes"):
        crossed(train, held)


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mirrored": lambda image: image[:, ::-1],
    "upside down": lambda image: image[::-1],
    "darker": lambda image: (image * 0.7 + 12).astype(np.uint8),
    "cropped by 4 %": lambda image: image[2:-2, 3:-2],
    "mirrored, cropped, darker": lambda image: (image[2:-2, -3:2:-1] * 0.8 + 8).astype(np.uint8),
    "turned": lambda image: np.rot90(image),
}


@pytest.mark.parametrize("change", CHANGES)
def test_an_augmented_copy_across_the_split_is_refused(tmp_path: Path, change: str) -> None:
    train, held = border(tmp_path)
    if change == "turned":  # tissue has no upright
        train, held = ([replace(s, discipline=HISTOPATHOLOGY) for s in part] for part in (train, held))
    copy = tmp_path / "copy.png"
    Image.fromarray(np.ascontiguousarray(CHANGES[change](np.asarray(Image.open(held[1].path))))).save(copy)
    train.append(replace(train[0], id="copy", path=copy, group_id="new", patient_id="new"))
    with pytest.raises(LeakError, match=r"copy\.png \(train\) look like copies"):
        crossed(train, held)


def test_joining_puts_look_alikes_into_one_group(tmp_path: Path) -> None:
    samples, _ = samples_of(tmp_path, groups=3)
    with Image.open(samples[0].path) as picture:
        picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(samples[4].path)
    twins = look_alikes(samples)
    assert [{pair.first, pair.second} for pair in twins] == [{samples[0].path, samples[4].path}]
    regrouped = joined(samples, twins)
    assert regrouped[4].group_id == regrouped[5].group_id == regrouped[0].group_id != regrouped[2].group_id


# --- in the flow -------------------------------------------------------------------------------------------


def test_a_scaler_fitted_on_everything_is_refused(flow: Flow) -> None:
    table = flow.everything.map(lambda picture: np.array([picture.image.mean(), picture.image.std()]))

    def scaled(rows: Rows) -> StandardScaler:
        return StandardScaler().fit(np.stack(rows.values))

    def judge(scaler: Fitted[StandardScaler]) -> Rows:
        given = scaler.apply(table, lambda thing, values: list(thing.transform(np.stack(values))))
        train, held = given.take(flow.inside), given.take(flow.outside)
        labels = [sample.label for sample in train.samples]
        head = fit("head", lambda rows: LogisticRegression().fit(np.stack(rows.values), labels), train)
        return held_out(head.apply(held, lambda thing, values: list(thing.predict_proba(np.stack(values)))))

    assert len(judge(fit("scaler", scaled, table.take(flow.inside)))) == len(flow.outside)
    with pytest.raises(LeakError, match="scaler was fitted on toy group"):
        judge(fit("scaler", scaled, table))


def test_what_was_shaped_by_held_out_rows_taints_what_learns_from_it(flow: Flow) -> None:
    centre = fit(
        "centre", lambda rows: float(np.mean([p.image.mean() for p in rows.values])), flow.everything
    )
    train = centre.apply(flow.train, lambda mean, values: [p.image.mean() - mean for p in values])
    bar = fit("threshold", lambda rows: float(np.median(rows.values)), train)
    said = bar.apply(flow.held, lambda level, values: [p.image.mean() > level for p in values])
    with pytest.raises(LeakError, match="threshold was fitted on"):
        held_out(said)


def test_features_selected_on_everything_are_refused(flow: Flow) -> None:
    recipe = recipe_of()
    planted = {"select.0": flow.learned_from(flow.everything, recipe)["select.0"]}
    with pytest.raises(LeakError, match=r"select\.0 was fitted on"):
        flow.judged(recipe, planted)


def test_a_stain_reference_of_everything_is_refused(flow: Flow) -> None:
    strength = 1.2 * (1 - np.array([0.80, 0.45, 0.70]))  # of the tints of haematoxylin and eosin

    def stained(picture: Picture) -> Picture:
        return Picture((255 - (255 - picture.image[..., None]) * strength).clip(0, 255).astype(np.uint8))

    flow.everything, flow.train, flow.held = (
        rows.map(stained) for rows in (flow.everything, flow.train, flow.held)
    )
    recipe = recipe_of(preprocess=["reinhard"], data={"dataset": "busi", "size": [90, 120], "colour": "rgb"})
    assert flow.judged(recipe) == len(flow.outside)
    planted = {"preprocess.0": flow.learned_from(flow.everything, recipe)["preprocess.0"]}
    with pytest.raises(LeakError, match=r"preprocess\.0 was fitted on"):
        flow.judged(recipe, planted)


def test_oversampling_before_the_split_is_refused(flow: Flow) -> None:
    few = flow.everything.take(
        [i for i, sample in enumerate(flow.samples) if sample.group_id not in ("g9", "g11")]
    )
    inside, outside = grouped_folds(few.samples, 3, 0)[0]
    recipe = recipe_of()
    flow.train, flow.held = few.take(inside), few.take(outside)
    assert flow.judged(recipe_of(train={"balance": "oversample"})) == len(
        outside
    )  # inside the fold: as it should be
    more = resampled(few, 0)
    inside, outside = grouped_folds(more.samples, 3, 0)[0]
    flow.train, flow.held = more.take(inside), more.take(outside)
    with pytest.raises(LeakError, match="resampling was fitted on"):
        flow.judged(recipe)


def test_calibration_on_the_held_out_fold_is_refused(flow: Flow) -> None:
    recipe = recipe_of(calibrate=True, train={"inner_folds": 3})
    pipeline = Pipeline(recipe, 0)
    pipeline.fit(flow.train, flow.place)
    assert len(records(recipe, pipeline.predict(flow.held), flow.held, 0)) == len(flow.outside)
    pipeline.learned["calibration"] = fit("calibration", lambda rows: 1.5, flow.held)
    with pytest.raises(LeakError, match="calibration was fitted on"):
        records(recipe, pipeline.predict(flow.held), flow.held, 0)


def test_settings_searched_on_everything_are_refused(flow: Flow) -> None:
    recipe = recipe_of(search={"over": {"head.parameters.C": [0.1, 10.0]}, "folds": 2})
    assert flow.judged(recipe) == len(flow.outside)
    found = flow.learned_from(flow.everything, recipe)["search"]
    assert set(found.thing) == {"head.parameters.C"}
    with pytest.raises(LeakError, match="search was fitted on"):
        flow.judged(recipe_of(), {"search": found})


def test_a_search_never_sees_the_held_out_fold(flow: Flow) -> None:
    recipe = recipe_of(search={"over": {"head.parameters.C": [0.1, 10.0]}, "folds": 2})
    learned = flow.learned_from(flow.train, recipe)
    seen = frozenset().union(*(fitted.stamp.seen for fitted in learned.values()))
    assert seen == flow.train.keys and seen.isdisjoint(flow.held.keys)


@block("head", "learns_while_predicting")
class LearnsWhilePredicting(LogisticRegression):
    """Standardises by whatever it is asked to predict: a leak that no record of groups shows."""

    def fit(self, rows: Any, labels: Any, groups: Any = None) -> LearnsWhilePredicting:  # type: ignore[override]
        super().fit((rows - rows.mean(axis=0)) / (rows.std(axis=0) + 1e-6), labels)
        return self

    def predict_proba(self, rows: Any) -> Any:
        return super().predict_proba((rows - rows.mean(axis=0)) / (rows.std(axis=0) + 1e-6))


def test_a_step_that_learns_from_what_it_predicts_is_refused(flow: Flow) -> None:
    with pytest.raises(LeakError, match="depends on the images predicted with it"):
        flow.judged(recipe_of(head="learns_while_predicting", select=[]))


def test_the_truths_outline_never_reaches_a_prediction(flow: Flow) -> None:
    rng = np.random.default_rng(1)

    def with_truth(picture: Picture) -> Picture:
        return Picture(picture.image, rng.random(picture.image.shape) < 0.3)

    recipe = recipe_of(
        streams=[{"segment": {"tuned": {"agents": 3, "iterations": 1}}, "features": ["intensity"]}]
    )
    pipeline = Pipeline(recipe, 0)
    pipeline.fit(flow.train.map(with_truth), flow.place)
    blind, told = pipeline.predict(flow.held), pipeline.predict(flow.held.map(with_truth))
    np.testing.assert_array_equal(np.stack(blind.values), np.stack(told.values))


def test_stamps_are_kept_with_a_saved_fold(flow: Flow, tmp_path: Path) -> None:
    recipe = recipe_of()
    pipeline = Pipeline(recipe, 0)
    pipeline.fit(flow.train, flow.place)
    pipeline.save(tmp_path / "pipeline.skops")
    again = Pipeline.load(tmp_path / "pipeline.skops")
    np.testing.assert_array_equal(
        np.stack(again.predict(flow.held).values), np.stack(pipeline.predict(flow.held).values)
    )
    with pytest.raises(LeakError):
        records(recipe, again.predict(flow.train), flow.train, 0)

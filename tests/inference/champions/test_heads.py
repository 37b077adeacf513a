"""A network with a fitted head: one graph of arrays, exported like every network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from inference.blocks.parameters import make
from inference.champions.whole_image.aggregates import Mean
from inference.champions.whole_image.heads import as_module
from inference.champions.whole_image.refusals import ExportError
from inference.champions.whole_image.streams import Numbers, ServedStreams
from inference.runtime.calibration import softmax
from inference.runtime.onnx_session import OnnxForward
from inference.runtime.onnx_to_torch.convert import network_of
from inference.runtime.whole_image.steps import bytes_of
from inference.training.export import export_onnx
from tests.inference.champions.runs import Made, Say, bundle_apart
from tests.inference.recipes.trees import NEURAL

SMALL = {"classifier": {"backbone": {"vgg_mini": {"width": 4, "stages": 3}}, "pool": "gap"}}
RECIPE: dict[str, Any] = {
    **NEURAL,
    "id": "toy_head",
    "data": {"dataset": "busi", "size": [32, 40], "protocol": "official"},
    "streams": [{"network": SMALL}, {"network": SMALL, "trained": False}],
    "select": ["information_gain"],
    "head": {"gradient_boosting": {"trees": 12}},
    "train": {"epochs": 1, "batch": 8},
    "calibrate": True,
}
HEADS = (
    ("logistic_regression", {}), ("logistic_regression", {"l1_ratio": 1.0}), ("svm", {}), ("svm", {"kernel": "poly"}),
    ("svm", {"kernel": "linear"}), ("svm", {"kernel": "sigmoid"}), ("random_forest", {"trees": 12}),
    ("random_forest", {"trees": 3, "max_depth": 2}), ("naive_bayes", {}), ("gradient_boosting", {"trees": 12}),
    ("mlp", {"hidden": [6, 4]}), ("svm", {"balanced": True}), ("knn", {}), ("knn", {"neighbours": 1}),
    ("knn", {"neighbours": 90}), ("gradient_boosting", {"trees": 12, "band": 0.01}),
    ("random_forest", {"trees": 4, "band": 0.01}),
)  # fmt: skip


def fitted(kind: str, settings: dict[str, Any], classes: str) -> tuple[Any, np.ndarray]:
    rng = np.random.default_rng(1)
    names = np.array(list(classes))[rng.integers(0, len(classes), 60)]
    rows = rng.normal(size=(60, 8)) + (names == classes[0])[:, None] * rng.normal(size=8)
    rows = rows.astype(np.float32).astype(np.float64)
    head = make("head", kind, settings, classes=len(classes), seed=0)
    return head.fit(rows, names, groups=[str(n % 20) for n in range(60)]), rows


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize(("kind", "settings"), HEADS)
@pytest.mark.parametrize("classes", ["ab", "abc", "abcde"])
def test_a_head_as_arrays_says_what_the_head_says(kind: str, settings: dict[str, Any], classes: str) -> None:
    head, rows = fitted(kind, settings, classes)
    asked = [*reversed(classes), "z"]  # its training part lacked one
    others = np.random.default_rng(2).normal(size=(40, 8)).astype(np.float32).astype(np.float64)
    for table in (rows, others, np.concatenate([rows[:1], others[:1]])):
        with torch.no_grad():
            said = as_module(head, asked)(torch.from_numpy(table.astype(np.float32))).numpy()
        np.testing.assert_allclose(said[:, :-1], head.predict_proba(table)[:, ::-1], atol=1e-5)
        assert (said[:, -1] == 0).all()


class OfBytes(torch.nn.Module):
    """A head over rows that come as bytes, as every served network's input does."""

    def __init__(self, head: torch.nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.head(x.float() / 64 - 2),)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("kind", sorted({kind for kind, _ in HEADS}))
@pytest.mark.parametrize("classes", ["ab", "abcd"])
def test_it_is_written_as_onnx_and_read_back(kind: str, classes: str, tmp_path: Path) -> None:
    head, _ = fitted(kind, {}, classes)
    network = OfBytes(as_module(head, classes))
    given = np.random.default_rng(4).integers(0, 256, (30, 8), dtype=np.uint8)
    export_onnx(network, (torch.from_numpy(given[:2]),), ("said",), tmp_path / "head.onnx", exact=True)
    expected = head.predict_proba(given.astype(np.float64) / 64 - 2)
    np.testing.assert_allclose(
        OnnxForward(tmp_path / "head.onnx")(given).outputs["said"], expected, atol=1e-5
    )
    with torch.no_grad():
        (again,) = network_of(tmp_path / "head.onnx").network(torch.from_numpy(given))
    np.testing.assert_allclose(again.numpy(), expected, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("kind", sorted({kind for kind, _ in HEADS}))
@pytest.mark.parametrize("classes", ["ab", "abc"])
def test_a_head_over_numbers_is_recorded_by_noise_and_says_what_it_says(
    kind: str, classes: str, tmp_path: Path
) -> None:
    """What serves is asked with random bytes, most of which are no number that an image ever had."""
    head, rows = fitted(kind, {}, classes)
    streams = [(32, Numbers(8), Mean())]
    network = ServedStreams(streams, np.arange(8), as_module(head, classes)).eval()
    examples = (torch.zeros((2, 1, 8, 4), dtype=torch.uint8),)
    export_onnx(network, examples, ("logits",), tmp_path / "head.onnx", exact=True)
    given = np.stack([bytes_of(row.astype(np.float32))[None] for row in rows])
    said = softmax(OnnxForward(tmp_path / "head.onnx")(given).outputs["logits"].astype(np.float64))
    np.testing.assert_allclose(said, head.predict_proba(rows), atol=1e-5)


@pytest.mark.parametrize("kind", ["gradient_boosting", "random_forest"])
def test_features_that_are_rounded_otherwise_move_steady_trees_by_a_part_of_a_leap(kind: str) -> None:
    """To both sides of a threshold, nearer than rounding."""
    plain, rows = fitted(kind, {"trees": 8}, "ab")
    steady, _ = fitted(kind, {"trees": 8, "band": 0.01}, "ab")
    line = rows[0] + np.linspace(-1, 1, 400)[:, None] * rows.std(axis=0)
    edge = int(np.abs(np.diff(plain.predict_proba(line)[:, 0])).argmax())
    low, high = line[edge], line[edge + 1]
    for _ in range(30):
        middle = (low + high) / 2
        steps = np.abs(np.diff(plain.predict_proba(np.stack([low, middle, high]))[:, 0]))
        low, high = (low, middle) if steps[0] > steps[1] else (middle, high)
    leap, moved = (
        abs(np.subtract(*head.predict_proba(np.stack([low, high]))[:, 0])) for head in (plain, steady)
    )
    assert leap > 0 and moved < leap / 20


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize(("kind", "settings"), [each for each in HEADS if each != ("knn", {})])
@pytest.mark.parametrize("classes", ["ab", "abc"])
def test_channels_that_hardly_ever_answered_are_as_far_away_as_the_head_finds_them(
    kind: str, settings: dict[str, Any], classes: str
) -> None:
    """Features of networks are often 0: where one answers for once it is thousands of standard deviations away. (Of
    five neighbours that are all so far away float32 cannot tell which are nearest.)"""
    rng = np.random.default_rng(1)
    names = np.array(list(classes))[rng.integers(0, len(classes), 80)]
    rows = np.maximum(0, rng.normal(size=(80, 24)) + (names == "a")[:, None] * rng.normal(size=24))
    rows[:, :8] *= (rng.random((80, 8)) < 0.05) * 1e-3
    head = make("head", kind, settings, classes=len(classes), seed=0)
    head.fit(rows.astype(np.float32), names, groups=[str(n % 20) for n in range(80)])
    far = rows[:20].astype(np.float32)
    far[:, :8] = (
        np.abs(rng.normal(size=(20, 8))) * np.tile([0.01, 0.1, 1, 3], 2) * (rng.random((20, 8)) < 0.4)
    )
    with torch.no_grad():
        said = as_module(head, list(classes))(torch.from_numpy(far)).numpy()
    np.testing.assert_allclose(said, head.predict_proba(far.astype(np.float64)), atol=1e-4)


def test_two_rows_alike_of_two_classes_share_the_answer() -> None:
    rows = np.random.default_rng(3).normal(size=(20, 4)).astype(np.float32).astype(np.float64)
    rows[1] = rows[0]
    head = make("head", "knn", {}, classes=2, seed=0).fit(rows, np.array(["a", "b"] * 10))
    with torch.no_grad():
        said = as_module(head, "ab")(torch.from_numpy(rows[:1].astype(np.float32))).numpy()
    np.testing.assert_allclose(said, [[0.5, 0.5]], atol=1e-6)


def test_a_head_of_another_kind_is_refused() -> None:
    with pytest.raises(
        ExportError, match="the head object cannot be written as a graph; logistic_regression, svm"
    ):
        as_module(object(), "ab")


def test_the_figures_are_those_of_the_run_and_the_card_names_the_head(one: Made, say: Say) -> None:
    status, printed, _ = say("evaluate", "toy_head", "--store", one.store, "--json")
    assert status == 0
    ours = {figure["name"]: figure["value"] for figure in json.loads(printed)["figures"]}
    theirs = {figure["name"]: figure["value"] for figure in one.page["figures"]}
    assert ours["auc_malignant"] == pytest.approx(theirs["auc"], abs=1e-4)
    assert ours["ece_malignant"] == pytest.approx(theirs["ece"], abs=1e-4)
    card = (one.folder / "card.md").read_text()
    assert (
        "The head gradient_boosting" in card
        and "chosen by information_gain" in card
        and "not trained" in card
    )


def test_monai_runs_its_bundle(one: Made, tmp_path: Path) -> None:
    assert bundle_apart(one, tmp_path / "lines.jsonl") < 1e-4


def test_it_is_predicted_explained_and_archived(one: Made, say: Say, tmp_path: Any) -> None:
    out = tmp_path / "out.jsonl"
    assert say("predict", "toy_head", one.image, "--out", out, "--store", one.store)[0] == 0
    result = json.loads(out.read_text())
    assert sum(result["probabilities"].values()) == pytest.approx(1, abs=1e-5) and result["heatmap"] is None
    words = ("explain", "toy_head", one.image, "--out", tmp_path, "--store", one.store, "--method")
    assert say(*words, "occlusion")[0] == 0
    status, _, sentence = say(*words, "integrated_gradients")
    assert status == 1 and sentence.count("\n") == 1, "trees have no gradient"
    status, printed, sentence = say("archive", "--out", tmp_path / "archives", "--store", one.store)
    assert status == 0 and "toy_head-1.0.0.mar" in printed, sentence


def test_its_occlusion_is_checked_and_a_method_that_it_has_not_is_told(one: Made, say: Say) -> None:
    words = (
        "explain",
        "toy_head",
        "--check",
        "--store",
        one.store,
        "--data",
        one.tree,
        "--limit",
        "2",
        "--json",
    )
    status, printed, sentence = say(*words, "--folds", one.run)
    assert status == 0, sentence
    assert json.loads(printed)["checks"]["pointing game"].keys() == {"occlusion"}
    for method in ("map", "integrated_gradients"):
        status, _, sentence = say(*words, "--folds", one.run, "--method", method)
        assert status == 1 and f"cannot be explained by {method}: ask for occlusion" in sentence

"""Aggregates of bags as modules of arrays: what the blocks say, in torch, as ONNX and on the way back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from inference.blocks import registry
from inference.blocks.parameters import make
from inference.champions.whole_image.aggregates import _NAMES, aggregate_of
from inference.champions.whole_image.refusals import ExportError
from inference.champions.whole_image.streams import Numbers
from inference.recipes.part import Block
from inference.runtime.onnx_session import OnnxForward
from inference.runtime.onnx_to_torch.convert import network_of
from inference.runtime.whole_image.steps import bytes_of
from inference.training.export import export_onnx

INSTANCES, WIDE = 5, 4
AGGREGATES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("mean", {}), ("vote", {}), ("max", {}), ("top_share", {"share": 0.5}), ("p_norm", {}), ("p_norm", {"p": 1.5}),
    ("kmeans_discriminative", {"clusters": 3, "folds": 2}), ("relevance_filter", {"minimum": 0.3, "folds": 2}),
    ("mi_svm", {}), ("mi_svm", {"kernel": "linear", "positive": "a"}), ("mi_svm_bag", {}),
    ("mi_svm_bag", {"kernel": "poly"}), ("citation_knn", {}), ("citation_knn", {"positive": "a", "references": 99}),
    ("citation_knn", {"rank": 0.5, "references": 2, "citers": 4}), ("non_parametric", {}),
    ("non_parametric", {"neighbours": 3, "share": 0.2, "positive": "a"}),
    ("axis_parallel_rectangle", {}), ("axis_parallel_rectangle", {"positive": "a", "room": 0.0}),
    ("em_diverse_density", {}), ("em_diverse_density", {"positive": "a", "starts": 1}),
    ("gated_attention", {"hidden": 6, "epochs": 3}), ("recurrent", {"hidden": 6, "epochs": 3}),
    ("recurrent", {"hidden": 5, "epochs": 3, "cell": "gru", "both_ways": False}),
    ("recurrent", {"hidden": 5, "epochs": 3, "read": "last"}),
    ("recurrent", {"hidden": 5, "epochs": 3, "cell": "gru", "read": "last", "both_ways": False}),
)  # fmt: skip


def bags_of(number: int, seed: int = 1) -> tuple[list[np.ndarray], np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.array(["b", "a"])[np.arange(number) % 2]
    bags = [
        rng.normal(size=(INSTANCES, WIDE)) + (label == "b") * np.eye(INSTANCES, WIDE) * 2 for label in labels
    ]
    for bag in bags[::3]:
        bag[-1] = 0.25  # patches of nothing are alike in every image
    return [bag.astype(np.float32).astype(np.float64) for bag in bags], labels


def fitted(name: str, settings: dict[str, Any]) -> tuple[Any, torch.nn.Module]:
    made = make("aggregate", name, settings, seed=0)
    if made.kind != "scores":
        made = made.fit(*bags_of(24), groups=[str(n // 2) for n in range(24)])
    return made, aggregate_of(Block(name=name, parameters=settings), made, ("b", "a", "z"), INSTANCES).eval()


def said_by(made: Any, bags: list[np.ndarray]) -> np.ndarray:
    if made.kind == "scores":
        return np.stack([made(bag) for bag in bags])
    if made.kind == "rows":
        return np.asarray(made.transform(bags))
    return np.pad(made.predict_proba(bags)[:, ::-1], ((0, 0), (0, 1)))  # b, a, and one that it does not know


class OfBytes(torch.nn.Module):
    """An aggregate over rows that come as bytes, as every served network's input does."""

    def __init__(self, aggregate: torch.nn.Module) -> None:
        super().__init__()
        self.numbers, self.aggregate = Numbers(WIDE, INSTANCES), aggregate

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.aggregate(self.numbers(x.flatten(1))),)


def test_every_aggregate_of_the_laboratory_is_known() -> None:
    assert set(registry.shipped("aggregate")) == set(_NAMES) == {name for name, _ in AGGREGATES}


@pytest.mark.parametrize(("name", "settings"), AGGREGATES)
def test_it_says_what_the_block_says_in_torch_as_onnx_and_back(
    name: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    made, module = fitted(name, settings)
    bags = [*bags_of(24)[0], *bags_of(16, seed=2)[0]]
    expected = said_by(made, bags)
    with torch.no_grad():
        said = module(torch.from_numpy(np.stack(bags).astype(np.float32))).numpy()
    np.testing.assert_allclose(said, expected, atol=2e-5)
    network = OfBytes(module).eval()
    example = torch.zeros((2, 1, INSTANCES * WIDE, 4), dtype=torch.uint8)
    export_onnx(network, (example,), ("said",), tmp_path / "a.onnx", exact=True)
    given = np.stack([bytes_of(bag.astype(np.float32).reshape(-1))[None] for bag in bags])
    np.testing.assert_allclose(OnnxForward(tmp_path / "a.onnx")(given).outputs["said"], expected, atol=2e-5)
    with torch.no_grad():
        (again,) = network_of(tmp_path / "a.onnx").network(torch.from_numpy(given))
    np.testing.assert_allclose(again.numpy(), expected, atol=2e-5)


@pytest.mark.parametrize(
    "name", ["citation_knn", "non_parametric", "mi_svm", "kmeans_discriminative", "recurrent"]
)
def test_it_says_the_same_of_one_bag_as_among_others(name: str) -> None:
    _, module = fitted(name, {})
    bags = torch.from_numpy(np.stack(bags_of(9, seed=3)[0]).astype(np.float32))
    with torch.no_grad():
        alone = torch.cat([module(bag[None]) for bag in bags])
        np.testing.assert_allclose(alone.numpy(), module(bags).numpy(), atol=1e-6)


def test_patches_that_all_say_the_same_are_all_relevant() -> None:
    bags = [np.zeros((INSTANCES, WIDE)) for _ in range(8)]
    block = make("aggregate", "relevance_filter", {}, seed=0)
    block._judge, block._all_relevant = None, True
    module = aggregate_of(Block(name="relevance_filter"), block, "ab", INSTANCES)
    assert module(torch.from_numpy(np.stack(bags)).float()).shape == (8, WIDE)


def test_an_aggregate_of_another_kind_is_refused() -> None:
    with pytest.raises(
        ExportError, match=r"the aggregate my_own cannot be written as a graph; .*citation_knn, "
    ):
        aggregate_of(Block(name="my_own"), object(), "ab", 3)

"""A fold's file: what every block learned comes back whole, and a write that is killed leaves the file before it."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from inference.blocks import registry
from inference.blocks.networks.arrays import arrays_of, with_arrays
from inference.blocks.parameters import make
from inference.blocks.registry import block
from inference.datasets.sample import ULTRASOUND, Sample
from inference.recipes.keeping import FoldError
from inference.recipes.pictures import Picture
from inference.recipes.pipeline import Pipeline, Place
from inference.recipes.provenance import Rows
from inference.recipes.rehearsal import rehearse
from inference.recipes.schema import Recipe, RecipeError
from inference.recipes.validation import parse
from tests.inference import plain_network  # noqa: F401 - registers `plain`
from tests.inference.recipes.test_every_block import places
from tests.inference.recipes.trees import CLASSIC, NEURAL

#: Families whose blocks a prediction goes through. Of networks' parts one untrained place each is enough.
ASKED = ("preprocess", "features", "segment", "aggregate", "select", "head", "search", "network")
PARTS = ("backbone", "pool", "attention")


def learns(family: str, name: str) -> bool:
    """Whether the block leaves something in a fold; images may be worked on without anything learned."""
    return family not in ("preprocess", "segment") or hasattr(registry.factory(family, name), "fit")


#: Seconds each, and the same code as the small ones.
LARGE = (
    *("resnet18", "resnet50", "densenet121", "densenet169", "densenet201", "effnet_lite1", "effnet_lite2"),
    *(
        "alexnet",
        "vgg16",
        "vgg19",
        "darknet53",
        "efficientnetv2_s",
        "inception_v3",
        "inception_resnet_v2",
        "xception",
    ),
)
CASES = [
    pytest.param(family, name, marks=pytest.mark.long if name in LARGE else ())
    for family in (*ASKED, *PARTS)
    for name in registry.shipped(family)
    if learns(family, name)
]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def tissue(seed: int, dark: bool, colour: bool) -> Picture:
    """Haematoxylin and eosin in lumps on white; the grey of it where colour is not asked for."""
    rng = np.random.default_rng(seed)
    amounts = np.stack([cv2.resize(rng.random((6, 8)).astype(np.float32), (40, 32)) for _ in range(2)], -1)
    amounts *= (rng.random((32, 40, 1)) * 0.4 + 0.8) * (2.2 if dark else 1.4)
    stains = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])
    image = np.clip(255 * np.exp(-(amounts @ stains)), 0, 255).astype(np.uint8)
    outline = np.zeros((32, 40), bool)
    outline[8:24, 10:30] = True
    return Picture(image if colour else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), outline)


def rows(colour: bool, groups: int = 12) -> tuple[Rows, Rows]:
    """A learning and a held-out part; two pictures a group."""
    samples, pictures = [], []
    for number in range(2 * groups):
        group = number // 2
        label = "malignant" if group % 2 else "benign"
        samples.append(
            Sample(
                f"i{number}", "toy", ULTRASOUND, Path(f"{number}.png"), f"g{group}", label, bool(group % 2)
            )
        )
        pictures.append(tissue(number, bool(group % 2), colour))
    everything = Rows(tuple(samples), tuple(pictures))
    return everything.take(range(16)), everything.take(range(16, 24))


def recipe_of(content: dict[str, Any]) -> Recipe:
    return parse({**content, "data": {**content["data"], "size": [32, 40]}}, "toy")


def learned(content: dict[str, Any], folder: Path) -> tuple[Pipeline, Rows]:
    recipe = recipe_of(content)
    train, held = rows(recipe.data.colour == "rgb")
    pipeline = Pipeline(recipe, 3)
    pipeline.fit(train, Place(folder))
    return pipeline, held


def there_and_back(content: dict[str, Any], folder: Path) -> None:
    pipeline, held = learned(content, folder)
    pipeline.save(folder / "fold")
    before = torch.random.get_rng_state()
    again = Pipeline.load(folder / "fold")
    assert torch.equal(torch.random.get_rng_state(), before)
    assert again.recipe == pipeline.recipe and again.seed == pipeline.seed
    assert set(again.learned) == set(pipeline.learned)
    for step, one in pipeline.learned.items():
        assert again.learned[step].stamp == one.stamp
        assert type(again.learned[step].thing) is type(one.thing)
        if step not in ("search", "calibration"):
            assert getattr(again.learned[step].thing, "fitted_on", None) == getattr(
                one.thing, "fitted_on", None
            )
    for ours, theirs in zip(again.predict(held).values, pipeline.predict(held).values, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(("family", "name"), CASES, ids=lambda value: str(value))
def test_what_a_block_learned_comes_back_whole(family: str, name: str, tmp_path: Path) -> None:
    if registry.traits(family, name).gives == "objective":
        network = make(family, name, {}, classes=2)
        again = with_arrays(make(family, name, {}, classes=2), arrays_of(network)).state_dict()
        assert all(torch.equal(again[key], value) for key, value in network.state_dict().items())
        return
    asked = places(family, name)
    if family in PARTS:
        asked = asked[1:2]
    elif family == "features":  # inside an outline, which some need
        asked = [content for content in asked if content["streams"][0].get("segment")]
    elif name in ("macenko", "reinhard"):
        asked = [content for content in asked if content["data"].get("colour") == "rgb"]
    for content in asked:
        try:
            recipe_of(content)
        except RecipeError:  # a place that the block does not stand in, as `test_every_block` says
            continue
        there_and_back(content, tmp_path)
        return
    pytest.fail(f"{family} {name} stands in no place")


@pytest.mark.parametrize(
    "head",
    [
        {"svm": {"balanced": True, "tune": {"C": [1.0, 2.0]}, "folds": 2}},
        {"hierarchical": {"branches": {"b": ["benign"], "m": ["malignant"]}, "first": "gradient_boosting"}},
        {"logistic_regression": {"l1_ratio": 0.5}},
        {"mlp": {"hidden": [4, 3]}},
    ],
    ids=lambda head: next(iter(head)),
)
def test_a_heads_settings_come_back_too(head: dict[str, Any], tmp_path: Path) -> None:
    there_and_back({**CLASSIC, "head": head}, tmp_path)


def test_a_trained_network_and_its_calibration_come_back(tmp_path: Path) -> None:
    calibrated = {**NEURAL["train"], "patience": 1, "inner_folds": 2}
    there_and_back({**NEURAL, "train": calibrated, "calibrate": True}, tmp_path)


def test_a_state_that_no_file_may_hold_is_refused_when_it_is_written(tmp_path: Path) -> None:
    pipeline, _ = learned({**CLASSIC, "head": "naive_bayes"}, tmp_path)
    pipeline.save(tmp_path / "fold")
    kept = (tmp_path / "fold").read_bytes()
    for strange, match in ((os.system, "posix.system"), (Foreign(), "Foreign"), (iter(()), "cannot hold")):
        pipeline.learned["head"].thing.estimator_ = strange
        with pytest.raises(FoldError, match=match):
            pipeline.save(tmp_path / "fold")
    assert (tmp_path / "fold").read_bytes() == kept


class Foreign:
    """What a block of somebody else's might hold."""


class CountsRows:
    """Somebody's block, registered outside this package: it needs no entry in any list."""

    def fit(self, table: Any, labels: Any, groups: Any = None) -> CountsRows:
        self.classes_ = np.unique(labels)
        self.share = np.array([np.mean(np.asarray(labels) == name) for name in self.classes_])
        return self

    def predict_proba(self, table: Any) -> Any:
        return np.tile(self.share, (len(table), 1))


class HoldsForeign(CountsRows):
    """One whose state is an object that a file would have to name."""

    def fit(self, table: Any, labels: Any, groups: Any = None) -> HoldsForeign:
        self.judge = Foreign()
        super().fit(table, labels, groups)
        return self


def test_somebodys_block_is_kept_as_what_it_learned(tmp_path: Path) -> None:
    block("head", "counts_rows")(CountsRows)
    there_and_back({**CLASSIC, "head": "counts_rows"}, tmp_path)


def test_a_head_that_no_file_may_hold_is_refused_before_data_are_read() -> None:
    block("head", "holds_foreign")(HoldsForeign)
    rehearse(recipe_of(CLASSIC))
    with pytest.raises(
        RecipeError, match=r"toy_classic: head: holds_foreign: a fold's file cannot hold .*Foreign"
    ):
        rehearse(recipe_of({**CLASSIC, "head": "holds_foreign"}))


def test_a_killed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "kept" / "pipeline.skops"
    path.parent.mkdir()
    other, _ = learned(CLASSIC, tmp_path)
    other.save(path)
    before = path.read_bytes()
    other.seed = 99
    writer = os.fork()
    if writer == 0:  # the kernel kills it at the 500th byte
        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
            other.save(path)
        finally:
            os._exit(1)
    _, status = os.waitpid(writer, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXFSZ
    assert path.with_suffix(".part").stat().st_size == 500
    assert path.read_bytes() == before
    other.save(path)
    assert Pipeline.load(path).seed == 99 and [file.name for file in path.parent.iterdir()] == [path.name]

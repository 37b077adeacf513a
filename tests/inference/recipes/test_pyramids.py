"""Places of slides, seen from afar and from near ([42]): where they lie, what their squares show, who reads them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch

from inference.blocks.networks.levels import LevelReader
from inference.datasets import camelyon17
from inference.datasets.generated import pictures, write
from inference.datasets.pixels import read_rgb
from inference.datasets.sample import DatasetError, Manifest
from inference.recipes import slides
from inference.recipes.pictures import read, read_file
from inference.recipes.protocol import choose, divide
from inference.recipes.recipe_file import load
from inference.recipes.schema import Pyramid, Recipe, RecipeError, Task
from inference.recipes.validation import changed

TASK = Task(classes=("normal", "tumour"), positive="tumour")
FIELDS = Pyramid(levels=(4, 2, 1), um_per_px=1.0, fields=12)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write("camelyon17", tmp_path_factory.mktemp("slides") / "camelyon17")


@pytest.fixture
def quick() -> Recipe:
    return load("su2021_pyramid_lstm", ("quick",))


def test_fields_lie_in_tissue_and_inside_or_outside_of_the_outlines(tree: Path) -> None:
    slides_of = camelyon17.read(tree)
    made, declared = slides.fields_of(slides_of, FIELDS, TASK, 32, seed=0)
    assert declared[1] == "2 slides of which nobody says where their tumour is were left out"
    fields = {slide.id: [s for s in made.samples if s.path == slide.path] for slide in slides_of.samples}
    tumour = fields["patient_099_node_1"]
    assert Counter(s.label for s in tumour) == {"normal": 6, "tumour": 6}
    assert {s.label for s in fields["patient_004_node_0"]} == {"normal"}
    assert not fields["patient_020_node_3"]  # itc, and no annotation says where
    for sample in tumour:
        assert sample.place is not None
        away = np.hypot(sample.place[0] - 80, sample.place[1] - 96)
        assert away < 70 if sample.label == "tumour" else away > 44
    assert len({sample.id for sample in made.samples}) == len(made.samples)
    again, _ = slides.fields_of(slides_of, FIELDS, TASK, 32, seed=0)
    assert again == made


def test_squares_are_concentric_and_white_where_the_slide_ends(tree: Path) -> None:
    path = tree / "training" / "patient_099_node_1.tif"
    stored = tifffile.imread(path, key=0)
    strip = slides.levels(path, (80.0, 96.0), FIELDS, 32, "rgb")
    afar, middle, near = np.split(strip, 3)
    np.testing.assert_array_equal(near, stored[80:112, 64:96])
    halved = cv2.resize(stored[64:128, 48:112], (32, 32), interpolation=cv2.INTER_AREA)
    assert np.abs(middle.astype(int) - halved).max() <= 2
    assert (afar != 255).any(axis=2).all()
    corner = np.split(slides.levels(path, (16.0, 16.0), FIELDS, 32, "rgb"), 3)[0]
    assert (corner[:12] == 255).all() and (corner[:, :12] == 255).all()
    assert (corner[13:, 13:] != 255).any(axis=2).all()
    assert slides.levels(path, (80.0, 96.0), FIELDS, 32, "gray").shape == (96, 32)


def test_of_an_image_the_middle_is_the_place(tmp_path: Path, quick: Recipe) -> None:
    pictures.colour(tmp_path / "a.png", 128, 96)
    stored = read_rgb(tmp_path / "a.png")
    of_images = changed(quick, {"data.pyramid": {"levels": [3, 1], "um_per_px": None}, "data.size": [64, 32]})
    near = read_file(tmp_path / "a.png", of_images.data).image[32:]
    np.testing.assert_array_equal(near, stored[32:64, 48:80])
    with pytest.raises(DatasetError, match="reads fields of slides, and no images"):
        read_file(tmp_path / "a.png", quick.data)


def test_a_run_divides_fields_by_centre(tree: Path, quick: Recipe) -> None:
    chosen = choose(quick, tree, 0)
    folds, _ = divide(chosen, quick.data, 0)
    assert [fold.name for fold in folds] == [f"without-centre-{n}" for n in (0, 1, 4)]
    assert all(fold.train and fold.held_out for fold in folds)
    assert sum(len(fold.held_out) for fold in folds) == len(chosen.samples)
    assert read(chosen.samples[:2], quick.data).values[0].image.shape == (96, 32, 3)


def test_slides_without_scale_or_without_a_tumour_are_told(tmp_path: Path) -> None:
    plain = tmp_path / "training" / "patient_004_node_0.tif"
    pictures.slide(plain)
    (tmp_path / "stage_labels.csv").write_text("patient,stage\npatient_004_node_0.tif,negative\n")
    manifest = camelyon17.read(tmp_path)
    with pytest.raises(DatasetError, match=r"node_0\.tif: The file is an image"):
        slides.fields_of(manifest, FIELDS, TASK, 32, 0)
    pictures.pyramid(plain)
    with pytest.raises(DatasetError, match="its slides have no field of class tumour"):
        slides.fields_of(manifest, FIELDS, TASK, 32, 0)
    with pytest.raises(DatasetError, match="two classes, not 3"):
        slides.fields_of(
            Manifest("camelyon17", "", ()), FIELDS, Task(classes=("a", "b", "c"), positive="c"), 32, 0
        )


def test_what_does_not_fit_a_pyramid_is_told_before_anything_is_read(quick: Recipe) -> None:
    for settings, words in (
        ({"data.size": [64, 32]}, "3 times as high as wide"),
        ({"data.pyramid.levels": [1, 2, 4]}, "from afar to near"),
        ({"data.roi": "mask"}, "a pyramid has its own squares"),
    ):
        with pytest.raises(RecipeError, match=words):
            changed(quick, settings)


def test_an_lstm_hears_in_which_order_the_levels_come() -> None:
    torch.manual_seed(0)
    small = {"vgg_mini": {"width": 4, "stages": 2}}
    picture = torch.rand(2, 3, 48, 16) * 2 - 1
    swapped = torch.cat([picture[:, :, 16:32], picture[:, :, :16], picture[:, :, 32:]], dim=2)
    for fused, hears in (("lstm", True), ("mean", False)):
        network = LevelReader(small, small, hidden=8, fused=fused).eval()  # type: ignore[arg-type]
        assert torch.allclose(network(picture), network(swapped), atol=1e-6) is not hears
        with pytest.raises(ValueError, match="no squares of several levels"):
            network(picture[:, :, :40])
    nuclei, pale = torch.tensor([0.30, 0.25, 0.55]), torch.tensor([0.93, 0.70, 0.80])
    seen = [float(network.haematoxylin((c * 2 - 1)[None, :, None, None])) for c in (nuclei, pale)]
    assert seen[0] > seen[1] + 0.5

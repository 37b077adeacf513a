"""Heat maps of networks whose reasons are known, because they were made by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, features
from torch import Tensor, nn

from inference.champions.explained import Canvas, Explained, Reading
from inference.champions.registry import explained_of
from inference.datasets import busi
from inference.datasets.generated import write
from inference.datasets.sample import MAMMOGRAPHY, Sample
from inference.explain import check as checks
from inference.explain.deletion import areas, cells_of, centre_gaussian, compare, order_of
from inference.explain.measure import Outcome, summarise
from inference.explain.methods import heat_of, method_named
from inference.explain.network import AnswerForward, NoSuchExplanation, through_module
from inference.explain.overlay import overlay
from inference.explain.pointing import play, pointing
from inference.explain.randomisation import STOPS, cascade, layers_of, randomised, stop_name
from inference.explain.subject import Subject, blurred, subject_of
from inference.runtime.geometry import Placement
from inference.runtime.onnx_to_torch.convert import network_of
from inference.training.export import export_onnx

SIDE = 32
SQUARE = (slice(4, 12), slice(18, 26))
METHODS = ("map", "integrated_gradients", "occlusion")


class SquareOutput(NamedTuple):
    odds: Tensor
    place: Tensor


class SquareNetwork(nn.Module):
    """Answers by the brightness of one square and by nothing else; its map shows what it weighs."""

    def __init__(self) -> None:
        super().__init__()
        self.see = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.weigh = nn.Linear(4 * SIDE * SIDE, 1)
        with torch.no_grad():
            self.see.weight.zero_()
            self.see.weight[:, 0, 1, 1] = 1.0
            self.weigh.weight.zero_()
            self.weigh.weight.view(4, SIDE, SIDE)[:, *SQUARE] = 0.117
            self.weigh.bias.fill_(-16.6)  # in doubt between the image and its background

    def forward(self, x: Tensor) -> SquareOutput:
        features = torch.relu(self.see(x.float() / 255))
        weighed = features * self.weigh.weight.view(1, 4, SIDE, SIDE)
        place = torch.sigmoid(weighed.sum(dim=1, keepdim=True) * 8)
        return SquareOutput(self.weigh(features.flatten(1)), place)


READING = Reading(
    lambda outputs: {"malignant": outputs["odds"][:, 0], "benign": -outputs["odds"][:, 0]},
    lambda outputs: outputs["place"][:, 0],
    "malignant",
)


def subject(number: int) -> Subject:
    """Noise, with the square brighter than the rest."""
    pixels = np.random.default_rng(number).integers(20, 90, (SIDE, SIDE)).astype(np.uint8)
    pixels[SQUARE] += 120
    lesion = np.zeros((SIDE, SIDE), bool)
    lesion[SQUARE] = True
    place = Placement(SIDE, SIDE, (0, 0, SIDE, SIDE), 1, 1, 0, 0, SIDE, SIDE)
    canvas = Canvas(pixels[None, None], np.ones((SIDE, SIDE), bool), place)
    return Subject(str(number), f"g{number}", canvas, Path("none"), "malignant", lesion)


SUBJECTS = [subject(number) for number in range(6)]
AREA = 64 / SIDE**2


@pytest.mark.parametrize("name", METHODS)
def test_a_map_points_at_the_square_that_decides(name: str) -> None:
    answer = through_module(SquareNetwork())
    outcomes = play(name, lambda label: method_named(name, answer, READING, label), SUBJECTS)
    (found,) = summarise(outcomes)
    assert (found.value, found.low, found.images, found.groups) == (1.0, 1.0, 6, 6)
    assert found.chance == pytest.approx(AREA, abs=1e-4)


def test_maps_that_know_nothing_point_by_chance() -> None:
    generator = np.random.default_rng(1)
    lesion = SUBJECTS[0].lesion
    assert lesion is not None
    noise = generator.random((2000, SIDE, SIDE)).astype(np.float32)
    hits = np.mean([pointing(heat, lesion) for heat in noise])
    assert hits == pytest.approx(AREA, abs=0.02)
    assert pointing(np.zeros((SIDE, SIDE), np.float32), lesion) == pytest.approx(AREA)


def test_the_tolerance_is_counted_in_pixels() -> None:
    heat = np.zeros((SIDE, SIDE), np.float32)
    heat[14, 20] = 1  # three below the square
    lesion = SUBJECTS[0].lesion
    assert lesion is not None
    assert (pointing(heat, lesion), pointing(heat, lesion, 2), pointing(heat, lesion, 3)) == (0, 0, 1)


def test_integrated_gradients_sum_to_the_change_of_the_log_odds() -> None:
    answer, one = through_module(SquareNetwork()), SUBJECTS[0].canvas
    values = method_named("integrated_gradients", answer, READING, "malignant")(one)
    both = answer(torch.from_numpy(np.concatenate([one.tensor, blurred(one)])).float())["odds"][:, 0]
    assert values.sum() == pytest.approx((both[0] - both[1]).item(), abs=1e-3)
    outside = values.copy()
    outside[SQUARE] = 0
    assert np.abs(outside).max() < 1e-6


@pytest.mark.parametrize("name", METHODS)
def test_deleting_and_inserting_by_a_good_map_beats_random_orders(name: str) -> None:
    answer = through_module(SquareNetwork())

    def explain(label: str) -> object:
        return method_named(name, answer, READING, label)

    outcomes = compare(name, explain, answer, READING, SUBJECTS)  # type: ignore[arg-type]
    found = {one.check: one for one in summarise(outcomes)}
    assert found["deletion, better than random"].low > 0.2
    assert found["insertion, better than random"].low > 0.2
    assert found["deletion, better than the centre"].low > 0
    again = compare(name, explain, answer, READING, SUBJECTS)  # type: ignore[arg-type]
    assert again == outcomes


def test_deleting_by_a_random_map_is_no_better_than_random() -> None:
    answer, generator = through_module(SquareNetwork()), np.random.default_rng(5)

    def noise(label: str) -> object:
        return lambda canvas: generator.random(canvas.picture.shape).astype(np.float32)

    outcomes = compare("map", noise, answer, READING, SUBJECTS * 4)  # type: ignore[arg-type]
    for one in summarise(outcomes):
        if "random" in one.check:
            assert abs(one.value) < 0.05


def test_a_deletion_starts_at_the_image_and_ends_at_its_background() -> None:
    class Mean(nn.Module):
        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"odds": (x.mean(dim=(2, 3)) - 60) / 10, "place": x}

    one = SUBJECTS[0].canvas
    cells = cells_of(one, 8)
    assert cells.max() == 15 and (cells[:8, :8] == 0).all()
    order = order_of(one.tensor[0, 0].astype(np.float32), cells, np.random.default_rng(0))
    deleted, inserted = areas(through_module(Mean()), READING, "malignant", one, cells, order)
    backwards, _ = areas(through_module(Mean()), READING, "malignant", one, cells, order[::-1])
    assert inserted > deleted
    # what is left when the coldest go first is what has come when the hottest come first
    assert inserted == pytest.approx(backwards, abs=1e-6)


def test_padding_is_neither_deleted_nor_pointed_at_nor_part_of_the_background() -> None:
    pixels = np.full((40, 80), 200, np.uint8)
    canvas = explained_of("ultrasound").preprocess(pixels)
    cells = cells_of(canvas)
    assert not canvas.picture.all() and (cells[~canvas.picture] == -1).all()
    assert set(np.unique(cells[canvas.picture])) == set(range(int(cells.max()) + 1))
    assert (blurred(canvas)[0, 0][canvas.picture] == 200).all()
    centre = centre_gaussian(canvas)
    middle = canvas.picture.shape[0] // 2
    assert centre.max() == pytest.approx(centre[middle, middle], abs=0.01)


@pytest.mark.parametrize("name", ["map", "integrated_gradients"])
def test_random_weights_break_the_map_and_are_put_back(name: str) -> None:
    module = SquareNetwork()
    answer = through_module(module)
    before = [values.clone() for values in module.parameters()]
    image = torch.from_numpy(SUBJECTS[0].canvas.tensor).float()
    layers = layers_of(module, lambda: READING.log_odds(answer(image))["malignant"])
    assert layers == ["weigh", "see"]
    found = {
        one.check: one
        for one in summarise(
            cascade(name, module, lambda label: method_named(name, answer, READING, label), layers, SUBJECTS)
        )
    }
    last = found[stop_name("rank correlation", STOPS[-1])]
    assert abs(last.value) < 0.2 and abs(last.chance) < 0.2
    assert found[stop_name("SSIM", STOPS[-1])].value < 0.7
    assert all(torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))


def test_a_map_of_edges_survives_random_weights_and_is_found_out() -> None:
    module = SquareNetwork()

    def edges(label: str) -> object:
        return lambda canvas: cv2.convertScaleAbs(cv2.Laplacian(canvas.tensor[0, 0], cv2.CV_32F)) / 255

    measured = summarise(cascade("map", module, edges, ["weigh", "see"], SUBJECTS))  # type: ignore[arg-type]
    (claim,) = checks.verdicts("ultrasound", measured).values()
    assert claim is False


def test_only_layers_that_the_answer_depends_on_are_randomised() -> None:
    module = nn.ModuleDict({"used": nn.Linear(4, 2), "aside": nn.Linear(4, 2)})
    module["used"].requires_grad_(False)  # a frozen layer is a layer too
    x = torch.ones(1, 4)
    assert layers_of(module, lambda: module["used"](x)) == ["used"]
    assert not module["used"].weight.requires_grad
    aside = module["aside"].weight.clone()
    with randomised(module, ["used"], seed=0):
        once = module["used"].weight.clone()
    with randomised(module, ["used"], seed=0):
        assert torch.equal(once, module["used"].weight)
    assert torch.equal(aside, module["aside"].weight) and not torch.equal(once, module["used"].weight)


def test_the_interval_is_over_groups() -> None:
    outcomes = [Outcome("c", "m", str(n), f"g{n // 10}", float(n // 10 % 2)) for n in range(80)]
    (one,) = summarise(outcomes)
    assert (one.value, one.images, one.groups) == (0.5, 80, 8)
    assert one.high - one.low > 0.4


def test_a_network_made_of_an_onnx_file_gives_the_same_gradients(tmp_path: Path) -> None:
    network = SquareNetwork()
    path = tmp_path / "model.onnx"
    export_onnx(network, (torch.zeros((2, 1, SIDE, SIDE), dtype=torch.uint8),), SquareOutput._fields, path)
    made = network_of(path)
    assert made.outputs == SquareOutput._fields
    answer = through_module(made.network, made.outputs)
    stored = method_named("integrated_gradients", answer, READING, "malignant")
    own = method_named("integrated_gradients", through_module(network), READING, "malignant")
    assert np.abs(stored(SUBJECTS[0].canvas) - own(SUBJECTS[0].canvas)).max() < 1e-3


def test_outputs_without_names_are_refused() -> None:
    class Nameless(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x, x

    with pytest.raises(ValueError, match="2 outputs, 0 names"):
        through_module(Nameless())(torch.zeros(1))


def test_gradients_of_what_has_none_are_refused_with_a_sentence() -> None:
    def answer(x: Tensor) -> dict[str, Tensor]:
        return {"odds": x.detach().mean(dim=(2, 3)), "place": x}

    with pytest.raises(NoSuchExplanation, match="torch network"):
        method_named("integrated_gradients", answer, READING, "malignant")(SUBJECTS[0].canvas)


def test_a_lesion_lies_on_the_canvas_where_it_lies_in_the_film(tmp_path: Path) -> None:
    """Through crop, mirror and scale; a lesion of few pixels does not vanish."""
    from PIL import Image

    film = np.zeros((400, 300), np.uint8)
    tissue = np.random.default_rng(0).integers(40, 120, (320, 179))
    film[40:360, 120:299] = tissue  # chest wall on the right
    film[200:204, 200:204] = 255
    mask = np.where(film == 255, 255, 0).astype(np.uint8)
    Image.fromarray(film).save(tmp_path / "film.png")
    Image.fromarray(mask).save(tmp_path / "mask.png")
    sample = Sample(
        "film", "cbis_mass_256", MAMMOGRAPHY, tmp_path / "film.png", "g", "malignant", True,
        masks=(tmp_path / "mask.png",),
    )  # fmt: skip
    found = subject_of(explained_of("mammography"), sample)
    assert found.canvas.placement.mirrored
    assert found.lesion is not None and found.lesion.any()
    shown = found.canvas.tensor[0, 0]
    assert shown[found.lesion].mean() > 1.3 * shown[found.canvas.picture].mean()


def test_heat_is_what_speaks_for_the_class_over_its_maximum() -> None:
    values = np.full((64, 64), -1.0, np.float32)
    values[20:30, 20:30] = 5
    heat = heat_of("occlusion", values)
    assert heat.max() == 1 and heat[50, 50] == 0 and heat[25, 25] > 0.9
    assert np.array_equal(heat_of("map", np.array([[0.3]], np.float32)), np.array([[0.3]], np.float32))


def test_an_overlay_leaves_cold_places_as_they_are() -> None:
    picture = np.full((20, 30), 77, np.uint8)
    heat = np.zeros((10, 15), np.float32)
    heat[2, 2] = 1
    shown = overlay(picture, heat)
    assert shown.shape == (20, 30, 3) and (shown[15, 25] == 77).all() and (shown[4:6, 4:6] != 77).any()


def test_folds_are_pooled_and_what_is_recorded_says_what_holds(tmp_path: Path) -> None:
    from inference.runtime.store import read_manifest

    pooled = checks.Checked()
    for fold in range(2):
        pooled += checks.Checked([Outcome("pointing game", "served map", f"{fold}", f"g{fold}", 1.0, 0.1)])
    pooled.outcomes.append(Outcome("deletion, better than random", "map", "0", "g0", -0.1))
    manifest = read_manifest("ultrasound")
    content = checks.report(manifest, summarise(pooled.outcomes), command="c", protocol="Two folds.")
    written = json.loads(checks.record(tmp_path, content).read_text())
    assert written["weights_sha256"] == manifest.weights.sha256
    assert list(written["holds"].values()) == [True, False]
    assert written["checks"]["pointing game"]["served map"] == {
        "check": "pointing game", "method": "served map", "images": 2, "groups": 2, "value": 1.0, "low": 1.0,
        "high": 1.0, "chance": 0.1,
    }  # fmt: skip


def shrunk(pixels: np.ndarray) -> Canvas:
    """A frame of the generated set at the hand-made network's size."""
    small = np.asarray(cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)
    height, width = pixels.shape
    place = Placement(width, height, (0, 0, width, height), SIDE / width, SIDE / height, 0, 0, SIDE, SIDE)
    return Canvas(small[None, None], np.ones((SIDE, SIDE), bool), place)


class Brightness(nn.Module):
    """Outlines what is bright, as the discs of the generated frames are; serving's outputs by serving's names."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        small = nn.functional.avg_pool2d(x.float(), 4)
        outline = (nn.functional.avg_pool2d(small, 5, 1, 2) - 140) / 8
        bright = outline.amax(dim=(1, 2, 3))
        logits = torch.stack([bright, bright, -bright], dim=1)
        return {
            "logits": logits, "outline": outline, "malignancy": outline, "distance": torch.ones(len(x)),
        }  # fmt: skip


def test_a_folds_network_is_checked_in_one_call_and_the_same_by_the_same_seed(tmp_path: Path) -> None:
    write("busi", tmp_path)
    samples = busi.read(tmp_path).samples
    module = SquareNetwork()
    answer = through_module(module)
    network = checks.Network(Explained(shrunk, READING), answer, (module, answer))
    checked = checks.check(network, samples, limit=4, compared=1)
    found = {(one.check, one.method): one for one in summarise(checked.outcomes)}
    assert {method for _, method in found} == set(METHODS)
    assert all(found["pointing game", name].images == 4 for name in METHODS)  # normal frames do not count
    assert found["deletion, better than random", "map"].images == 1
    assert (stop_name("SSIM", 1.0), "integrated_gradients") in found
    assert set(checked.seconds) == set(METHODS)
    assert checks.check(network, samples, limit=4, compared=1).outcomes == checked.outcomes
    assert checks.check(network, samples, limit=4, compared=1, seed=1).outcomes != checked.outcomes


def test_the_heat_map_that_serving_writes_plays_the_pointing_game(tmp_path: Path) -> None:
    """Of a picture that only a data set has, AVIF, too."""
    from inference.runtime.store import read_manifest

    write("busi", tmp_path)
    samples = [
        sample for sample in busi.read(tmp_path).samples if sample.id in ("benign (1)", "malignant (3)")
    ]
    if features.check("avif"):
        packed = samples[0].path.with_suffix(".avif")
        Image.open(samples[0].path).save(packed, quality=95)
        samples[0] = replace(samples[0], path=packed)
    answer = through_module(Brightness())
    served = (read_manifest("ultrasound"), AnswerForward(answer))
    checked = checks.check(
        checks.Network(explained_of("ultrasound"), answer, served=served), samples, methods=()
    )
    (found,) = summarise(checked.outcomes)
    assert (found.method, found.images, found.value) == ("served map", 2, 1.0)
    assert 0 < found.chance < 0.2

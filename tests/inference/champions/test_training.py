"""Training on generated trees: seconds, not figures. Resuming, determinism, and what is served equals what
was trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from inference.blocks.augment import cut_out, grey_levels, look_closer, mixed_stains, warp
from inference.blocks.networks.efficientnet import EfficientNetLite, effnet_lite1
from inference.blocks.networks.fields import FieldReader
from inference.blocks.networks.lesion import LesionNetwork, LesionOutput
from inference.blocks.networks.specks import SpeckNetwork
from inference.blocks.objectives.masses import FilmMasses
from inference.champions import registry
from inference.champions.histopathology import train as histopathology
from inference.champions.histopathology.network import FieldNetwork, FieldOutput
from inference.champions.learning import decided, fitted, guarded, judged
from inference.champions.mammography import films, masses
from inference.champions.mammography.network import PLACE_FEATURES, FilmOutput, FilmReader, MammogramNetwork
from inference.champions.plan import Plan
from inference.champions.recipe import ChampionRecipe, parse
from inference.champions.ultrasound import train as ultrasound
from inference.datasets import idc, mini_mias
from inference.datasets.generated import write
from inference.datasets.sample import HISTOPATHOLOGY, LeakError, Sample
from inference.recipes.provenance import Fitted, Stamp
from inference.recipes.recipe_file import read
from inference.recipes.stages import lesson
from inference.runtime.onnx_session import OnnxForward
from inference.runtime.onnx_to_torch.convert import convert
from inference.runtime.torch_forward import TorchForward
from inference.training.batches import InMemory
from inference.training.export import export_onnx
from inference.training.loop import CheckpointError


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """More threads than cores that are free wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def recipe_of(name: str, *, quick: bool = False, version: str = "") -> ChampionRecipe:
    path = registry.recipe_file(name, version)
    return parse(read(path, ("quick",) if quick else ()), path)


def plan_of(name: str, folder: Path, **settings: float) -> Plan:
    recipe = recipe_of(name, quick=True)
    recipe = recipe.model_copy(update={"settings": {**recipe.settings, **settings}})
    return Plan(folder, folder / "run", folder / "store", "1.0.0", recipe)


#: Loss and norm of its gradients of the first batch that seed 7 draws, of each stage, as the Python of version 2.2.0
#: gave them (commit 8091c6f) for the generated trees.
STEPS_OF_2_2_0 = {
    ("ultrasound", "lesion"): ((2.5864086, 9.3143387), (3.7340341, 10.1634455)),
    ("mammography", "masses"): ((4.2186289, 21.5835552), (4.2186289, 21.5835552)),
    ("histopathology", "reader_0"): ((0.7368218, 6.4282827), (0.7157262, 6.9296894)),
    ("histopathology", "reader_1"): ((0.7335885, 3.0995972), (0.7412194, 4.1015420)),
}


@pytest.mark.parametrize(("name", "which"), STEPS_OF_2_2_0)
def test_a_step_of_the_recipe_is_that_of_version_2_2_0(tmp_path: Path, name: str, which: str) -> None:
    recipe = recipe_of(name, version="2.2.0").network(which)
    stored, classes = stored_examples(name, tmp_path)
    for stage, (value, length) in zip(recipe.train, STEPS_OF_2_2_0[name, which], strict=True):
        network = recipe.made(classes, 0)
        assert stage.freeze is not None
        network.backbone.freeze(stage.freeze)
        asked = lesson(stage, stored, stage.stage(0, 0))
        torch.manual_seed(7)
        batch = next(iter(asked.batches(Generator().manual_seed(7))))
        found = asked.loss(network.train(), batch)
        found.backward()
        found = found.detach()
        norms = [each.grad.norm() for each in network.parameters() if each.grad is not None]
        assert float(found) == pytest.approx(value, rel=1e-4)
        assert float(torch.stack(norms).norm()) == pytest.approx(length, rel=1e-3)


def stored_examples(name: str, folder: Path) -> tuple[InMemory, int]:
    if name == "ultrasound":
        write("busi", folder / "busi")
        return ultrasound.load(ultrasound.read(folder, ("busi",))[:16]), 3
    if name == "mammography":
        write("cbis_mass_256", folder / "cbis_mass_256")
        return masses.load((list(masses.read(folder).samples) * 8)[:8]), 2
    samples = (list(idc.read(write("idc", folder / "idc")).samples) * 64)[:64]
    fields = torch.from_numpy(histopathology.load(samples)).permute(0, 3, 1, 2)
    labels, nothing = torch.tensor([float(i % 3 == 0) for i in range(64)]), torch.zeros(64, 0)
    return InMemory((fields, nothing, nothing, labels), labels), 2


def test_labels_are_softened_by_who_never_saw_the_patient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count, patients = 44, 11
    samples = [
        Sample(str(i), "idc", HISTOPATHOLOGY, tmp_path, f"p{i % patients}", str(i % 2), bool(i % 2))
        for i in range(count)
    ]
    fields = torch.arange(count).view(-1, 1, 1, 1).expand(-1, 50, 50, 3).to(torch.uint8)
    taught: list[set[int]] = []

    def remember(*given: object) -> Fitted[FieldReader]:
        some = given[3]
        assert isinstance(some, Tensor)
        taught.append({int(value) % patients for value in some[:, 0, 0, 0]})
        return Fitted(FieldReader(EfficientNetLite(0)), Stamp("teacher", frozenset()))

    def answer(_: FieldReader, some: Tensor, __: torch.device) -> np.ndarray:
        asked = {int(value) % patients for value in some[:, 0, 0, 0]}
        assert not asked & taught[-1], "a teacher was asked about a patient that it was taught on"
        return np.full(len(some), 0.25, np.float32)

    monkeypatch.setattr(histopathology, "fit_reader", remember)
    monkeypatch.setattr(histopathology, "chances", answer)
    plan = plan_of("histopathology", tmp_path, softening=0.4)
    labels = histopathology.soften(plan, samples, fields, tmp_path / "run")
    assert len(taught) == int(plan.recipe.setting("teachers"))
    torch.testing.assert_close(labels[1::2], torch.full((count // 2,), 0.7))
    torch.testing.assert_close(labels[::2], torch.full((count // 2,), 0.1))


def test_a_reader_depends_on_its_network_and_on_who_softens_its_labels_and_not_on_later_stages() -> None:
    recipe = registry.recipe_of("histopathology")

    def changed(**changes: object) -> str:
        content = recipe.model_dump()
        for key, value in changes.items():
            network, _, what = key.partition("__")
            if what:
                content["networks"][network]["train"][0][what] = value
            else:
                content["settings"][key] = value
        return histopathology._decided_by(ChampionRecipe.model_validate(content), "reader_0")

    now = changed()
    assert changed(reader_0__epochs=99) == changed(reader_1__epochs=99) == changed(bag_steps=7.0) == now
    assert len({now, changed(teacher__epochs=99), changed(softening=0.1), changed(teachers=2.0)}) == 4


def test_a_network_depends_on_its_own_part_of_the_recipe_alone() -> None:
    """A checkpoint of the masses serves whatever the clusters learn: 2.2.0's recipe has none of them, and the same
    masses."""
    recipe, before = registry.recipe_of("mammography"), registry.recipe_of("mammography", version="2.2.0")
    assert recipe.hash != before.hash and decided(recipe, "masses") == decided(before, "masses")
    content = recipe.model_dump()
    content["networks"]["masses"]["network"]["parameters"]["decoder"] = 24
    assert decided(ChampionRecipe.model_validate(content), "masses") != decided(recipe, "masses")


@pytest.mark.long
def test_the_ultrasound_recipe_runs_and_its_network_is_not_judged_on_whom_it_saw(tmp_path: Path) -> None:
    for collection in ("busi", "busbra"):
        write(collection, tmp_path / collection)
    plan = plan_of("ultrasound", tmp_path)
    samples = ultrasound.read(tmp_path, ("busi", "busbra"))
    samples = [s for s in samples if s.dataset == "busbra"] + samples[:6]
    train, outside = samples[:-2], samples[-2:]
    learned = ultrasound.train(plan, train, plan.run)
    with torch.no_grad():
        answer = learned.thing(torch.from_numpy(ultrasound.canvases(outside))[:, None])
    assert answer.logits.shape == (2, 3) and torch.isfinite(answer.outline).all()
    assert judged(outside, ["a", "b"], learned.stamp) == ["a", "b"]
    with pytest.raises(LeakError, match="lesion was fitted on busbra group"):
        judged([*outside, train[0]], ["a", "b", "c"], learned.stamp)
    with pytest.raises(LeakError, match="group_id"):
        guarded(train, [*outside, train[0]])
    renamed = replace(train[0], id="copy", group_id="another", patient_id="another")
    with pytest.raises(LeakError, match="same bytes"):
        guarded(train, [*outside, renamed])
    # a checkpoint belongs to its samples too
    with pytest.raises(CheckpointError, match="another run"):
        fitted(plan, "lesion", samples, ultrasound.load(samples), plan.run, classes=3)


def test_what_is_served_is_what_was_trained(tmp_path: Path) -> None:
    torch.manual_seed(0)
    generator = np.random.default_rng(0)
    for network, names, shape in (
        (LesionNetwork(EfficientNetLite(0), 3), LesionOutput._fields, (2, 1, 64, 96)),
        (
            FieldNetwork([FieldReader(EfficientNetLite(0)), FieldReader(effnet_lite1(weights="random"))]),
            FieldOutput._fields,
            (2, 50, 50, 3),
        ),
    ):
        network.eval()
        tensor = generator.integers(0, 256, shape, dtype=np.uint8)
        path = tmp_path / "model.onnx"
        export_onnx(network, (torch.from_numpy(tensor),), names, path)
        with torch.no_grad():
            expected = network(torch.from_numpy(tensor))
        answered = OnnxForward(path)(tensor).outputs
        for name, rows in zip(names, expected, strict=True):
            spread = float(rows.abs().max()) + 1e-3
            np.testing.assert_allclose(answered[name], rows.numpy(), atol=0.03 * spread)  # half precision


def test_a_file_takes_the_shapes_that_it_was_made_for_and_no_other(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = LesionNetwork(EfficientNetLite(0), 3).eval()
    examples = tuple(torch.randint(0, 256, (2, 1, side, side), dtype=torch.uint8) for side in (96, 64))
    export_onnx(network, examples, LesionOutput._fields, tmp_path / "model.onnx")
    convert(tmp_path / "model.onnx", tmp_path / "model.pt")
    for forward in (OnnxForward(tmp_path / "model.onnx"), TorchForward(tmp_path / "model.pt", "cpu")):
        assert forward.shapes == ((None, 1, 96, 96), (None, 1, 64, 64))
        for example in examples:
            with torch.no_grad():
                expected = network(example[:1])
            answered = forward(example[:1].numpy()).outputs
            for name, rows in zip(LesionOutput._fields, expected, strict=True):
                assert answered[name].shape == rows.shape
                spread = float(rows.abs().max()) + 1e-3
                np.testing.assert_allclose(answered[name], rows.numpy(), atol=0.03 * spread)
        with pytest.raises(ValueError, match="shape"):
            forward(np.zeros((1, 1, 128, 128), np.uint8))


@pytest.mark.long
def test_a_film_is_read_alike_either_way_up_and_in_any_batch(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = MammogramNetwork(
        LesionNetwork(EfficientNetLite(0), 2), FilmReader(EfficientNetLite(0)), SpeckNetwork()
    ).eval()
    films = torch.randint(0, 256, (3, 1, 1152, 768), dtype=torch.uint8)
    export_onnx(network, (films[:2],), FilmOutput._fields, tmp_path / "model.onnx")
    forward = OnnxForward(tmp_path / "model.onnx")
    together, alone = forward(films.numpy()).outputs, forward(films[2:].numpy()).outputs
    turned = forward(torch.flip(films[2:], dims=(2,)).numpy()).outputs
    for name in ("outline", "place"):
        np.testing.assert_allclose(together[name][2:], alone[name], atol=1e-3)
        np.testing.assert_allclose(turned[name][:, :, ::-1], alone[name], atol=1e-3)
    np.testing.assert_allclose(together["malignancy"][2:], alone["malignancy"], atol=1e-3)


@pytest.mark.long
def test_the_histopathology_recipe_runs_on_a_generated_tree(tmp_path: Path) -> None:
    one = idc.read(write("idc", tmp_path / "idc")).samples[0]
    samples = [replace(one, group_id=str(i % 2), label_binary=i % 3 == 0) for i in range(40)]
    network = histopathology.train(plan_of("histopathology", tmp_path), samples, tmp_path / "run").thing
    logits, distances = histopathology.score(network, histopathology.load(samples[:3]))
    assert logits.shape == distances.shape == (3,) and np.isfinite(logits).all() and (distances > 0).all()


def test_augmentation_keeps_shapes_ranges_and_repeats() -> None:
    grey = torch.rand(4, 1, 32, 48) * 255
    mask = (grey > 128).float()
    first = warp(grey, mask, Generator().manual_seed(5), turn_degrees=10, zoom=0.2, shift=0.1, mirror=True)
    second = warp(grey, mask, Generator().manual_seed(5), turn_degrees=10, zoom=0.2, shift=0.1, mirror=True)
    for ours, theirs in zip(first, second, strict=True):
        assert ours.shape == grey.shape
        torch.testing.assert_close(ours, theirs)
    tissue = torch.rand(4, 50, 50, 3) * 255
    for changed in (
        grey_levels(grey, Generator().manual_seed(1)),
        mixed_stains(tissue, Generator().manual_seed(1)),
    ):
        assert changed.min() >= 0 and changed.max() <= 255 and torch.isfinite(changed).all()


def test_a_closer_look_holds_the_box() -> None:
    images, masks = torch.zeros(8, 1, 64, 64), torch.zeros(8, 1, 64, 64)
    masks[:, :, 20:30, 34:44] = 1
    boxes = torch.tensor([[34.0, 20.0, 44.0, 30.0]]).repeat(8, 1)
    _, near = look_closer(images, masks, boxes, 64, Generator().manual_seed(0))
    assert near.shape == (8, 1, 64, 64)
    # the box fills between a fifth and nearly all of a square of 1.25 to 2.2 times its side
    shares = near.mean(dim=(1, 2, 3))
    assert shares.min() > 0.15 and shares.max() < 0.7


def test_cutting_out_leaves_most_of_an_image() -> None:
    images = torch.rand(16, 1, 32, 48) * 255
    changed = (cut_out(images, Generator().manual_seed(2), share=1.0) != images).float().mean(dim=(1, 2, 3))
    assert changed.min() > 0 and changed.max() < 0.1


def test_closer_looks_find_the_mass_and_avoid_it() -> None:
    mask = torch.zeros(4, 1, 576, 384)
    mask[:, :, 300:340, 100:150] = 1
    half = torch.full((4, 1, 576, 384), 90.0)
    objective = FilmMasses()
    draw = objective.draw(4, Generator().manual_seed(3))
    centres, windows = objective.closer_looks(mask, half, torch.rand(4, 1, 72, 48), draw)
    near = torch.nn.functional.max_pool2d(mask, 17, stride=1, padding=8)  # the network's grid is 8 px wide
    inside = [[bool(near[n, 0, int(y), int(x)]) for n, (x, y) in enumerate(centre)] for centre in centres]
    assert all(inside[0]) and not any(inside[1]) and not any(inside[2])
    assert all(80 <= float(window) <= 210 for each in windows for window in each)


def test_a_film_reader_learns_where_the_circles_are() -> None:
    generator = np.random.default_rng(0)
    count, abnormal = 24, np.arange(24) % 2 == 0
    features = generator.normal(size=(count, 2, PLACE_FEATURES, 36, 24)).astype(np.float16)
    circled = np.zeros((count, 36, 24), np.float32)
    for film in np.flatnonzero(abnormal):
        y, x = generator.integers(4, 30), generator.integers(4, 18)
        circled[film, y : y + 3, x : x + 3] = 1
        features[film, :, :8, y : y + 3, x : x + 3] += 3
    breast = np.ones((count, 36, 24), np.float32)
    known = films.Places(features, circled, breast, abnormal, np.arange(count) % 3)
    reader = FilmReader(EfficientNetLite(0))
    films.fit(reader, known.part(range(16)), recipe_of("mammography"))
    logits, density = films.score(reader, known.part(range(16, 24)))
    assert logits[abnormal[16:]].min() > logits[~abnormal[16:]].max() and set(density) <= {0, 1, 2}


def test_kept_places_are_those_of_this_reader_and_these_films(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = list(mini_mias.read(write("mini_mias", tmp_path / "mini_mias")).samples)[:2]
    reader, asked = FilmReader(EfficientNetLite(0)).eval(), []
    monkeypatch.setattr(
        reader, "places", lambda x: asked.append(1) or torch.full((1, PLACE_FEATURES, 36, 24), x.mean())
    )
    first = films.places(reader, shown, tmp_path / "places.npz")
    made = len(asked)
    again = films.places(reader, shown, tmp_path / "places.npz")
    assert len(asked) == made + 2  # the first film alone, either way up
    np.testing.assert_array_equal(first.features, again.features)
    # what an earlier network said, or was asked in another mode, is not taken for this one's
    monkeypatch.setattr(reader, "places", lambda x: torch.full((1, PLACE_FEATURES, 36, 24), x.mean() + 1))
    other = films.places(reader, shown, tmp_path / "places.npz")
    np.testing.assert_allclose(other.features, first.features + 1, rtol=0.01)
    # nor is another film of the same name
    picture = cv2.imread(str(shown[1].path), cv2.IMREAD_UNCHANGED)
    picture[: len(picture) // 2] = 0
    cv2.imwrite(str(shown[1].path), picture)
    changed = films.places(reader, shown, tmp_path / "places.npz")
    assert not np.allclose(changed.features[1], other.features[1], rtol=0.01)


def test_without_chance_a_warp_changes_nothing() -> None:
    grey, mask = torch.rand(2, 1, 32, 48) * 255, torch.rand(2, 1, 32, 48)
    same, same_mask = warp(
        grey, mask, Generator().manual_seed(0), turn_degrees=0, zoom=0, shift=0, mirror=False
    )
    torch.testing.assert_close(same, grey, atol=0.05, rtol=0)
    torch.testing.assert_close(same_mask, mask, atol=1e-3, rtol=0)

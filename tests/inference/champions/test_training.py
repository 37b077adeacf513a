"""Training on generated trees: seconds, not figures. Resuming, determinism, and what is served equals what
was trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Generator, Tensor, nn

from inference.blocks.augment import cut_out, grey_levels, look_closer, mixed_stains, warp
from inference.blocks.networks.backbone import EfficientNetLite0, imagenet_backbone
from inference.blocks.networks.efficientnet import effnet_lite1
from inference.blocks.sampling import shuffled
from inference.champions.histopathology import train as histopathology
from inference.champions.histopathology.network import FieldNetwork, FieldOutput, FieldReader
from inference.champions.lesion import LesionNetwork, LesionOutput
from inference.champions.mammography import films, masses
from inference.champions.mammography.network import PLACE_FEATURES, FilmOutput, FilmReader, MammogramNetwork
from inference.champions.ultrasound import train as ultrasound
from inference.datasets import idc
from inference.datasets.generated import write
from inference.datasets.sample import HISTOPATHOLOGY, Sample
from inference.runtime.onnx_session import OnnxForward
from inference.runtime.onnx_to_torch.convert import convert
from inference.runtime.torch_forward import TorchForward
from inference.training.device import CapturedGradients, Gradients, device
from inference.training.export import export_onnx
from inference.training.fit import Schedule, fit, fit_soup


class Line(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


ROWS = torch.randn(64, 3, generator=Generator().manual_seed(1))
TRUTH = ROWS @ torch.tensor([[1.0], [-2.0], [0.5]])


def batches(generator: Generator) -> Iterator[tuple[Tensor, ...]]:
    rows, truth = ROWS.to(generator.device), TRUTH.to(generator.device)
    for chosen in shuffled(len(rows), 16, generator):
        noise = 0.01 * torch.randn(16, 3, generator=generator, device=generator.device)
        yield rows[chosen] + noise, truth[chosen]


def loss(network: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    return ((network(batch[0]) - batch[1]) ** 2).mean()


def weights_of(network: nn.Module) -> np.ndarray:
    return torch.cat([parameter.detach().ravel() for parameter in network.parameters()]).numpy()


def test_training_learns_and_repeats(tmp_path: Path) -> None:
    schedule = Schedule(epochs=30, steps_per_epoch=4, learning_rate=0.1, averaging=0.9)
    first, second = (fit(Line(), batches, loss, schedule, tmp_path / name) for name in ("a", "b"))
    np.testing.assert_array_equal(weights_of(first), weights_of(second))
    with torch.no_grad():
        assert loss(first, (ROWS, TRUTH)) < 0.1 * loss(Line(), (ROWS, TRUTH))


def test_of_a_finished_run_the_averaged_weights_are_kept_and_given_again(tmp_path: Path) -> None:
    schedule = Schedule(epochs=2, steps_per_epoch=4, learning_rate=0.05)
    fitted = fit(Line(), batches, loss, schedule, tmp_path)
    kept = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert set(kept) == {"schedule", "epoch", "average"}

    def none(generator: Generator) -> Iterator[tuple[Tensor, ...]]:
        raise AssertionError("a finished run trains no more")

    np.testing.assert_array_equal(weights_of(fit(Line(), none, loss, schedule, tmp_path)), weights_of(fitted))


def test_a_soup_is_the_mean_of_its_restarts_which_differ(tmp_path: Path) -> None:
    schedule = Schedule(epochs=2, steps_per_epoch=4, learning_rate=0.05)
    soup = fit_soup(Line(), batches, loss, schedule, tmp_path, restarts=2)
    parts = [fit(Line(), batches, loss, replace(schedule, seed=1000 * k), tmp_path / str(k)) for k in (0, 1)]
    assert not np.array_equal(*(weights_of(part) for part in parts))
    np.testing.assert_allclose(
        weights_of(soup), np.mean([weights_of(part) for part in parts], axis=0), rtol=1e-6
    )


class Normed(nn.Sequential):
    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__(nn.BatchNorm1d(3), nn.Linear(3, 1))


def test_averaged_weights_come_with_the_batch_statistics_that_were_learned(tmp_path: Path) -> None:
    fitted = fit(Normed(), batches, loss, Schedule(epochs=20, steps_per_epoch=4), tmp_path)
    norm = fitted[0]
    torch.testing.assert_close(norm.running_mean, ROWS.mean(dim=0), atol=0.1, rtol=0)
    torch.testing.assert_close(norm.running_var, ROWS.var(dim=0), atol=0.2, rtol=0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU that torch can use")
def test_a_captured_step_gives_the_gradients_of_a_plain_one() -> None:
    place = device()
    network, twin = Line().to(place), Line().to(place)
    plain, captured = Gradients(network, loss), CapturedGradients(twin, loss)
    for batch in batches(Generator(device=place).manual_seed(0)):
        torch.testing.assert_close(captured(batch), plain(batch), rtol=0.02, atol=0.02)
        for ours, theirs in zip(twin.parameters(), network.parameters(), strict=True):
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=0.02, atol=0.05)


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

    def remember(some: Tensor, *_: object) -> FieldReader:
        taught.append({int(value) % patients for value in some[:, 0, 0, 0]})
        return FieldReader(EfficientNetLite0())

    def answer(_: FieldReader, some: Tensor) -> np.ndarray:
        asked = {int(value) % patients for value in some[:, 0, 0, 0]}
        assert not asked & taught[-1], "a teacher was asked about a patient that it was taught on"
        return np.full(len(some), 0.25, np.float32)

    monkeypatch.setattr(histopathology, "fit_reader", remember)
    monkeypatch.setattr(histopathology, "_chances", answer)
    settings = histopathology.Settings(softening=0.4)
    labels = histopathology.soften(samples, fields, tmp_path / "run", settings, 0)
    assert len(taught) == 4
    torch.testing.assert_close(labels[1::2], torch.full((count // 2,), 0.7))
    torch.testing.assert_close(labels[::2], torch.full((count // 2,), 0.1))
    again = histopathology.soften(samples, fields, tmp_path / "run", settings, 0)
    assert len(taught) == 4 and torch.equal(again, labels), "what the teachers said is kept"
    histopathology.soften(samples, fields, tmp_path / "run", replace(settings, teacher_epochs=(1, 1)), 0)
    histopathology.soften(samples[:33], fields[:33], tmp_path / "run", settings, 0)
    assert len(taught) == 12, "but not for other teachers or samples"


def test_a_killed_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    schedule = Schedule(epochs=6, steps_per_epoch=4, learning_rate=0.05)
    whole = fit(Line(), batches, loss, schedule, tmp_path / "whole")

    class Killed(Exception):
        pass

    begun = 0

    def interrupted(generator: Generator) -> Iterator[tuple[Tensor, ...]]:
        nonlocal begun
        begun += 1
        if begun == 4:
            raise Killed
        yield from batches(generator)

    with pytest.raises(Killed):
        fit(Line(), interrupted, loss, schedule, tmp_path / "cut")
    resumed = fit(Line(), batches, loss, schedule, tmp_path / "cut")
    np.testing.assert_array_equal(weights_of(whole), weights_of(resumed))


def test_a_checkpoint_of_another_schedule_is_refused(tmp_path: Path) -> None:
    fit(Line(), batches, loss, Schedule(1, 4), tmp_path)
    with pytest.raises(ValueError, match="another schedule"):
        fit(Line(), batches, loss, Schedule(2, 4), tmp_path)


def test_frozen_stages_and_their_statistics_stay_those_of_imagenet() -> None:
    backbone = imagenet_backbone()
    backbone.freeze(1)
    before = [tensor.clone() for tensor in backbone.stem.state_dict().values()]
    output = backbone.train()(torch.randn(2, 3, 64, 64))
    output.s32.sum().backward()
    assert all(parameter.grad is None for parameter in backbone.stem.parameters())
    assert backbone.blocks[-1].project.conv.weight.grad is not None
    for ours, theirs in zip(before, backbone.stem.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_what_is_served_is_what_was_trained(tmp_path: Path) -> None:
    torch.manual_seed(0)
    generator = np.random.default_rng(0)
    for network, names, shape in (
        (LesionNetwork(EfficientNetLite0(), 3), LesionOutput._fields, (2, 1, 64, 96)),
        (
            FieldNetwork([FieldReader(EfficientNetLite0()), FieldReader(effnet_lite1(weights="random"))]),
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
    network = LesionNetwork(EfficientNetLite0(), 3).eval()
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
    network = MammogramNetwork(LesionNetwork(EfficientNetLite0(), 2), FilmReader(EfficientNetLite0())).eval()
    films = torch.randint(0, 256, (3, 1, 1152, 768), dtype=torch.uint8)
    export_onnx(network, (films[:2],), FilmOutput._fields, tmp_path / "model.onnx")
    forward = OnnxForward(tmp_path / "model.onnx")
    together, alone = forward(films.numpy()).outputs, forward(films[2:].numpy()).outputs
    turned = forward(torch.flip(films[2:], dims=(2,)).numpy()).outputs
    for name in ("outline", "place"):
        np.testing.assert_allclose(together[name][2:], alone[name], atol=1e-3)
        np.testing.assert_allclose(turned[name][:, :, ::-1], alone[name], atol=1e-3)
    np.testing.assert_allclose(together["malignancy"][2:], alone["malignancy"], atol=1e-3)


def test_the_histopathology_recipe_runs_on_a_generated_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(histopathology, "_BAG_STEPS", 10)
    tree = write("idc", tmp_path / "idc")
    one = idc.read(tree).samples[0]
    samples = [replace(one, group_id=str(i % 2), label_binary=i % 3 == 0) for i in range(40)]
    settings = histopathology.Settings(epochs=(1, 1), plain_epochs=(1, 1), teacher_epochs=(1, 1), batch=16)
    network = histopathology.train(samples, tmp_path / "run", settings)
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
    draw = torch.rand((masses.LOOKS, 4, 3), generator=Generator().manual_seed(3))
    centres, windows = masses._closer_looks(mask, half, torch.rand(4, 1, 72, 48), draw)
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
    reader = FilmReader(EfficientNetLite0())
    films.fit(reader, known.part(range(16)))
    logits, density = films.score(reader, known.part(range(16, 24)))
    assert logits[abnormal[16:]].min() > logits[~abnormal[16:]].max() and set(density) <= {0, 1, 2}


def test_the_ultrasound_recipe_runs_on_a_generated_tree(tmp_path: Path) -> None:
    write("busi", tmp_path / "busi")
    samples = list(ultrasound.read(tmp_path).samples)
    settings = ultrasound.Settings(epochs=1, outline_epochs=1, restarts=1)
    network = ultrasound.train((samples * 16)[:16], tmp_path / "run", settings)
    with torch.no_grad():
        answer = network(torch.from_numpy(ultrasound.canvases(samples[:2]))[:, None])
    assert answer.logits.shape == (2, 3) and torch.isfinite(answer.outline).all()


def test_without_chance_a_warp_changes_nothing() -> None:
    grey, mask = torch.rand(2, 1, 32, 48) * 255, torch.rand(2, 1, 32, 48)
    same, same_mask = warp(
        grey, mask, Generator().manual_seed(0), turn_degrees=0, zoom=0, shift=0, mirror=False
    )
    torch.testing.assert_close(same, grey, atol=0.05, rtol=0)
    torch.testing.assert_close(same_mask, mask, atol=1e-3, rtol=0)

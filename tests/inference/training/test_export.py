"""From a trained network to a version in the store: its precision, its answer, and nothing written twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from inference.champions import registry
from inference.champions.histopathology import build
from inference.champions.plan import Plan, PlanError, refuse_known_version, store_model
from inference.cli.main import main
from inference.evaluation.account import Account
from inference.evaluation.records import Record, RecordsError
from inference.runtime.answer import ANSWER, MOST_BY_ROUNDING, TOLERANCE, read_answer, seeded_input
from inference.runtime.archive import build_archives
from inference.runtime.onnx_session import OnnxForward
from inference.runtime.store import StoreError, read_manifest, version_folder, versions_of
from inference.training import export
from inference.training.export import export_onnx
from tests.inference.tiny_network import OUTPUTS, SHAPE, example, tiny_network


def precisions(path: Path) -> set[int]:
    """ONNX types of the large weights."""
    stored = onnx.load(str(path)).graph.initializer
    return {tensor.data_type for tensor in stored if np.prod(tensor.dims) >= 256}


def rounded(network: nn.Module) -> nn.Module:
    """Weights that float16 holds as they are, batch norms that do nothing."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.eps = 0.0
    for weights in network.parameters():
        weights.data = weights.data.half().float()
    return network


def test_weights_are_halved_where_the_answer_does_not_move(tmp_path: Path) -> None:
    answer = export_onnx(rounded(tiny_network()), (example(),), OUTPUTS, tmp_path / "model.onnx")
    assert precisions(tmp_path / "model.onnx") == {onnx.TensorProto.FLOAT16}
    assert answer.deviation(OnnxForward(tmp_path / "model.onnx"))[0] < MOST_BY_ROUNDING


def test_weights_stay_whole_where_rounding_would_move_the_answer(tmp_path: Path) -> None:
    network = tiny_network()
    network.classify.weight.data *= 1000
    with torch.no_grad():  # a small difference of large numbers
        network.classify.bias -= network(torch.from_numpy(seeded_input((2, *SHAPE), 0))).logit[0]
    answer = export_onnx(network, (example(),), OUTPUTS, tmp_path / "model.onnx")
    assert precisions(tmp_path / "model.onnx") == {onnx.TensorProto.FLOAT}
    assert answer.deviation(OnnxForward(tmp_path / "model.onnx"))[0] < MOST_BY_ROUNDING


def larger_than_allowed(monkeypatch: pytest.MonkeyPatch, path: Path, share: float) -> None:
    """No file may have more than the float16 form of what `path` holds in float32, and `share` of the rest."""
    values = sum(np.prod(tensor.dims) for tensor in onnx.load(str(path)).graph.initializer)
    least = path.stat().st_size - 2 * int(values) + 2000
    monkeypatch.setattr(export, "MAX_WEIGHTS_BYTES", least + int(share * 2 * values))


def test_where_whole_weights_are_too_large_as_many_stay_as_fit_and_the_answer_says_what_that_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Wide()
    export_onnx(network, (WIDE,), ("said",), tmp_path / "whole.onnx", compared=True)
    monkeypatch.setattr(export, "MOST_BY_ROUNDING", 1e-6)
    for share, whole in ((0.0, set()), (0.6, {(32, 3, 5, 5), (64, 128)})):
        larger_than_allowed(monkeypatch, tmp_path / "whole.onnx", share)
        answer = export_onnx(network, (WIDE,), ("said",), tmp_path / "model.onnx")
        assert (tmp_path / "model.onnx").stat().st_size <= export.MAX_WEIGHTS_BYTES
        assert answer.moved_by_rounding == answer.deviation(OnnxForward(tmp_path / "model.onnx"))[0]
        assert answer.tolerance == TOLERANCE + answer.moved_by_rounding
        assert 0 < answer.moved_by_rounding < export.MOST_MOVED
        stored = onnx.load(str(tmp_path / "model.onnx")).graph.initializer
        wide = {tuple(each.dims) for each in stored if each.data_type == onnx.TensorProto.FLOAT}
        assert {dims for dims in wide if np.prod(dims) >= 256} == whole  # the smallest first
    monkeypatch.setattr(export, "MAX_WEIGHTS_BYTES", 1000)
    with pytest.raises(ValueError, match="would have"):
        export_onnx(rounded(network), (WIDE,), ("said",), tmp_path / "small.onnx")
    assert not (tmp_path / "small.onnx").exists()


class Wide(nn.Module):
    """N×50×50×3 → a value in -1 to 1, in whose making what is rounded is enlarged `scale` times."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.scale = scale
        self.layers = nn.Sequential(
            nn.Conv2d(3, 32, 5, 5), nn.Tanh(), nn.Conv2d(32, 32, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(2),
            nn.Flatten(), nn.Linear(128, 64), nn.Tanh(), nn.Linear(64, 1),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (torch.sin(self.scale * self.layers((x.float() / 255).permute(0, 3, 1, 2))),)


WIDE = torch.zeros((2, 50, 50, 3), dtype=torch.uint8)


def test_what_rounding_moves_too_far_is_refused_where_it_would_be_served_and_whole_where_it_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Wide(scale=2e3)
    answer = export_onnx(network, (WIDE,), ("said",), tmp_path / "fold.onnx", compared=True)
    larger_than_allowed(monkeypatch, tmp_path / "fold.onnx", 0.1)
    with pytest.raises(ValueError, match=r"model cannot be kept in .* moves its said by"):
        export_onnx(network, (WIDE,), ("said",), tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()
    again = export_onnx(network, (WIDE,), ("said",), tmp_path / "fold.onnx", compared=True)
    assert again == answer and precisions(tmp_path / "fold.onnx") == {onnx.TensorProto.FLOAT}
    assert (tmp_path / "fold.onnx").stat().st_size > export.MAX_WEIGHTS_BYTES


class Leaping(nn.Module):
    """Two networks: what the first says leaps where it is rounded, as the place of the highest of many peaks does; the
    second answers smoothly."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.map = nn.Conv2d(3, 32, 3)
        self.other = nn.Sequential(nn.Conv2d(3, 64, 5, 5), nn.Conv2d(64, 64, 3))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = (x.float() / 255).permute(0, 3, 1, 2)
        return torch.sin(2e3 * self.map(x).mean(dim=(2, 3))), self.other(x).mean(dim=(2, 3))


def test_what_leaps_keeps_its_own_weights_and_the_rest_is_rounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, outputs = Leaping(), ("place", "said")
    export_onnx(network, (WIDE,), outputs, tmp_path / "whole.onnx", compared=True)
    larger_than_allowed(monkeypatch, tmp_path / "whole.onnx", 0.1)
    answer = export_onnx(network, (WIDE,), outputs, tmp_path / "model.onnx")
    assert answer.moved_by_rounding < export.MOST_MOVED
    sizes = {
        tensor.data_type: int(np.prod(tensor.dims))
        for tensor in onnx.load(str(tmp_path / "model.onnx")).graph.initializer
        if np.prod(tensor.dims) in (864, 36_864)
    }
    # the map's 32×3×3×3 whole, the other network's halved
    assert sizes == {onnx.TensorProto.FLOAT: 864, onnx.TensorProto.FLOAT16: 36_864}


def test_the_recorded_answer_is_the_trained_networks_own(tmp_path: Path) -> None:
    answer = export_onnx(tiny_network(), (example(),), OUTPUTS, tmp_path / "model.onnx")
    export_onnx(tiny_network(4), (example(),), OUTPUTS, tmp_path / "other.onnx")
    answer.check(OnnxForward(tmp_path / "model.onnx"), "the export")
    with pytest.raises(StoreError, match=r"other\.onnx answers otherwise than its network did: \w+ by"):
        answer.check(OnnxForward(tmp_path / "other.onnx"), "other.onnx")
    assert answer.tolerance == TOLERANCE and [entry.input_shape for entry in answer.answers] == [
        (2, 50, 50, 3)
    ]


def test_an_input_that_cannot_be_made_again_is_told(tmp_path: Path) -> None:
    answer = export_onnx(tiny_network(), (example(),), OUTPUTS, tmp_path / "model.onnx")
    (only,) = answer.answers
    changed = answer.model_copy(update={"answers": (only.model_copy(update={"input_sha256": "0" * 64}),)})
    with pytest.raises(StoreError, match="this numpy draws other numbers"):
        changed.check(OnnxForward(tmp_path / "model.onnx"), "model.onnx")


# --- into the store ------------------------------------------------------------------------------------------


def records() -> list[Record]:
    return [
        Record(
            "idc",
            str(n),
            str(n),
            ("not_idc", "idc")[n % 2],
            {"not_idc": 1 - n / 40, "idc": n / 40},
            split="val",
            network="0" * 64,
        )
        for n in range(40)
    ]


def plan_of(tmp_path: Path, version: str) -> Plan:
    return Plan(tmp_path, tmp_path / "run", tmp_path / "store", version, registry.recipe_of("histopathology"))


def stored(tmp_path: Path, version: str) -> Path:
    manifest = read_manifest("histopathology").model_copy(update={"version": version})
    account = Account("made up", "made up", "made up", ())
    network, examples = tiny_network(), (example(),)
    store_model(plan_of(tmp_path, version), manifest, network, examples, OUTPUTS, [], records(), account)
    return tmp_path / "store" / "histopathology" / version


def test_a_version_has_one_file_of_weights_and_can_be_served(tmp_path: Path) -> None:
    folders = [stored(tmp_path, version) for version in ("2.9.0", "2.10.0")]
    assert versions_of("histopathology", tmp_path / "store") == ("2.9.0", "2.10.0")
    for folder in folders:
        assert [path.name for path in folder.glob("model.*")] == ["model.onnx"]
        assert {"manifest.json", "card.md", "metrics.json", ANSWER} <= {
            path.name for path in folder.iterdir()
        }
        manifest = read_manifest("histopathology", tmp_path / "store", folder.name)
        assert "float32" in read_answer(manifest, tmp_path / "store").said_by
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["histopathology"]
    assert not build_archives(tmp_path / "out", tmp_path / "store").refused


def test_an_interrupted_writing_leaves_no_version(tmp_path: Path) -> None:
    with pytest.raises(RecordsError):  # of no image no figure can be computed
        manifest = read_manifest("histopathology").model_copy(update={"version": "2.9.0"})
        account = Account("made up", "made up", "made up", ())
        store_model(
            plan_of(tmp_path, "2.9.0"), manifest, tiny_network(), (example(),), OUTPUTS, [], [], account
        )
    assert versions_of("histopathology", tmp_path / "store") == ()
    assert stored(tmp_path, "2.9.0").is_dir()


def test_a_version_that_another_build_is_writing_stays(tmp_path: Path) -> None:
    """Two builds into one store that ended in the same minute: the first took the second's figures away."""
    other = tmp_path / "store" / ".unfinished" / "ultrasound" / "3.0.0" / "plots"
    other.mkdir(parents=True)
    stored(tmp_path, "2.9.0")
    assert other.is_dir()


def test_a_version_that_is_there_is_refused_before_any_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    served = read_manifest("ultrasound")
    words = ["train", "ultrasound", "--data", str(tmp_path / "no data"), "--run", str(tmp_path / "run")]
    assert main([*words, "--version", served.version]) == 1
    sentence = capsys.readouterr().err
    assert f"the store has ultrasound {served.version} already" in sentence and sentence.count("\n") == 1
    assert not (tmp_path / "run").exists() and version_folder(served).is_dir()
    with pytest.raises(PlanError, match="no version number such as"):
        refuse_known_version("ultrasound", plan_of(tmp_path, "next"))


def test_a_build_is_the_next_version_unless_it_is_told_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans: list[Plan] = []

    def builder(plan: Plan) -> object:
        plans.append(plan)
        return read_manifest("histopathology")

    monkeypatch.setattr(build, "build", builder)
    stored(tmp_path, "2.9.9")
    words = ["train", "histopathology", "--data", str(tmp_path), "--store", str(tmp_path / "store")]
    assert main(words) == main([*words, "--version", "3.0.0rc1"]) == 0
    assert [plan.version for plan in plans] == ["2.9.10", "3.0.0rc1"]

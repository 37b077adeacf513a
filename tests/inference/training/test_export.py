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


def test_where_whole_weights_are_too_large_the_answer_says_what_rounding_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = tiny_network()
    network.classify.weight.data *= 1000
    with torch.no_grad():
        network.classify.bias -= network(torch.from_numpy(seeded_input((2, *SHAPE), 0))).logit[0]
    export_onnx(network, (example(),), OUTPUTS, tmp_path / "whole.onnx")
    monkeypatch.setattr(export, "MAX_WEIGHTS_BYTES", (tmp_path / "whole.onnx").stat().st_size - 1000)
    answer = export_onnx(network, (example(),), OUTPUTS, tmp_path / "model.onnx")
    assert precisions(tmp_path / "model.onnx") == {onnx.TensorProto.FLOAT16}
    moved = answer.deviation(OnnxForward(tmp_path / "model.onnx"))[0]
    assert answer.moved_by_rounding == moved >= MOST_BY_ROUNDING
    assert answer.tolerance == TOLERANCE + moved
    monkeypatch.setattr(export, "MAX_WEIGHTS_BYTES", 1000)
    with pytest.raises(ValueError, match="would have"):
        export_onnx(network, (example(),), OUTPUTS, tmp_path / "model.onnx")


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

"""Archives: one a version, of weights that are the manifest's and answer as recorded; what is broken hides no other."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from imaging.digest import sha256_of
from inference.cli.main import main
from inference.cli.vouching import SOME_REFUSED
from inference.runtime.answer import ANSWER
from inference.runtime.archive import build_archives
from inference.runtime.handler import load_forward
from inference.runtime.onnx_session import OnnxForward
from inference.runtime.store import MANIFEST, version_folder
from inference.runtime.torch_forward import FILE, TorchForward
from tests.inference.runtime.test_torch_forward import agree
from tests.inference.tiny_network import TinyOutput, tiny_network, write_onnx
from tests.small_store import NAME, put_version


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Two versions of one model, and one of another."""
    made = tmp_path / "store"
    put_version(made, "2.9.0", seed=1)
    put_version(made, "2.10.0", seed=2)
    put_version(made, "1.0.0", "tiny")
    return made


def unpacked(archive: Path, folder: Path) -> Path:
    zipfile.ZipFile(archive).extractall(folder)
    return folder


def test_every_version_gets_an_archive_that_says_which_it_is(store: Path, tmp_path: Path) -> None:
    built = build_archives(tmp_path / "out", store)
    assert [path.name for path in built.archives] == [
        f"{NAME}-2.9.0.mar", f"{NAME}-2.10.0.mar", "tiny-1.0.0.mar"
    ]  # fmt: skip
    assert not built.refused
    for archive in built.archives:
        described = json.loads(zipfile.ZipFile(archive).read("MAR-INF/MANIFEST.json"))["model"]
        assert archive.name == f"{described['modelName']}-{described['modelVersion']}.mar"


def test_the_file_for_gpus_is_made_of_the_weights(store: Path, tmp_path: Path) -> None:
    first, *_ = build_archives(tmp_path / "out", store).archives
    folder = unpacked(first, tmp_path / "unpacked")
    forward = load_forward(folder, None)
    assert isinstance(forward, OnnxForward)
    agree(TorchForward(folder / FILE, "cpu"), forward)


def test_archives_are_built_once_and_again_when_something_changed(store: Path, tmp_path: Path) -> None:
    def times() -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.mar")}

    build_archives(tmp_path / "out", store)
    before = times()
    build_archives(tmp_path / "out", store)
    assert times() == before
    (archive, *_) = build_archives(tmp_path / "out", store, workers=2).archives
    assert b"maxWorkers: 2" in zipfile.ZipFile(archive).read("model-config.yaml")
    assert all(times()[name] != before[name] for name in before)


def test_the_archive_of_a_version_that_is_gone_goes_too(store: Path, tmp_path: Path) -> None:
    build_archives(tmp_path / "out", store)
    (store / NAME / "2.9.0").rename(store / NAME / ".2.9.0")
    build_archives(tmp_path / "out", store)
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert left == {
        f"{stem}{ending}" for stem in (f"{NAME}-2.10.0", "tiny-1.0.0") for ending in (".mar", ".source.json")
    }


def _tampered(folder: Path) -> None:
    with (folder / "model.onnx").open("ab") as weights:
        weights.write(b"\0")


def _other_weights(folder: Path) -> None:
    """Weights with a manifest of their own, and the recorded answer of others."""
    write_onnx(folder / "model.onnx", seed=9)
    described = json.loads((folder / MANIFEST).read_text())
    described["weights"]["sha256"] = sha256_of(folder / "model.onnx")
    (folder / MANIFEST).write_text(json.dumps(described))


def _half_copied(folder: Path) -> None:
    (folder / "model.onnx").unlink()


def _without_answer(folder: Path) -> None:
    (folder / ANSWER).unlink()


def _damaged_answer(folder: Path) -> None:
    (folder / ANSWER).write_text("{}")


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (_tampered, "weights of histopathology 2.10.0 are not those of its manifest"),
        (_other_weights, "model.onnx of histopathology 2.10.0 answers otherwise than its network did"),
        (_half_copied, "weights of histopathology 2.10.0 are missing"),
        (_without_answer, "histopathology 2.10.0 has no answer.json"),
        (_damaged_answer, "answer.json of histopathology 2.10.0 is invalid"),
    ],
)
def test_a_version_that_cannot_be_served_is_named_and_the_others_are_built(
    damage: object, sentence: str, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build_archives(tmp_path / "out", store)
    damage(store / NAME / "2.10.0")  # type: ignore[operator]
    words = ["archive", "--out", str(tmp_path / "out"), "--store", str(store)]
    assert main(words) == SOME_REFUSED
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1 and sentence in printed.err
    assert [Path(line).name for line in printed.out.splitlines()] == [f"{NAME}-2.9.0.mar", "tiny-1.0.0.mar"]
    assert not (tmp_path / "out" / f"{NAME}-2.10.0.mar").exists()


class ErrorFunction(nn.Module):
    """Ends with an operator that the conversion does not know."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = tiny_network()

    def forward(self, x: Tensor) -> TinyOutput:
        """`x`: N×50×50×3 uint8."""
        said = self.inner(x)
        return TinyOutput(torch.erf(said.logit), said.map)


def test_a_network_that_torch_cannot_write_is_named(tmp_path: Path) -> None:
    put_version(tmp_path / "store", "1.0.0", network=ErrorFunction())
    built = build_archives(tmp_path / "out", tmp_path / "store")
    assert not built.archives
    (sentence,) = built.refused
    assert sentence == "model.onnx of histopathology 1.0.0: the operator Erf cannot be written in torch"


def test_a_store_without_a_version_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["archive", "--out", str(tmp_path / "out"), "--store", str(tmp_path / "none")]) == 1
    assert "no version that can be served" in capsys.readouterr().err


def test_an_answer_is_that_of_the_trained_network(store: Path) -> None:
    from inference.runtime.answer import TOLERANCE, read_answer
    from inference.runtime.store import read_manifest

    manifest = read_manifest(NAME, store, "2.9.0")
    answer = read_answer(manifest, store)
    by, output = answer.deviation(OnnxForward(version_folder(manifest, store) / "model.onnx"))
    assert by < TOLERANCE and output in answer.answers[0].outputs
    assert max(len(one.values) for one in answer.answers[0].outputs.values()) <= 256

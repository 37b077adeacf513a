"""`python -m inference explain`, as a person calls it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from imaging.phantoms import histology, ultrasound
from inference.cli.main import main
from inference.datasets.generated import write
from inference.runtime.store import read_manifest, version_folder


def test_explain_writes_overlay_and_heat_and_goes_on_after_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = tmp_path / "images" / "a.png"
    photo.parent.mkdir()
    Image.fromarray(histology.photograph(1, "malignant", shape=(200, 200)).pixels).save(photo)
    (tmp_path / "images" / "b.png").write_bytes(b"no image")
    out = tmp_path / "out"
    words = ["explain", "histopathology", str(photo.parent), "--out", str(out), "--mpp", "1.0"]
    for method, size in (("map", 5), ("occlusion", 50)):
        assert main([*words, "--method", method]) == 0
        assert "b.png: " in capsys.readouterr().err
        with Image.open(out / f"000000-a.{method}.overlay.png") as shown:
            assert (shown.mode, shown.size) == ("RGB", (200, 200))
        with Image.open(out / f"000000-a.{method}.heat.png") as heat:
            assert (heat.mode, heat.size) == ("L", (size, size))


def test_explain_says_what_it_cannot_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = tmp_path / "a.png"
    ultrasound.write_png(ultrasound.phantom(1, "malignant"), frame)
    words = ["explain", "ultrasound", str(frame), "--out", str(tmp_path / "out")]
    assert main([*words, "--method", "occlusion", "--class", "idc"]) == 1
    assert "no class idc" in capsys.readouterr().err
    frame.write_bytes(b"")
    assert main(words) == 2
    assert "a.png: " in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["explain", "ultrasound"])
    assert "--check" in capsys.readouterr().err
    assert main(["explain", "ultrasound", "--check", "--data", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_checks_refuse_a_model_of_unknown_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:

    write("busi", tmp_path / "data" / "busi")
    manifest = read_manifest("ultrasound")
    folder = version_folder(manifest, tmp_path)
    folder.mkdir(parents=True)
    for name in ("manifest.json", "model.onnx"):
        shutil.copy(version_folder(manifest) / name, folder)
    words = ["explain", "ultrasound", "--check", "--data", str(tmp_path / "data"), "--store", str(tmp_path)]
    assert main(words) == 1
    assert "what it was trained on is unknown" in capsys.readouterr().err


def test_attributions_need_no_file_for_gpus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The torch network is made of `model.onnx`; weights that are not the manifest's are refused all the same."""
    manifest = read_manifest("ultrasound")
    folder = version_folder(manifest, tmp_path / "store")
    shutil.copytree(
        version_folder(manifest), folder, ignore=shutil.ignore_patterns("model.pt", "variants.json", "plots")
    )
    write("busi", tmp_path / "busi")
    frame = next((tmp_path / "busi").rglob("malignant (*).png"))
    words = [
        "explain",
        "ultrasound",
        str(frame),
        "--method",
        "integrated_gradients",
        "--out",
        str(tmp_path / "out"),
    ]
    words += ["--store", str(tmp_path / "store"), "--version", manifest.version]
    assert main(words) == 0
    assert len(list((tmp_path / "out").glob("*.heat.png"))) == 1
    with (folder / "model.onnx").open("ab") as weights:
        weights.write(b"\0")
    assert main(words) == 1
    assert "are not those of its manifest" in capsys.readouterr().err

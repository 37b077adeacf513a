"""`python -m inference`, as a person calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imaging.phantoms import histology, ultrasound
from inference.cli import main
from inference.evaluation.card import METRICS
from inference.serving.store import DEFAULT_STORE, model_names


def lines_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_predict_writes_a_line_an_image_and_goes_on_after_errors(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    (folder / "deeper").mkdir(parents=True)
    ultrasound.write_png(ultrasound.phantom(1, "malignant"), folder / "a.png")
    ultrasound.write_dicom(ultrasound.phantom(2, "none"), folder / "deeper" / "b.dcm")
    (folder / "c.dcm").write_text("no image")
    (folder / ".hidden.png").write_text("not looked at")
    out = tmp_path / "out.jsonl"
    assert main(["predict", "ultrasound", str(folder), "--out", str(out)]) == 0
    first, broken, last = sorted(lines_of(out), key=lambda line: str(line["path"]))
    assert [Path(str(line["path"])).name for line in (first, broken, last)] == ["a.png", "c.dcm", "b.dcm"]
    for line in (first, last):
        assert set(line["probabilities"]) == {"benign", "malignant", "normal"}  # type: ignore[call-overload]
        assert Path(str(line["mask"])).is_file() and Path(str(line["heatmap"])).is_file()
        assert next(iter(line)) == "path"
    assert "probabilities" not in broken and str(broken["error"]).endswith(".")


def test_predict_ends_with_2_when_nothing_could_be_read(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"")
    out = tmp_path / "out.jsonl"
    assert main(["predict", "mammography", str(tmp_path / "x.png"), "--out", str(out)]) == 2
    assert "error" in lines_of(out)[0]


def test_histopathology_needs_the_resolution(tmp_path: Path) -> None:
    from PIL import Image

    photo = tmp_path / "photo.png"
    Image.fromarray(histology.photograph(1, "malignant", shape=(300, 300)).pixels).save(photo)
    out = tmp_path / "out.jsonl"
    assert main(["predict", "histopathology", str(photo), "--out", str(out)]) == 2
    assert "µm per pixel" in str(lines_of(out)[0]["error"])
    assert main(["predict", "histopathology", str(photo), "--out", str(out), "--mpp", "0.5"]) == 0


@pytest.mark.parametrize("model", model_names())
def test_evaluate_prints_the_cards_figures_again(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", model, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    metrics = json.loads((DEFAULT_STORE / model / METRICS).read_text())
    assert printed["figures"] == metrics["figures"]
    assert main(["evaluate", model]) == 0
    assert f"{metrics['figures'][0]['value']:.3f}" in capsys.readouterr().out


def test_a_model_that_is_not_in_the_store_is_said_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "ultrasound", "--store", str(tmp_path)]) == 1
    assert "no model ultrasound" in capsys.readouterr().err

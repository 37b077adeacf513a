"""`python -m inference`, as a person calls it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from imaging.phantoms import histology, ultrasound
from inference.cli.main import main
from inference.contract import AnalysisRequest, AnalysisResult
from inference.evaluation.folder import METRICS
from inference.runtime.store import model_names, read_manifest, version_folder


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


def test_what_an_earlier_run_wrote_is_not_read(tmp_path: Path) -> None:
    ultrasound.write_png(ultrasound.phantom(1, "none"), tmp_path / "a.png")
    (tmp_path / "notes.csv").write_text("no image")
    out = tmp_path / "out.jsonl"
    for _ in range(2):
        assert main(["predict", "ultrasound", str(tmp_path), "--out", str(out)]) == 0
        names = [Path(str(line["path"])).name for line in lines_of(out)]
        assert names == ["a.png", "notes.csv"]
    assert str(lines_of(out)[1]["error"]).endswith(".")


def test_an_empty_folder_and_a_missing_file_end_with_2(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    out = tmp_path / "deeper" / "out.jsonl"
    assert main(["predict", "ultrasound", str(tmp_path / "empty"), "--out", str(out)]) == 2
    assert lines_of(out) == []
    assert main(["predict", "ultrasound", str(tmp_path / "missing.png"), "--out", str(out)]) == 2
    assert [set(line) for line in lines_of(out)] == [{"path", "error"}]


def test_masks_have_the_inputs_size_and_paths_that_open_from_anywhere(tmp_path: Path) -> None:
    from PIL import Image

    image = tmp_path / "a.png"
    ultrasound.write_png(ultrasound.phantom(3, "malignant", rows=300, columns=420), image)
    out = tmp_path / "out.jsonl"
    assert main(["predict", "ultrasound", str(image), "--out", str(out)]) == 0
    (line,) = lines_of(out)
    for name in ("mask", "heatmap"):
        path = Path(str(line[name]))
        assert path.is_absolute() and path.parent == tmp_path / "out.jsonl.maps"
        assert Image.open(path).mode == "L"
    assert Image.open(str(line["mask"])).size == (420, 300)


def test_a_slides_own_resolution_counts_more_than_mpp(tmp_path: Path) -> None:
    from PIL import Image

    made = histology.slide(1, "malignant", shape=(900, 1000), um_per_px=1.0)
    histology.write_slide(made, tmp_path / "slide.tif")
    histology.write_image(made, tmp_path / "photo.png")
    tissue = {}
    for name in ("slide.tif", "photo.png"):
        for mpp in ([], ["--mpp", "2.0"]):
            out = tmp_path / "out.jsonl"
            assert main(["predict", "histopathology", str(tmp_path / name), "--out", str(out), *mpp]) == 0
            (line,) = lines_of(out)
            tissue[name, bool(mpp)] = line["descriptors"]["tissue_mm2"]  # type: ignore[index, call-overload]
            if name == "slide.tif":  # one pixel for 200 µm at least: 1.0 mm × 0.9 mm
                width, height = Image.open(str(line["heatmap"])).size
                assert width >= 5 and height >= 4.5
    assert tissue["slide.tif", True] == tissue["slide.tif", False]
    assert tissue["photo.png", True] > 3 * tissue["photo.png", False]


@pytest.mark.parametrize("mpp", ["0", "-1", "nan", "inf", "wide"])
def test_a_resolution_that_is_none_is_refused(mpp: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["predict", "histopathology", "x.png", "--out", str(tmp_path / "out.jsonl"), "--mpp", mpp])
    assert ended.value.code == 2


def test_one_file_that_upsets_the_pipeline_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inference.cli import predict as command

    for seed in (1, 2):
        ultrasound.write_png(ultrasound.phantom(seed, "none"), tmp_path / f"{seed}.png")
    whole = command.analyse

    def upset(request: AnalysisRequest, *rest: Any) -> AnalysisResult:
        if request.request_id.endswith("1.png"):
            raise ZeroDivisionError
        return whole(request, *rest)

    monkeypatch.setattr(command, "analyse", upset)
    out = tmp_path / "out.jsonl"
    assert main(["predict", "ultrasound", str(tmp_path), "--out", str(out)]) == 0
    first, second = lines_of(out)
    assert "unexpectedly" in str(first["error"]) and "error" not in second


@pytest.mark.parametrize(
    "model",
    [pytest.param(name, marks=[pytest.mark.long] if name == "ultrasound" else []) for name in model_names()],
)
def test_evaluate_prints_the_cards_figures_again(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", model, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    metrics = json.loads((version_folder(read_manifest(model)) / METRICS).read_text())
    assert printed["figures"] == metrics["figures"]
    assert main(["evaluate", model]) == 0
    assert f"{metrics['figures'][0]['value']:.3f}" in capsys.readouterr().out


def test_a_model_that_is_not_in_the_store_is_said_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "ultrasound", "--store", str(tmp_path)]) == 1
    assert "no model ultrasound" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("train", "sudarshan2019_mil", "--threads", "0"), "--threads: a whole number from 1 on, not 0"),
        (("train", "sudarshan2019_mil", "--threads", "two"), "--threads: a whole number, not 'two'"),
        (
            ("train", "sudarshan2019_mil", "--seed", "-1"),
            "--seed: a whole number from 0 to 4294967295, not -1",
        ),
        (("train", "ultrasound", "--seed", "9" * 20), "--seed: a whole number from 0 to 4294967295"),
        (("export", "run", "--threads", "-2"), "--threads: a whole number from 1 on, not -2"),
        (("explain", "ultrasound", "--check", "--limit", "0"), "--limit: a whole number from 1 on, not 0"),
        (("shift", "ultrasound", "--limit", "-1"), "--limit: a whole number from 1 on"),
        (("seal", "ultrasound", "--images", "0"), "--images: a whole number from 1 on, not 0"),
        (("variants", "ultrasound", "--images", "0"), "--images: a whole number from 1 on, not 0"),
        (("robustness", "histopathology", "--fields", "0"), "--fields: a whole number from 1 on, not 0"),
        (("predict", "ultrasound", "x.png", "--out", "y", "--mpp", "nan"), "--mpp: µm per pixel are above 0"),
        (("predict", "ultrasound", "x.png", "--out", "y", "--mpp", "0,5"), "--mpp: a number of µm per pixel"),
    ],
)
def test_a_number_that_is_none_is_told_before_anything_is_read(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(words)
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ("train", "byra2021_deep_representation_scaling", "--quick", "--data", "{tree}", "--run", "{file}"),
        (
            "train",
            "byra2021_deep_representation_scaling",
            "--quick",
            "--data",
            "{tree}",
            "--run",
            "{file}/below",
        ),
        ("acceptance", "ultrasound", "--cases", "{table}", "--images", "{folder}", "--out", "{file}"),
        ("predict", "ultrasound", "{folder}", "--out", "{file}/below/x.jsonl"),
        ("keys", "{file}"),
        ("keys", "{file}/below"),
    ],
)
def test_a_place_where_nothing_can_be_written_is_a_sentence(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {name: tmp_path / name for name in ("file", "folder", "table", "tree")}
    places["file"].write_text("a file, and no folder")
    places["folder"].mkdir()
    ultrasound.write_png(ultrasound.phantom(1, "malignant"), places["folder"] / "a.png")
    places["table"].write_text("image,label\na.png,benign\n")
    main(["generate", "busi", str(places["tree"])])
    assert main([word.format(**places) for word in words]) in (1, 2)
    said = capsys.readouterr().err
    assert "inference: " in said and "file" in said and "Traceback" not in said


def test_a_reader_that_goes_away_is_no_error() -> None:
    words = f"{sys.executable} -m inference generate list | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", words], capture_output=True, text=True)
    assert done.stderr == "" and done.returncode in (0, 1)

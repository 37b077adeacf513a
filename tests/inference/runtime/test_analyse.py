"""From files to results with the committed weights: the contract, the geometry, the refusals."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from imaging.phantoms import histology, mammography, ultrasound
from inference.contract import (
    OPERATING_POINTS,
    AnalysisRequest,
    AnalysisResult,
    Flag,
    ImageReference,
    ImageResult,
    ImageUnreadable,
    NotApplicable,
)
from inference.runtime import image_by_image, study
from inference.runtime.analyse import probe_tensor
from inference.runtime.histopathology import pipeline as slides
from inference.runtime.store import model_names
from tests.inference.conftest import ServedModel, image

Served = Callable[[str], ServedModel]
Reads = Callable[[int, ImageReference], ImageResult]


@pytest.fixture(scope="module")
def frame(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("frames") / "frame.png"
    ultrasound.write_png(ultrasound.phantom(1, "malignant"), path)
    return path


@pytest.fixture(scope="module")
def exam(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, views = tmp_path_factory.mktemp("exam"), {}
    for side in ("L", "R"):
        for view in ("CC", "MLO"):
            made = mammography.phantom(
                2, side, view, "malignant" if side == "L" else "none", rows=900, columns=700
            )  # type: ignore[arg-type]
            views[side + view] = folder / f"{side}{view}.dcm"
            mammography.write_dicom(made, views[side + view])
    return views


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slides") / "slide.tiff"
    histology.write_slide(histology.slide(1, "malignant", shape=(2200, 3000), um_per_px=1.0), path)
    return path


def said(result: AnalysisResult) -> list[object]:
    """All that a result says, without times and names of files."""
    return [
        (entry.probabilities, entry.scores, entry.findings, entry.flags, entry.descriptors)
        for entry in result.images
    ]


def test_three_models_are_in_the_store() -> None:
    assert model_names() == ("histopathology", "mammography", "ultrasound")


@pytest.mark.parametrize("model", model_names())
def test_a_probe_is_answered(served: Served, model: str) -> None:
    subject = served(model)
    output = subject.forward(probe_tensor(subject.manifest))
    assert output.model_ms > 0 and all(np.isfinite(values).all() for values in output.outputs.values())
    assert len(subject.forward(np.repeat(probe_tensor(subject.manifest), 3, axis=0)).outputs["distance"]) == 3


@pytest.mark.parametrize("model", model_names())
def test_a_tensor_of_another_shape_is_refused(served: Served, model: str) -> None:
    subject = served(model)
    probe = probe_tensor(subject.manifest)
    for wrong in (probe[:, :1, :10], probe.astype(np.float32), probe[:0]):
        with pytest.raises(ValueError, match="the network takes uint8"):
            subject.forward(wrong)


def test_an_ultrasound_frame_gets_classes_outline_and_heat_map(served: Served, frame: Path) -> None:
    subject = served("ultrasound")
    result = subject.analyse(image(frame, spacing_um=(80.0, 80.0)))
    (entry,) = result.images
    assert set(entry.probabilities) == {"benign", "malignant", "normal"}
    assert sum(entry.probabilities.values()) == pytest.approx(1, abs=1e-4)
    height, width = cv2.imread(str(frame), cv2.IMREAD_GRAYSCALE).shape
    mask = cv2.imread(str(entry.mask), cv2.IMREAD_UNCHANGED)
    assert mask.shape == (height, width) and set(np.unique(mask)) <= {0, 255}
    heat = cv2.imread(str(entry.heatmap), cv2.IMREAD_UNCHANGED)
    assert heat.ndim == 2 and heat.shape[1] / heat.shape[0] == pytest.approx(width / height, rel=0.02)
    for finding in entry.findings:
        x0, y0, x1, y1 = finding.box
        assert x1 <= width and y1 <= height and finding.descriptors["area_mm2"] > 0
        assert mask[int(y0) : int(np.ceil(y1)), int(x0) : int(np.ceil(x1))].any()
    assert bool(entry.findings) == bool(mask.any())
    assert result.thresholds.keys() == set(OPERATING_POINTS)
    assert result.model == subject.manifest.identity
    assert 0 < result.timings.model_ms < result.timings.total_ms


def test_a_study_is_as_suspicious_as_its_two_most_suspicious_frames(
    served: Served, frame: Path, tmp_path: Path
) -> None:
    """Together, by the mean of their odds; of more frames, those that show nothing would outvote them."""
    other = tmp_path / "other.png"
    ultrasound.write_png(ultrasound.phantom(5, "none"), other)
    result = served("ultrasound").analyse(image(other), image(frame))
    assert [entry.image_id for entry in result.images] == ["other.png", "frame.png"]
    chances = [entry.probabilities["malignant"] for entry in result.images]
    odds = sum(chance / (1 - chance) for chance in chances) / 2
    assert result.probabilities["malignant"] == pytest.approx(odds / (1 + odds), abs=1e-4)


def test_a_new_name_changes_nothing(served: Served, frame: Path, tmp_path: Path) -> None:
    renamed = tmp_path / "benign (1).png"
    shutil.copy(frame, renamed)
    subject = served("ultrasound")
    assert said(subject.analyse(image(frame))) == said(subject.analyse(image(renamed)))


def test_metadata_changes_nothing(served: Served, tmp_path: Path) -> None:
    made = ultrasound.phantom(3, "benign")
    named, plain = tmp_path / "a.dcm", tmp_path / "b.dcm"
    ultrasound.write_dicom(made, named, PatientID="malignant", StudyDescription="malignant (1)")
    ultrasound.write_dicom(made, plain)
    subject = served("ultrasound")
    assert said(subject.analyse(image(named))) == said(subject.analyse(image(plain)))


def test_the_same_frame_as_png_and_dicom_reads_the_same(served: Served, tmp_path: Path) -> None:
    made = ultrasound.phantom(3, "malignant")
    ultrasound.write_png(made, tmp_path / "a.png")
    ultrasound.write_dicom(made, tmp_path / "a.dcm")
    subject = served("ultrasound")
    scores = [subject.analyse(image(tmp_path / name)).probabilities for name in ("a.png", "a.dcm")]
    assert scores[0] == pytest.approx(scores[1], abs=1e-3)


def test_four_views_become_two_breasts_and_one_exam(served: Served, exam: dict[str, Path]) -> None:
    views = [image(path, laterality=key[0], view=key[1:]) for key, path in exam.items()]
    result = served("mammography").analyse(*views)
    assert set(result.breasts) == {"L", "R"} and len(result.images) == 4
    for side, scores in result.breasts.items():
        own = [
            entry.probabilities["abnormal"]
            for entry, view in zip(result.images, views, strict=True)
            if view.laterality == side
        ]
        assert scores["abnormal"] == pytest.approx(np.mean(own), abs=1e-4)
        assert scores["normal"] + scores["abnormal"] == pytest.approx(1, abs=1e-4)
    highest = max(scores["abnormal"] for scores in result.breasts.values())
    assert result.probabilities["abnormal"] == highest
    assert set(result.probabilities) == {"normal", "abnormal", "malignancy"}


def test_one_view_without_a_side_is_read_too(served: Served, exam: dict[str, Path]) -> None:
    result = served("mammography").analyse(image(exam["RMLO"]))
    assert result.breasts == {} and result.probabilities == result.images[0].probabilities
    mask = cv2.imread(str(result.images[0].mask), cv2.IMREAD_UNCHANGED)
    assert mask.shape == (900, 700)


def test_a_mirrored_film_gets_mirrored_findings(served: Served, tmp_path: Path) -> None:
    made = mammography.phantom(6, "L", "CC", "malignant", rows=900, columns=700)
    shown = (made.pixels / made.pixels.max() * 255).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), shown)
    cv2.imwrite(str(tmp_path / "b.png"), shown[:, ::-1])
    subject = served("mammography")
    straight, mirrored = (subject.analyse(image(tmp_path / name)).images[0] for name in ("a.png", "b.png"))
    assert straight.probabilities == pytest.approx(mirrored.probabilities, abs=0.02)
    assert straight.findings
    for ours, theirs in zip(straight.findings, mirrored.findings, strict=True):
        assert ours.box[0] == pytest.approx(700 - theirs.box[2], abs=8)


def test_a_slide_is_read_in_fields_with_a_heat_map(served: Served, slide: Path) -> None:
    subject = served("histopathology")
    (entry,) = subject.analyse(image(slide)).images
    assert set(entry.probabilities) == {"not_idc", "idc"}
    heat = cv2.imread(str(entry.heatmap), cv2.IMREAD_UNCHANGED)
    # 3.0 × 2.2 mm: at least one pixel for 200 µm
    assert heat.shape[0] >= 11 and heat.shape[1] >= 15
    assert 20 < entry.descriptors["fields"] <= 165
    for finding in entry.findings:
        assert finding.box[2] <= 3000 and finding.box[3] <= 2200


def test_strips_do_not_change_what_is_read(
    served: Served, slide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inference.runtime.histopathology import pipeline as histopathology

    subject = served("histopathology")
    whole = subject.analyse(image(slide))
    monkeypatch.setattr(histopathology, "STRIP_ROWS", 130)
    strips = subject.analyse(image(slide))
    assert whole.images[0].descriptors["fields"] == strips.images[0].descriptors["fields"]
    assert whole.probabilities == pytest.approx(strips.probabilities, abs=0.02)


def test_the_stated_resolution_wins(served: Served, slide: Path) -> None:
    subject = served("histopathology")
    own = subject.analyse(image(slide)).images[0].descriptors["tissue_mm2"]
    halved = subject.analyse(image(slide, spacing_um=(0.5, 0.5))).images[0].descriptors["tissue_mm2"]
    assert halved == pytest.approx(own / 4, rel=0.35)


def test_a_photograph_without_resolution_is_not_analysed(served: Served, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), histology.photograph(1, "malignant", shape=(400, 500)).pixels[:, :, ::-1])
    subject = served("histopathology")
    with pytest.raises(NotApplicable, match=r"not analysed: .*µm per pixel"):
        subject.analyse(image(path))
    assert subject.analyse(image(path, spacing_um=(0.5, 0.5))).images[0].probabilities["idc"] >= 0


def test_empty_glass_is_not_analysed(served: Served, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "glass.png"), np.full((300, 300, 3), 240, np.uint8))
    with pytest.raises(NotApplicable, match="no stained tissue"):
        served("histopathology").analyse(image(tmp_path / "glass.png", spacing_um=(4.0, 4.0)))


def test_a_pale_patch_is_answered_with_a_warning(served: Served, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "fat.png"), np.full((50, 50, 3), 240, np.uint8))
    (entry,) = served("histopathology").analyse(image(tmp_path / "fat.png", spacing_um=(4.0, 4.0))).images
    assert Flag.LOW_QUALITY in entry.flags and entry.descriptors["fields"] == 1


def test_a_slide_is_no_ultrasound(served: Served, slide: Path) -> None:
    with pytest.raises(NotApplicable, match="whole-slide"):
        served("ultrasound").analyse(image(slide))


def test_another_modality_version_or_crowd_is_not_analysed(served: Served, frame: Path) -> None:
    from inference.runtime.analyse import analyse

    subject = served("ultrasound")
    request = subject.request(image(frame))
    for change in (
        {"modality": "MG"},
        {"model_version": "0.0.0"},
        {"images": (image(frame),) * 65},
    ):
        with pytest.raises(NotApplicable, match="not analysed"):
            analyse(request.model_copy(update=change), subject.manifest, subject.forward, subject.save)


@pytest.mark.parametrize(
    "content", [b"", b"a text file", b"\x89PNG\r\n\x1a\n cut"], ids=["empty", "text", "cut"]
)
def test_a_file_that_is_no_image_is_unreadable(served: Served, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.dcm").write_bytes(content)
    with pytest.raises(ImageUnreadable):
        served("mammography").analyse(image(tmp_path / "x.dcm"))


@pytest.mark.parametrize("model", ["ultrasound", "mammography"])
def test_noise_and_colour_are_out_of_distribution(served: Served, tmp_path: Path, model: str) -> None:
    generator = np.random.default_rng(0)
    cv2.imwrite(str(tmp_path / "noise.png"), generator.integers(0, 255, (500, 600), dtype=np.uint8))
    cv2.imwrite(str(tmp_path / "colour.png"), np.full((500, 600, 3), (30, 160, 90), np.uint8))
    for name in ("noise.png", "colour.png"):
        assert Flag.OUT_OF_DISTRIBUTION in served(model).analyse(image(tmp_path / name)).flags


def test_a_thumbnail_is_of_low_quality(served: Served, frame: Path, tmp_path: Path) -> None:
    small = cv2.resize(cv2.imread(str(frame), cv2.IMREAD_GRAYSCALE), (40, 30))
    cv2.imwrite(str(tmp_path / "small.png"), small)
    assert Flag.LOW_QUALITY in served("ultrasound").analyse(image(tmp_path / "small.png")).flags


@pytest.mark.parametrize("model", ["ultrasound", "mammography", "histopathology"])
def test_images_unlike_those_learnt_from_take_no_part_in_the_studys_answer(
    served: Served,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    request: pytest.FixtureRequest,
) -> None:
    subject = served(model)
    first, second = {
        "ultrasound": lambda: (request.getfixturevalue("frame"), request.getfixturevalue("frame")),
        "mammography": lambda: [request.getfixturevalue("exam")[view] for view in ("LCC", "LMLO")],
        "histopathology": lambda: (request.getfixturevalue("slide"), request.getfixturevalue("slide")),
    }[model]()
    shutil.copy(first, tmp_path / f"a{first.suffix}")
    shutil.copy(second, tmp_path / f"b{second.suffix}")
    spacing = (1.0, 1.0) if model == "histopathology" else None
    views = [
        image(tmp_path / f"{name}{first.suffix}", laterality="L", spacing_um=spacing) for name in ("a", "b")
    ]
    loop = slides if model == "histopathology" else image_by_image

    def flagged(unlike: set[int]) -> AnalysisResult:
        def each_image(asked: AnalysisRequest, read: Reads) -> tuple[ImageResult, ...]:
            def one(index: int, reference: ImageReference) -> ImageResult:
                flags = (Flag.OUT_OF_DISTRIBUTION,) if index in unlike else ()
                scores = dict.fromkeys(subject.manifest.classes, 0.9 - 0.5 * index)
                return read(index, reference).model_copy(update={"flags": flags, "probabilities": scores})

            return study.each_image(asked, one)

        monkeypatch.setattr(loop, "each_image", each_image)
        return subject.analyse(*views)

    result = flagged({0})
    positive = subject.manifest.positive_class
    assert result.judged_images == (views[1].image_id,)
    assert result.probabilities[positive] == pytest.approx(0.4)
    assert all(scores[positive] == pytest.approx(0.4) for scores in result.breasts.values())
    assert Flag.OUT_OF_DISTRIBUTION in result.flags
    assert flagged({0, 1}).judged_images == ()

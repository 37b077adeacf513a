"""A reader's category and the terms of the lexicon as a model's outputs; and a bias a class."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from inference.contract import AnalysisResult, ImageReference, ModelManifest, outline_lexicon
from inference.runtime.analyse import analyse
from inference.runtime.calibration import softmax
from inference.runtime.forward import ForwardOutput
from inference.runtime.store import read_manifest
from inference.runtime.ultrasound.pipeline import CLASSES, bias_of

LOGITS = np.array([[0.4, 1.1, -2.0]], np.float32)


def forward(assessment: bool) -> Any:
    """Outlines a disc, and answers every look alike."""

    def said(tensor: NDArray[np.uint8]) -> ForwardOutput:
        side = tensor.shape[2] // 4
        rows, columns = np.mgrid[:side, :side] / side
        disc = np.where((rows - 0.5) ** 2 + ((columns - 0.5) / 1.4) ** 2 < 0.04, 4.0, -6.0)
        maps = disc[None, None].astype(np.float32)
        outputs = {"logits": LOGITS, "outline": maps, "malignancy": maps, "distance": np.ones(1, np.float32)}
        if assessment:
            outputs["assessment"] = np.array([[0.0, 0.5, 2.0, -1.0]], np.float32)
        return ForwardOutput(outputs, 1.0)

    return said


@pytest.fixture
def ask(tmp_path: Any) -> Any:
    picture = np.random.default_rng(0).integers(40, 120, (300, 300)).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "frame.png")

    def answer(manifest: ModelManifest, assessment: bool) -> AnalysisResult:
        request = manifest.request("r", ImageReference(image_id="1", path=str(tmp_path / "frame.png")))
        return analyse(request, manifest, forward(assessment), lambda name, _: name)

    return answer


def test_a_network_that_tells_a_category_tells_it_for_image_and_lesion(ask: Any) -> None:
    said = ask(read_manifest("ultrasound", version="2.2.0"), True)
    image = said.images[0]
    expected = softmax(np.array([0.0, 0.5, 2.0, -1.0]))
    assert list(image.assessment) == ["2", "3", "4", "5"]
    assert list(image.assessment.values()) == pytest.approx(expected.tolist(), abs=1e-5)
    (finding,) = image.findings
    assert finding.descriptors["birads"] == 4
    assert finding.lexicon == {"shape": "oval", "orientation": "parallel", "margin": "circumscribed"}
    assert AnalysisResult.model_validate_json(said.model_dump_json()) == said


def test_one_that_does_not_says_nothing_of_it(ask: Any) -> None:
    said = ask(read_manifest("ultrasound", version="2.2.0"), False)
    (finding,) = said.images[0].findings
    assert "birads" not in finding.descriptors
    stored = said.model_dump(mode="json")["images"][0]
    assert "assessment" not in stored and "lexicon" not in stored["findings"][0]


def test_a_bias_a_class_is_added_after_the_temperature_and_moves_marks_too(ask: Any) -> None:
    known = read_manifest("ultrasound", version="2.2.0")
    biases = dict(zip(CLASSES, (0.5, -1.0, 0.5), strict=True))
    moved = known.model_copy(
        update={"calibration": {**known.calibration, **{bias_of(name): b for name, b in biases.items()}}}
    )
    before, after = ask(known, False), ask(moved, False)
    expected = softmax(
        LOGITS[0].astype(float) / known.calibration["temperature"] + np.array([0.5, -1.0, 0.5])
    )
    assert [after.probabilities[name] for name in CLASSES] == pytest.approx(expected.tolist(), abs=1e-5)
    assert after.images[0].findings[0].score < before.images[0].findings[0].score


@pytest.mark.parametrize(
    ("measured", "terms"),
    [
        (
            {"aspect_ratio": 1.0, "roundness": 0.88, "margin_irregularity": 0.02},
            "round not_parallel circumscribed",
        ),
        ({"aspect_ratio": 0.6, "roundness": 0.8, "margin_irregularity": 0.02}, "oval parallel circumscribed"),
        (
            {"aspect_ratio": 1.4, "roundness": 0.7, "margin_irregularity": 0.07},
            "oval not_parallel not_circumscribed",
        ),
        (
            {"aspect_ratio": 1.2, "roundness": 0.5, "margin_irregularity": 0.2},
            "irregular not_parallel not_circumscribed",
        ),
        ({"margin_irregularity": 0.02}, ""),
        ({}, ""),
    ],
)
def test_the_lexicon_is_measured_from_the_outline(measured: dict[str, float], terms: str) -> None:
    assert " ".join(outline_lexicon(measured).values()) == terms

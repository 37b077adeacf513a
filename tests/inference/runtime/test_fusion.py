"""One answer of several images: between the mean of the logits and the most suspicious image alone."""

from __future__ import annotations

import numpy as np
import pytest

from inference.contract import ImageResult, ModelManifest
from inference.evaluation.patients import by_patient, rule_of, spoken_for
from inference.evaluation.records import Record
from inference.runtime.fusion import FUSED, fused
from inference.runtime.image_by_image import most_suspicious
from inference.runtime.store import read_manifest


def answer(malignant: float, normal: float = 0.0) -> dict[str, float]:
    return {"benign": round(1 - malignant - normal, 6), "malignant": malignant, "normal": normal}


def manifest(images: int) -> ModelManifest:
    known = read_manifest("ultrasound", version="2.2.0")
    return known.model_copy(update={"calibration": {**known.calibration, FUSED: float(images)}})


def test_one_image_speaks_for_itself() -> None:
    assert fused([answer(0.3, 0.1)], "malignant") == answer(0.3, 0.1)


def test_the_odds_are_the_mean_odds_and_the_rest_is_shared() -> None:
    both = fused([answer(0.75), answer(0.5, 0.5)], "malignant")  # odds of 3 and 1
    assert both["malignant"] == pytest.approx(2 / 3, abs=1e-6)
    assert both["benign"] == pytest.approx(both["normal"] * 0.25 / 0.5, abs=1e-6)
    assert sum(both.values()) == pytest.approx(1, abs=1e-5) and list(both) == list(answer(0.5))


@pytest.mark.parametrize(("first", "second"), [(1.0, 0.0), (1.0, 1.0), (0.0, 0.0), (0.98, 0.02)])
def test_certain_images_stay_finite_and_between_both(first: float, second: float) -> None:
    said = fused([answer(first), answer(second)], "malignant")["malignant"]
    assert min(first, second) - 1e-6 <= said <= max(first, second) + 1e-6
    if first > 0.9 > 0.1 > second:
        assert said > 0.9  # a view that shows nothing does not outvote one that does


def test_more_images_that_show_nothing_change_nothing() -> None:
    def study(*chances: float) -> float:
        images = [
            ImageResult(image_id=str(i), probabilities=answer(chance)) for i, chance in enumerate(chances)
        ]
        said = most_suspicious(images, lambda one: (one.probabilities["malignant"],), "malignant", 2)
        assert [image.image_id for image in said.images] == [str(i) for i in range(len(chances))]
        return said.probabilities["malignant"]

    assert study(0.02, 0.9, 0.6) == study(0.9, 0.6) == study(*[0.01] * 60, 0.6, 0.9)
    assert study(0.6) < study(0.9, 0.6) < study(0.9)


def test_figures_a_patient_are_made_by_the_rule_of_the_platform() -> None:
    def record(group: str, image: str, chance: float, label: str) -> Record:
        return Record("busbra", image, group, label, answer(chance))

    records = [
        record("1", "a", 0.6, "malignant"), record("1", "b", 0.6, "malignant"),
        record("2", "c", 0.7, "benign"), record("2", "d", 0.01, "benign"),
    ]  # fmt: skip

    def score(one: Record) -> float:
        return one.probabilities["malignant"]

    def auc(images: int) -> float:
        rule = rule_of(manifest(images), score)
        counts = [[1.0] * len(records)]
        return float(
            by_patient(records, lambda one: one.label == "malignant", score, rule)(np.array(counts))[0]
        )

    assert auc(1) == 0 and auc(2) == 1
    spoken = spoken_for(records, rule_of(manifest(2), score))
    assert [one.group for one in spoken] == ["1", "2"]
    pair = [one.probabilities for one in records[:2]]
    assert spoken[0].probabilities == fused(pair, "malignant")

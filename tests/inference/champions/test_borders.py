"""Who is held out from whom when a champion learns from several collections."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.champions.plan import Plan
from inference.champions.registry import recipe_of
from inference.champions.ultrasound import train as ultrasound
from inference.champions.ultrasound.borders import folds, left_out
from inference.champions.ultrasound.build import shortened
from inference.champions.ultrasound.held_out import points
from inference.datasets.generated import write
from inference.datasets.sample import LeakError, Sample, assert_disjoint, grouped_folds
from inference.runtime.ultrasound.pipeline import BENIGN, MALIGNANT


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    root = tmp_path_factory.mktemp("collections")
    for name in ("busi", "busbra"):
        write(name, root / name)
    return ultrasound.read(root, ("busi", "busbra"))


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(tmp_path, tmp_path, tmp_path, "1.0.0", recipe_of("ultrasound"))


def groups(samples: list[Sample], numbers: object) -> set[tuple[str, str]]:
    return {(samples[i].dataset, samples[i].group_id) for i in numbers}  # type: ignore[attr-defined]


def test_every_frame_is_held_out_once_and_a_collections_own_folds_are_kept(
    plan: Plan, samples: list[Sample]
) -> None:
    pairs = folds(plan, samples)
    assert sorted(index for _, outside in pairs for index in outside) == list(range(len(samples)))
    for fold, (inside, outside) in enumerate(pairs):
        assert not groups(samples, inside) & groups(samples, outside)
        own = [samples[i] for i in outside if samples[i].dataset == "busbra"]
        assert own and {sample.extra["fold"] for sample in own} == {str(fold)}


def test_a_single_collection_is_dealt_as_before(plan: Plan, samples: list[Sample]) -> None:
    busi = [sample for sample in samples if sample.dataset == "busi"]
    assert folds(plan, busi) == grouped_folds(busi, 5, 0)
    one = replace(plan, recipe=recipe_of("ultrasound", "2.2.0"))
    assert ultrasound.collections(one.recipe) == ("busi",) and left_out(one, busi) == []


def test_each_collection_and_each_scanner_is_left_out_once(plan: Plan, samples: list[Sample]) -> None:
    borders = left_out(plan, samples)
    assert sorted((border.name, border.split) for border in borders) == [
        ("without-busbra", "left_out_collection"),
        ("without-busbra-ge-logiq-5", "left_out_scanner"),
        ("without-busbra-ge-logiq-7", "left_out_scanner"),
        ("without-busi", "left_out_collection"),
    ]
    assert [border.split for border in borders] == ["left_out_collection"] * 2 + ["left_out_scanner"] * 2
    for border in borders:
        parts = [groups(samples, part) for part in (border.inside, border.kept, border.outside)]
        assert all(parts) and not parts[0] & parts[1] and not parts[0] & parts[2] and not parts[1] & parts[2]
        named = {ultrasound.scanner(samples[i]) for i in border.outside}
        assert not named & {ultrasound.scanner(samples[i]) for i in (*border.inside, *border.kept)}


def test_a_patient_of_two_scanners_stands_on_one_side(plan: Plan, samples: list[Sample]) -> None:
    number = next(i for i, s in enumerate(samples) if s.extra.get("side") == "right")
    moved = list(samples)
    other = "GE Logiq 5 @10-12MHz" if "7" in samples[number].extra["device"] else "GE Logiq 7 @10-14MHz"
    moved[number] = replace(samples[number], extra={**samples[number].extra, "device": other})
    for border in left_out(plan, moved):
        inside, outside = groups(moved, (*border.inside, *border.kept)), groups(moved, border.outside)
        assert not inside & outside


def test_what_leaves_something_out_is_trained_for_half_the_epochs(plan: Plan) -> None:
    whole, half = plan.recipe.network("lesion"), shortened(plan).recipe.network("lesion")
    assert [stage.epochs for stage in whole.train] == [7, 3, 8]
    assert [stage.epochs for stage in half.train] == [4, 2, 4]
    assert half.model_copy(update={"train": whole.train}) == whole


def test_operating_points_hold_on_the_worst_scanner(plan: Plan, samples: list[Sample]) -> None:
    of_7, of_5 = (
        next(s for s in samples if s.extra.get("device", "").startswith(f"GE Logiq {number}"))
        for number in (7, 5)
    )
    generator = np.random.default_rng(0)
    labels = np.tile([BENIGN, MALIGNANT], 400)
    # the second scanner's lesions look less malignant
    evidence = generator.normal(0, 1, 800) + 2.0 * (labels == MALIGNANT) - 1.5 * (np.arange(800) >= 400)
    chances = 1 / (1 + np.exp(-evidence))
    shares = np.stack([1 - chances, chances, np.zeros(800)], axis=1)
    frames = [of_7] * 400 + [of_5] * 400
    found = points(plan, frames, shares, labels)
    pooled = plan.operating_points(chances, labels == MALIGNANT)
    for part in (slice(0, 400), slice(400, 800)):
        ill, own = labels[part] == MALIGNANT, chances[part]
        assert (own[ill] >= found["high_sensitivity"]).mean() >= 0.975
        assert (own[~ill] < found["high_specificity"]).mean() >= 0.95
    assert found["high_sensitivity"] < pooled["high_sensitivity"]
    assert found["high_sensitivity"] <= found["balanced"] <= found["high_specificity"]
    alike = plan.recipe.calibrate.model_copy(update={"points": "pooled"})
    before = replace(plan, recipe=plan.recipe.model_copy(update={"calibrate": alike}))
    assert points(before, frames, shares, labels) == pooled
    assert set(points(plan, frames[:2], shares[::2][:2], labels[::2][:2]).values()) == {0.5}


def test_equal_numbers_of_two_collections_are_no_leak(samples: list[Sample]) -> None:
    one = next(sample for sample in samples if sample.dataset == "busbra")
    other = replace(
        next(s for s in samples if s.dataset == "busi"), group_id=one.group_id, patient_id=one.patient_id
    )
    assert_disjoint({"train": [one], "held out": [other]})
    with pytest.raises(LeakError, match=f"group_id {one.group_id} stands in both"):
        assert_disjoint({"train": [one], "held out": [replace(one, id="another")]})

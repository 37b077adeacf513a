"""Robustness over simulated stains and scanners: the index tells tissue from scanner, and scanners change pictures."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from inference.evaluation.card import _robust
from inference.evaluation.robustness import Floats, balanced, robustness, votes
from inference.evaluation.scanners import SCANNERS, Fields, Scanner, scaled, stained


def tissue(count: int = 60) -> tuple[Fields, NDArray[np.bool_], list[str]]:
    """Pink fields with blue dots, more of them where the class is positive; twelve patients."""
    generator = np.random.default_rng(0)
    fields = np.full((count, 50, 50, 3), (228, 170, 200), np.uint8)
    positive = np.arange(count) % 2 == 0
    for field, more in zip(fields, positive, strict=True):
        for y, x in generator.integers(2, 48, (60 if more else 15, 2)):
            field[y - 1 : y + 2, x - 1 : x + 2] = (110, 80, 160)
    return fields, positive, [str(number % 12) for number in range(count)]


def by_dots(fields: Fields) -> tuple[Floats, Floats]:
    """A network that counts what is darker than its surroundings, whatever the stain."""
    grey = fields.astype(np.float64).mean(axis=-1)
    share = (grey < np.median(grey, axis=(1, 2), keepdims=True) - 15).mean(axis=(1, 2))
    return np.stack([share, 0.1 * np.ones_like(share)], axis=1), share


def by_colour(fields: Fields) -> tuple[Floats, Floats]:
    """One that looks at the brightest places alone: the stain of what lies between the dots."""
    colour = np.quantile(fields.astype(np.float64), 0.9, axis=(1, 2))
    return colour, 1 - colour.mean(axis=1) / 255


def test_a_network_that_looks_at_tissue_is_told_from_one_that_looks_at_stain() -> None:
    strong = (Scanner("dark", "", stained(1.6, 1.6)), Scanner("pale", "", stained(0.5, 0.5)))
    fields, positive, patients = tissue()
    good = robustness(by_dots, fields, positive, patients, 0.2, strong)
    bad = robustness(by_colour, fields, positive, patients, 0.2, strong)
    assert good.index > 0.9 > 0.3 > bad.index
    assert all(each.low <= each.index <= each.high for each in (*good.scanners, *bad.scanners))
    assert all(each.auc > 0.95 for each in good.scanners)


def test_fields_of_one_patient_are_no_neighbours_of_each_other() -> None:
    features = np.array([[1.0, 0.0], [1.0, 0.01], [0.0, 1.0], [0.0, 1.01]])
    positive, scanner = np.array([True, True, False, False]), np.array([False, True, False, True])
    assert votes(features, positive, scanner, np.array(["a", "a", "b", "b"]), 1)[:, 0].sum() == 0
    speaking = votes(features, positive, scanner, np.array(["a", "b", "c", "d"]), 1)
    assert speaking[:, 0].tolist() == [1, 1, 1, 1] and speaking[:, 1].sum() == 0


def test_as_many_fields_of_either_class_are_compared() -> None:
    positive = np.arange(100) < 13
    chosen = balanced(positive)
    assert len(chosen) == 26 and positive[chosen].sum() == 13 and (np.diff(chosen) > 0).all()


@pytest.mark.parametrize("scanner", SCANNERS, ids=lambda each: each.name)
def test_a_scanner_changes_every_field_and_neither_its_size_nor_what_is_white(scanner: Scanner) -> None:
    fields, _, _ = tissue(6)
    seen = scanner.see(fields)
    assert seen.shape == fields.shape and seen.dtype == np.uint8
    assert (np.abs(seen.astype(int) - fields).mean(axis=(1, 2, 3)) > 1).all()
    np.testing.assert_array_equal(seen, scanner.see(fields))
    glass = np.full((1, 50, 50, 3), 255, np.uint8)
    assert scanner.see(glass).min() >= 235


def test_the_same_stain_and_the_same_size_change_nothing() -> None:
    fields, _, _ = tissue(3)
    assert np.abs(stained()(fields).astype(int) - fields).max() <= 1
    np.testing.assert_array_equal(scaled(1.0)(fields), fields)
    darker, paler = stained(1.5, 1.5)(fields), stained(0.5, 0.5)(fields)
    assert darker.mean() < fields.mean() < paler.mean()


def test_one_class_alone_says_nothing() -> None:
    fields, positive, patients = tissue(6)
    with pytest.raises(ValueError, match="both classes"):
        robustness(by_dots, fields, np.ones_like(positive), patients, 0.5)


def test_the_card_shows_it_of_the_very_weights_that_it_was_measured_on() -> None:
    fields, positive, patients = tissue(24)
    found = robustness(by_dots, fields, positive, patients, 0.2, SCANNERS[:2])
    content = {"weights_sha256": "a", **found.as_json()}
    text = "\n".join(_robust({**content, "scanners": [vars(each) for each in found.scanners]}, "a"))
    assert f"Robustness index {found.index:.3f}" in text and "| pale |" in text
    assert "of others" in "\n".join(_robust(content, "b")) and list(_robust(None, "a")) == []

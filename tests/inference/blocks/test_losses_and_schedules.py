"""Losses, schedules of the learning rate, and samplers that recipes name."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch.nn import functional as F

from inference.blocks.losses import class_weights
from inference.blocks.registry import build, names

LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.4, 0.0], [-1.0, 0.0, 3.0], [1.0, 2.0, 0.0]])
LABELS = torch.tensor([0, 2, 2, 1])


def test_cross_entropy_with_weights_and_smoothing_is_torchs() -> None:
    loss = build("loss", "cross_entropy", weights=[1.0, 2.0, 0.5], label_smoothing=0.05)
    expected = F.cross_entropy(LOGITS, LABELS, torch.tensor([1.0, 2.0, 0.5]), label_smoothing=0.05)
    assert float(loss(LOGITS, LABELS)) == pytest.approx(float(expected))


def test_a_network_that_answers_with_more_than_logits_is_read_by_its_first_part() -> None:
    loss = build("loss", "cross_entropy")
    assert float(loss((LOGITS, torch.zeros(1)), LABELS)) == float(loss(LOGITS, LABELS))


def test_one_logit_is_binary_cross_entropy() -> None:
    logits, labels = torch.tensor([[1.5], [-0.5]]), torch.tensor([1, 0])
    expected = F.binary_cross_entropy_with_logits(logits[:, 0], labels.float())
    for given in (logits, logits[:, 0]):
        assert float(build("loss", "cross_entropy")(given, labels)) == pytest.approx(float(expected))


def test_weights_for_another_number_of_classes_are_an_error() -> None:
    with pytest.raises(ValueError, match="2 weights for 3 classes"):
        build("loss", "cross_entropy", weights=[1.0, 2.0])(LOGITS, LABELS)


def test_focal_loss_without_focus_is_cross_entropy_and_with_it_forgives_what_is_right() -> None:
    plain = build("loss", "cross_entropy")
    assert float(build("loss", "focal", gamma=0.0)(LOGITS, LABELS)) == pytest.approx(
        float(plain(LOGITS, LABELS))
    )
    weights = [1.0, 2.0, 0.5]
    assert float(build("loss", "focal", gamma=0.0, weights=weights)(LOGITS, LABELS)) == pytest.approx(
        float(build("loss", "cross_entropy", weights=weights)(LOGITS, LABELS))
    )
    sure, unsure = torch.tensor([[5.0, 0.0]]), torch.tensor([[0.1, 0.0]])
    truth, focal = torch.tensor([0]), build("loss", "focal")
    spared = [float(focal(x, truth)) / float(plain(x, truth)) for x in (sure, unsure)]
    assert spared[0] < 1e-3 < spared[1]


def test_the_margin_loss_is_zero_beyond_both_margins_and_counts_by_square() -> None:
    lengths = torch.tensor([[0.95, 0.05, 0.1], [0.5, 0.6, 0.0001]])
    loss = build("loss", "margin")(torch.logit(lengths), torch.tensor([0, 1]))
    assert float(loss) == pytest.approx((0.3**2 + 0.5 * 0.4**2) / 2, rel=1e-4)
    with pytest.raises(ValueError, match="absent < present"):
        build("loss", "margin", present=0.1, absent=0.9)


def test_dice_and_tversky_with_equal_weights_agree() -> None:
    logits, mask = torch.randn(2, 1, 8, 8), (torch.rand(2, 1, 8, 8) > 0.5).float()
    dice = build("loss", "dice_bce", bce=0.0)(logits, mask)
    even = build("loss", "tversky", false_positives=0.5, false_negatives=0.5)(logits, mask)
    assert float(dice) == pytest.approx(float(even))


def test_tversky_punishes_what_is_missed_more_than_what_is_too_much() -> None:
    mask = torch.zeros(1, 1, 8, 8)
    mask[:, :, 2:6, 2:6] = 1
    smaller, larger = torch.full_like(mask, -9.0), torch.full_like(mask, -9.0)
    smaller[:, :, 2:6, 2:4] = 9.0  # misses 8
    larger[:, :, 2:6, 2:8] = 9.0  # 8 too many
    loss = build("loss", "tversky")
    assert float(loss(smaller, mask)) > float(loss(larger, mask))


@pytest.mark.parametrize("name", ["dice_bce", "tversky"])
def test_a_perfect_outline_costs_nothing_and_an_empty_mask_is_finite(name: str) -> None:
    loss = build("loss", name)
    mask = (torch.rand(2, 1, 8, 8) > 0.5).float()
    assert float(loss(40 * (mask - 0.5), mask)) == pytest.approx(0, abs=1e-4)
    logits = torch.zeros(1, 1, 8, 8, requires_grad=True)
    loss(logits, torch.zeros(1, 1, 8, 8)).backward()
    assert logits.grad is not None and bool(torch.isfinite(logits.grad).all()) and bool(logits.grad.any())


def test_a_mask_of_the_images_size_is_averaged_to_a_coarser_outline() -> None:
    loss = build("loss", "dice_bce")
    mask = torch.zeros(1, 8, 8)
    mask[:, :4] = 1
    coarse = torch.full((1, 1, 2, 2), -9.0)
    coarse[:, :, 0] = 9.0
    assert float(loss(coarse, mask)) == pytest.approx(0, abs=1e-3)


def test_class_weights_give_each_class_the_same_total() -> None:
    labels = [0, 0, 0, 1, 2, 2]
    weights = class_weights(labels, 3)
    totals = [sum(weights[label] for label in labels if label == k) for k in range(3)]
    assert totals == pytest.approx([2.0, 2.0, 2.0])
    with pytest.raises(ValueError, match="class 3 has no sample"):
        class_weights(labels, 4)


# --- schedules -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", names("schedule"))
def test_a_schedule_never_rises_after_its_warm_up(name: str) -> None:
    factor = build("schedule", name, warm_up=0.1)
    values = [factor(step / 200) for step in range(201)]
    assert values[0] <= 0.01
    assert all(a >= b for a, b in pairwise(values[20:]))
    assert all(0 <= value <= 1 for value in values)


def test_the_gauss_error_schedule_ends_where_it_should_and_is_flat_steep_flat() -> None:
    end, steepness = 0.1, 2.0
    factor = build("schedule", "gauss_error", end=end, steepness=steepness)
    short = (1 - end) / 2 * (1 - math.erf(steepness))
    assert factor(0.0) == pytest.approx(1 - short)
    assert factor(1.0) == pytest.approx(end + short)
    assert factor(0.5) == pytest.approx((1 + end) / 2)
    fall = [factor(step / 100) - factor((step + 1) / 100) for step in range(100)]
    assert all(step > 0 for step in fall)
    assert max(fall) == pytest.approx(fall[49], rel=1e-6) and fall[49] > 20 * fall[0]


def test_cosine_goes_from_one_to_its_end() -> None:
    factor = build("schedule", "cosine", end=0.05)
    assert (factor(0.0), factor(1.0)) == (1.0, pytest.approx(0.05))
    assert factor(0.5) == pytest.approx(0.525)


def test_steps_fall_at_their_marks() -> None:
    factor = build("schedule", "steps", at=[0.5, 0.75], factor=0.1)
    assert [factor(x) for x in (0.49, 0.5, 0.8)] == pytest.approx([1, 0.1, 0.01])


# --- samplers --------------------------------------------------------------------------------------------


def test_class_balanced_batches_hold_every_class_as_often() -> None:
    labels = torch.tensor([0] * 90 + [1] * 6 + [2] * 24)
    batches = build("sampler", "class_balanced")(labels, 12, torch.Generator().manual_seed(0))
    assert [len(batch) for batch in batches] == [12] * 10
    counts = torch.stack([torch.bincount(labels[batch], minlength=3) for batch in batches])
    assert bool((counts == 4).all())


def test_a_class_is_used_up_before_any_of_its_samples_comes_again() -> None:
    labels = torch.tensor([0] * 30 + [1] * 5)
    drawn = torch.cat(build("sampler", "class_balanced")(labels, 2, torch.Generator().manual_seed(1)))
    rare = torch.bincount(drawn[labels[drawn] == 1], minlength=35)[30:]
    common = torch.bincount(drawn[labels[drawn] == 0], minlength=30)[:30]
    assert int(rare.max() - rare.min()) <= 1
    assert int(common.max()) == 1


@pytest.mark.parametrize("name", names("sampler"))
def test_a_sampler_repeats_by_its_generator(name: str) -> None:
    labels = torch.tensor([0, 1] * 10)
    once, again, other = (
        torch.cat(build("sampler", name)(labels, 5, torch.Generator().manual_seed(seed)))
        for seed in (4, 4, 5)
    )
    assert torch.equal(once, again) and not torch.equal(once, other)

"""Changes that imitate another lens, resolution and export of fields of tissue."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from inference.blocks.parameters import make

NAMES = ("sharpness", "magnified", "compressed")


def fields(count: int = 24, side: int = 50) -> tuple[Tensor, Tensor]:
    """Smooth purple texture N×3×50×50, and the outlines that fields have: none."""
    generator = Generator().manual_seed(1)
    coarse = torch.rand((count, 3, side // 5, side // 5), generator=generator)
    fine = F.interpolate(coarse, size=(side, side), mode="bilinear", align_corners=False)
    colour = torch.tensor([180.0, 90.0, 160.0]).view(1, 3, 1, 1)
    return (colour + 60 * (fine - 0.5)).clamp(0, 255), torch.zeros(count, 0)


def unrest(images: Tensor) -> Tensor:
    """The mean difference of neighbours, N."""
    return (images[:, :, 1:] - images[:, :, :-1]).abs().mean(dim=(1, 2, 3))


@pytest.mark.parametrize("name", NAMES)
def test_a_change_repeats_and_keeps_the_colours(name: str) -> None:
    images, masks = fields()
    before = images.clone()
    change = make("augment", name, {"share": 1.0})
    first, outlines = change(images, masks, Generator().manual_seed(3))
    again, _ = change(images, masks, Generator().manual_seed(3))
    other, _ = change(images, masks, Generator().manual_seed(4))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(images, before) and outlines is masks
    assert first.shape == images.shape and first.min() >= 0 and first.max() <= 255
    assert not torch.equal(first, images)
    assert torch.allclose(first.mean(dim=(0, 2, 3)), images.mean(dim=(0, 2, 3)), atol=4), "red stays red"


@pytest.mark.parametrize("name", NAMES)
def test_a_share_of_none_changes_nothing(name: str) -> None:
    images, masks = fields()
    same, _ = make("augment", name, {"share": 0.0})(images, masks, Generator().manual_seed(3))
    assert torch.equal(same, images)


def test_some_are_blurred_and_some_sharpened() -> None:
    images, masks = fields()
    changed, _ = make("augment", "sharpness", {"share": 1.0})(images, masks, Generator().manual_seed(3))
    ratio = unrest(changed) / unrest(images)
    assert (ratio < 0.98).sum() >= 4 and (ratio > 1.02).sum() >= 4


def test_tissue_is_larger_or_smaller_and_no_edge_is_black() -> None:
    ramp = (40 + 4 * torch.arange(50.0)).expand(24, 3, 50, 50)
    changed, _ = make("augment", "magnified", {"share": 1.0})(
        ramp, torch.zeros(24, 0), Generator().manual_seed(7)
    )
    slope = (changed[:, 0, 25, 30] - changed[:, 0, 25, 20]) / 40
    assert 0.77 < slope.min() < 0.9 and 1.1 < slope.max() < 1.29
    assert changed.min() >= ramp.min() - 1

"""Changes that imitate other scanners: they repeat, keep outlines and black surroundings, and do what they say."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor

from inference.blocks.parameters import make
from inference.blocks.scanners import dynamic_range, gain_over_depth

NAMES = ("scanner", "other_style", "compressed", "burned_in", "elsewhere_pasted")


def frames(count: int = 6, side: int = 64) -> tuple[Tensor, Tensor]:
    """Grey frames with a black border left and right, a dark disc in all but the last two, and its outline."""
    generator = Generator().manual_seed(1)
    images = 90 + 40 * torch.rand((count, 1, side, side), generator=generator)
    images += torch.linspace(-30, 60, count).view(-1, 1, 1, 1)
    images[:, :, :, :6] = images[:, :, :, -6:] = 0
    rows = torch.arange(side).view(-1, 1)
    disc = ((rows - 30) ** 2 + (rows.T - 34) ** 2 < 81).float()
    masks = disc.expand(count, 1, side, side).clone()
    masks[-2:] = 0
    return torch.where(masks > 0, images * 0.3, images).clamp(0, 255), masks


@pytest.mark.parametrize("name", NAMES)
def test_a_change_repeats_stays_grey_and_leaves_outlines(name: str) -> None:
    images, masks = frames()
    before = images.clone()
    change = make("augment", name, {} if name == "scanner" else {"share": 1.0})
    first, outlines = change(images, masks, Generator().manual_seed(3))
    again, _ = change(images, masks, Generator().manual_seed(3))
    others = [change(images, masks, Generator().manual_seed(seed))[0] for seed in range(4, 9)]
    assert torch.equal(first, again) and not all(torch.equal(first, other) for other in others)
    assert torch.equal(outlines, masks) and torch.equal(images, before)
    assert first.shape == images.shape and first.min() >= 0 and first.max() <= 255
    assert not torch.equal(first, images)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "scanner"])
def test_a_share_of_none_changes_nothing(name: str) -> None:
    images, masks = frames()
    same, _ = make("augment", name, {"share": 0.0})(images, masks, Generator().manual_seed(3))
    assert torch.allclose(same, images, atol=1e-3)


@pytest.mark.parametrize("name", ["scanner", "other_style"])
def test_where_nothing_is_heard_nothing_appears(name: str) -> None:
    images, masks = frames()
    changed, _ = make("augment", name, {})(images, masks, Generator().manual_seed(5))
    assert changed[:, :, :, :3].abs().max() < 1


def test_a_style_moves_brightness_towards_another_frame_and_leaves_what_is_where() -> None:
    images, masks = frames()
    changed, _ = make("augment", "other_style", {"share": 1.0, "most": 1.0})(
        images, masks, Generator().manual_seed(6)
    )
    inside = images[:, :, :, 8:-8]
    spread = inside.mean(dim=(1, 2, 3)).std()
    assert (changed.mean(dim=(1, 2, 3)) - images.mean(dim=(1, 2, 3))).abs().max() > 1
    assert changed[:, :, :, 8:-8].mean(dim=(1, 2, 3)).std() < 2 * spread
    for before, after, mask in zip(images[:4], changed[:4], masks[:4], strict=True):
        assert after[mask > 0].mean() < after[(mask == 0) & (before > 1)].mean()


def test_a_lesion_is_pasted_with_its_surroundings_into_a_frame_that_shows_none() -> None:
    images, masks = frames(side=128)
    pasted, outlines = make("augment", "elsewhere_pasted", {"share": 1.0})(
        images, masks, Generator().manual_seed(7)
    )
    assert torch.equal(outlines, masks)
    assert torch.equal(pasted[-2:], images[-2:])  # what shows no lesion stays as it is
    for number in range(4):
        away = [(pasted[number] - images[other])[:, 100:].abs().max() for other in (4, 5)]
        assert min(away) < 1e-3  # far from the lesion stands the other frame
        lesion = masks[number] > 0
        assert pasted[number][lesion].mean() < pasted[number][:, 8:].mean() * 0.7
    # nothing to paste into
    alone, _ = make("augment", "elsewhere_pasted", {"share": 1.0})(
        images[:4], masks[:4], Generator().manual_seed(7)
    )
    assert torch.equal(alone, images[:4])


def test_gain_and_range_keep_the_order_of_greys_in_a_line() -> None:
    ramp = torch.linspace(0.05, 0.9, 64).view(1, 1, 1, 64).expand(3, 1, 64, 64)
    for change in (gain_over_depth, dynamic_range):
        changed = change(ramp, Generator().manual_seed(8), 1.0)
        assert (changed.diff(dim=3) >= -1e-6).all()


def test_a_view_of_elsewhere_shows_no_lesion_where_there_is_room() -> None:
    side = 128
    images, masks = torch.full((4, 1, side, side), 80.0), torch.zeros(4, 1, side, side)
    masks[:, :, 10:40, 10:40] = 1
    boxes = torch.tensor([[10.0, 10.0, 40.0, 40.0]]).expand(4, 4)
    views = make(
        "views", "whole_closer_elsewhere", {"whole": 0.25, "elsewhere": 0.5, "side": 64, "closer_side": 32}
    )
    shown = views(images, masks, boxes, Generator().manual_seed(2))
    assert [tuple(image.shape) for image, _ in shown] == [(1, 1, 64, 64), (1, 1, 32, 32), (2, 1, 32, 32)]
    assert shown[0][1].sum() > 0 and shown[1][1].sum() > 0
    assert shown[2][1].sum() == 0
    # a lesion that fills the frame cannot be avoided, and is said by the mask
    masks[:] = 1
    everywhere = torch.tensor([[0.0, 0.0, side, side]]).expand(4, 4)
    assert views(images, masks, everywhere, Generator().manual_seed(2))[2][1].sum() > 0

"""Backbones of recipes: shapes, sizes, ImageNet weights, freezing, attention between blocks, joined levels."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from inference.blocks.networks.efficientnet import PYRAMID_CHANNELS, EfficientNetLite, published_weights
from inference.blocks.networks.staged import Staged, WeightsUnavailable
from inference.blocks.registry import build, names

#: millions of parameters; a champion may have 10
SIZES = {
    "alexnet": 57.0,
    "alexnet_mini": 2.5,
    "breastnet": 0.24,
    "darknet53": 40.6,
    "densenet121": 7.0,
    "densenet169": 12.5,
    "densenet201": 18.1,
    "efficientnetv2_s": 20.2,
    "effnet_lite0": 3.4,
    "effnet_lite1": 4.1,
    "effnet_lite2": 4.8,
    "inception_resnet_v2": 54.3,
    "inception_v3": 21.8,
    "irrcnn": 1.0,
    "resnet18": 11.2,
    "resnet50": 23.5,
    "small_se_resnet": 0.2,
    "vgg16": 14.7,
    "vgg19": 20.0,
    "vgg_mini": 1.2,
    "xception": 20.8,
    "xception_mini": 0.7,
}
#: As the authors' own weights have them, without the last dense layer and the side branch.
PUBLISHED = {
    "alexnet": 57_003_840,
    "darknet53": 40_584_928,
    "efficientnetv2_s": 20_177_488,
    "inception_resnet_v2": 54_306_464,
    "inception_v3": 21_785_568,
    "vgg16": 14_714_688,
    "vgg19": 20_024_384,
    "xception": 20_806_952,
}
SMALL = ("alexnet_mini", "irrcnn", "small_se_resnet", "vgg_mini", "xception_mini")
#: Parameters that make a large one small enough for a gradient here.
NARROW: dict[str, dict[str, Any]] = {
    "alexnet": {"width": 4},
    "breastnet": {"width": 8, "layers": 2, "growth": 4},
    "darknet53": {"width": 8, "units": (1, 1, 1, 1, 1)},
    "efficientnetv2_s": {"width": 12, "depth": 0.2},
    "inception_resnet_v2": {"width": 8, "units": (1, 1, 1)},
    "inception_v3": {"width": 8},
    "vgg16": {"width": 8},
    "xception": {"width": 8, "units": 1},
}


@pytest.fixture(autouse=True)
def repeatable() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def parameters(network: torch.nn.Module, *, trainable: bool = False) -> int:
    return sum(p.numel() for p in network.parameters() if p.requires_grad or not trainable)


def unlike_images(count: int, height: int, width: int) -> Tensor:
    """Noise about colours that differ from image to image, so that no gate sees the same everywhere."""
    return torch.randn(count, 3, height, width) + 2 * torch.randn(count, 3, 1, 1)


def test_every_backbone_is_measured_here() -> None:
    assert set(names("backbone")) == set(SIZES)


@pytest.mark.parametrize("name", SIZES)
def test_a_backbone_gives_the_channels_it_states_and_has_the_size_its_docstring_says(name: str) -> None:
    with torch.device("meta"):
        backbone: Staged = build("backbone", name).eval()
        maps = backbone.levels(torch.empty(1, 3, 47, 33))
    assert tuple(level.shape[1] for level in maps) == backbone.stage_channels
    assert backbone.channels == maps[-1].shape[1]
    assert all(a.shape[2] >= b.shape[2] >= 1 for a, b in pairwise(maps))
    assert parameters(backbone) / 1e6 == pytest.approx(SIZES[name], abs=0.06)
    assert parameters(backbone) == PUBLISHED.get(name, parameters(backbone))


@pytest.mark.parametrize("name", NARROW)
def test_gradient_reaches_every_layer_of_a_large_one_made_narrow(name: str) -> None:
    backbone: Staged = build("backbone", name, **NARROW[name])
    backbone(unlike_images(4, 48, 40)).square().mean().backward()
    kernels = {key: p for key, p in backbone.named_parameters() if p.ndim == 4}
    assert [key for key, p in kernels.items() if p.grad is None or not p.grad.any()] == []


def test_parallel_backbones_stand_side_by_side_and_both_learn() -> None:
    bodies: list[Any] = [{"vgg_mini": {"width": 4}}, {"xception_mini": {"width": 8, "stages": 3}}]
    network = build("network", "parallel", backbones=bodies, classes=3).eval()
    x = unlike_images(2, 64, 64)
    row = network.pool(network.backbone(x))
    single = [build("network", "classifier", backbone=body).backbone.eval() for body in bodies]
    for own, kept in zip(network.backbone.stages[0][0].bodies, single, strict=True):
        kept.load_state_dict(own.state_dict())
    apart = torch.cat([body(x).mean(dim=(2, 3)) for body in single], dim=1)
    torch.testing.assert_close(row, apart)
    network(x).logits.square().mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in network.parameters() if p.ndim == 4)
    with pytest.raises(ValueError, match="two or more"):
        build("network", "parallel", backbones=bodies[:1])


@pytest.mark.parametrize("name", SMALL)
def test_gradient_reaches_every_parameter(name: str) -> None:
    backbone: Staged = build("backbone", name, width=8)
    backbone(unlike_images(4, 48, 40)).square().mean().backward()
    assert [key for key, p in backbone.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_one_grey_channel_is_read_as_three_equal_ones() -> None:
    backbone: Staged = build("backbone", "vgg_mini", width=4).eval()
    grey = torch.randn(1, 1, 32, 32)
    torch.testing.assert_close(backbone(grey), backbone(grey.repeat(1, 3, 1, 1)))


def test_the_small_se_module_has_a_third_fewer_weights_than_two_full_convolutions() -> None:
    from inference.blocks.networks.resnet import SmallSEResidual

    kernels = [
        m.weight.numel() for m in SmallSEResidual(64, 64, 1).modules() if isinstance(m, torch.nn.Conv2d)
    ]
    assert 3 * sum(kernels) == 2 * (2 * 9 * 64 * 64)


# --- ImageNet --------------------------------------------------------------------------------------------


def imagenet(variant: int) -> Staged:
    backbone: Staged = build("backbone", f"effnet_lite{variant}", weights="imagenet")
    return backbone.eval()


@pytest.mark.parametrize("variant", [0, 1])
def test_a_pyramid_ends_before_the_head(variant: int) -> None:
    backbone = EfficientNetLite(variant).eval()
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        maps, pyramid = backbone.levels(x), backbone.pyramid(x)
        torch.testing.assert_close(maps[:3], list(pyramid[:3]))
        torch.testing.assert_close(maps[3], backbone.head(pyramid.s32))
    assert tuple(level.shape[1] for level in pyramid) == PYRAMID_CHANNELS


def sample_image(name: str) -> Tensor:
    """A photograph that scikit-learn ships, 1×3×224×224."""
    from sklearn.datasets import load_sample_image

    picture = torch.from_numpy(load_sample_image(name).copy()).permute(2, 0, 1)[None].float()
    side = min(picture.shape[2:])
    top, left = (picture.shape[2] - side) // 2, (picture.shape[3] - side) // 2
    square = picture[:, :, top : top + side, left : left + side]
    small = torch.nn.functional.interpolate(square, (224, 224), mode="bilinear", antialias=True)
    return (small / 255 - 0.5) / 0.5


#: Classes of ImageNet-1k for a Chinese palace, and for a dahlia, which has no class of its own
PLAUSIBLE = {
    "china.jpg": {698, 663},  # palace, monastery
    "flower.jpg": {985, 946, 944, 738, 309},  # daisy, cardoon, artichoke, flowerpot, bee
}


@pytest.mark.parametrize("variant", [0, 1, 2])
@pytest.mark.parametrize("name", PLAUSIBLE)
def test_published_weights_see_in_photographs_what_is_there(variant: int, name: str) -> None:
    published = published_weights(variant)
    with torch.no_grad():
        row = imagenet(variant)(sample_image(name)).mean(dim=(2, 3))
        chances = torch.softmax(row @ published["_fc.weight"].T + published["_fc.bias"], dim=1)[0]
    likeliest = chances.topk(5).indices.tolist()
    assert PLAUSIBLE[name] & set(likeliest), f"the five likeliest classes are {likeliest}"


def test_weights_that_nobody_ships_are_refused_by_name() -> None:
    with pytest.raises(WeightsUnavailable, match=r"ImageNet weights of densenet121.*effnet_lite0"):
        build("backbone", "densenet121", weights="imagenet")


def test_batch_norm_keeps_imagenets_statistics_while_training() -> None:
    backbone = imagenet(0)
    backbone.train()
    before = {key: value.clone() for key, value in backbone.named_buffers()}
    backbone(torch.randn(2, 3, 32, 32) * 3)
    assert all(torch.equal(value, before[key]) for key, value in backbone.named_buffers())


# --- freezing and attention ------------------------------------------------------------------------------


def test_frozen_stages_get_no_gradient_and_keep_their_statistics() -> None:
    backbone: Staged = build("backbone", "vgg_mini", width=4, freeze=2)
    backbone.train()
    buffers = {key: value.clone() for key, value in backbone.named_buffers()}
    backbone(torch.randn(2, 3, 32, 32)).mean().backward()
    moved = {
        key.split(".")[1] for key, value in backbone.named_buffers() if not torch.equal(value, buffers[key])
    }
    learning = {key.split(".")[1] for key, p in backbone.named_parameters() if p.grad is not None}
    assert moved == learning == {"2", "3"}


def test_freezing_more_stages_than_there_are_is_an_error() -> None:
    with pytest.raises(ValueError, match="has 4 stages"):
        build("backbone", "vgg_mini", freeze=5)


def test_deep_representation_scaling_trains_less_than_one_percent_of_a_frozen_network() -> None:
    backbone = build("backbone", "effnet_lite0", freeze="all", attention="drs", attention_at="blocks")
    share = parameters(backbone, trainable=True) / parameters(backbone)
    assert share == pytest.approx(0.00185, abs=0.0002)


def test_scaling_in_the_first_block_learns_through_frozen_ones() -> None:
    backbone: Staged = build(
        "backbone", "vgg_mini", width=4, freeze="all", attention="drs", attention_at="blocks"
    )
    backbone(torch.randn(2, 3, 32, 32)).square().mean().backward()
    learning = {key for key, p in backbone.named_parameters() if p.grad is not None and p.grad.any()}
    assert learning == {f"after.{stage}.0.{part}" for stage in range(4) for part in ("scale", "shift")}


@pytest.mark.parametrize(
    ("attention", "options"), [("drs", {}), ("se", {"neutral": True}), ("cbam", {"neutral": True})]
)
@pytest.mark.parametrize("where", ["blocks", "stages", "end"])
def test_neutral_attention_leaves_a_pretrained_network_as_it_was(
    attention: str, options: dict[str, Any], where: str
) -> None:
    plain: Staged = build("backbone", "vgg_mini", width=4, stages=2).eval()
    weighed: Staged = build(
        "backbone", "vgg_mini", width=4, stages=2,
        attention=attention, attention_at=where, attention_parameters=options,
    ).eval()  # fmt: skip
    weighed.load_state_dict(plain.state_dict(), strict=False)
    x = torch.randn(2, 3, 24, 24)
    torch.testing.assert_close(weighed(x), plain(x))
    assert parameters(weighed) > parameters(plain)


def test_attention_that_the_backbone_does_not_know_where_to_put_is_an_error() -> None:
    with pytest.raises(ValueError, match="attention_at"):
        build("backbone", "vgg_mini", attention="se", attention_at="everywhere")


def test_an_option_that_no_backbone_has_is_an_error() -> None:
    with pytest.raises(TypeError, match="vgg_mini takes no frozen"):
        build("backbone", "vgg_mini", frozen=3)


# --- joined levels ---------------------------------------------------------------------------------------


def test_the_mean_over_coarsely_joined_levels_is_each_levels_mean_side_by_side() -> None:
    backbone: Staged = build("backbone", "vgg_mini", width=4, levels=[2, 3, 4]).eval()
    x = torch.randn(2, 3, 64, 32)
    expected = torch.cat([level.mean(dim=(2, 3)) for level in backbone.levels(x)[1:]], dim=1)
    assert backbone.channels == expected.shape[1] == 8 + 16 + 32
    torch.testing.assert_close(backbone(x).mean(dim=(2, 3)), expected)


def test_a_hypercolumn_stands_on_the_finest_grid_and_keeps_its_map_untouched() -> None:
    backbone: Staged = build("backbone", "vgg_mini", width=4, levels=[1, 3], join="fine").eval()
    x = torch.randn(1, 3, 37, 53)
    joined, fine = backbone(x), backbone.levels(x)[0]
    assert joined.shape == (1, 4 + 16, *fine.shape[2:])
    torch.testing.assert_close(joined[:, :4], fine)


@pytest.mark.parametrize("levels", [[0, 1], [3, 2], [2, 5], [2, 2]])
def test_levels_that_do_not_exist_or_do_not_rise_are_an_error(levels: list[int]) -> None:
    with pytest.raises(ValueError, match="rising"):
        build("backbone", "vgg_mini", levels=levels)

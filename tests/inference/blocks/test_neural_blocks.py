"""Attention, pooling, bags, classifiers with their maps, and networks that outline."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from inference.blocks.networks.bag_classifier import GatedAttentionClassifier, RecurrentClassifier
from inference.blocks.networks.bags import GatedAttention, RecurrentAttention
from inference.blocks.networks.classifier import Classifier, HierarchicalLast
from inference.blocks.networks.pooling import GlobalGroupMax, Pool, RegionGroupMax
from inference.blocks.networks.unet import ConnectedUNets, UNet
from inference.blocks.registry import build, names

TINY = {"vgg_mini": {"width": 4, "stages": 3}}


@pytest.fixture(autouse=True)
def repeatable() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def without_gradient(network: nn.Module) -> list[str]:
    return [key for key, p in network.named_parameters() if p.grad is None or not p.grad.any()]


# --- attention -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["se", "cbam", "drs"])
def test_attention_keeps_the_shape_and_all_of_it_learns(name: str) -> None:
    attention = build("attention", name, channels=20)
    x = torch.randn(4, 20, 7, 5) + torch.randn(4, 20, 1, 1)
    y = attention(x)
    assert y.shape == x.shape
    y.square().mean().backward()
    assert without_gradient(attention) == []


@pytest.mark.parametrize("name", ["se", "cbam"])
def test_neutral_gates_learn_from_the_first_step(name: str) -> None:
    attention = build("attention", name, channels=8, reduction=2, neutral=True)
    attention(torch.randn(4, 8, 9, 9)).square().mean().backward()
    assert attention.excite.weight.grad.any()


def test_squeeze_and_excitation_only_ever_weakens_a_channel_as_a_whole() -> None:
    attention = build("attention", "se", channels=6)
    x = torch.rand(1, 6, 4, 4) + 0.1
    ratio = (attention(x) / x).detach()
    torch.testing.assert_close(ratio, ratio[:, :, :1, :1].expand_as(ratio))
    assert float(ratio.min()) > 0 and float(ratio.max()) < 1


def test_cbam_refuses_an_even_kernel() -> None:
    with pytest.raises(ValueError, match="odd"):
        build("attention", "cbam", channels=4, kernel=4)


# --- pooling ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", names("pool"))
def test_a_pool_gives_the_columns_it_states_places_on_the_same_grid_and_a_gradient(name: str) -> None:
    pool: Pool = build("pool", name, channels=6)
    x = torch.rand(3, 6, 5, 7).requires_grad_()
    row, places = pool.both(x)
    assert row.shape == (3, pool.out_channels)
    assert places.shape == (3, pool.out_channels, 5, 7)
    torch.testing.assert_close(pool(x), row)
    row.square().sum().backward()
    assert x.grad is not None and x.grad.any()
    assert without_gradient(pool) == []


def test_p_norm_and_log_sum_exp_lie_between_mean_and_maximum_and_move_from_one_to_the_other() -> None:
    x = torch.rand(2, 3, 6, 6) + 0.05
    mean, peak = x.mean(dim=(2, 3)), x.amax(dim=(2, 3))
    torch.testing.assert_close(build("pool", "pnorm", channels=3, p=1.0)(x), mean)
    torch.testing.assert_close(build("pool", "pnorm", channels=3, p=400.0)(x), peak, rtol=0.02, atol=0)
    torch.testing.assert_close(
        build("pool", "lse", channels=3, sharpness=1e-3)(x), mean, rtol=1e-3, atol=1e-3
    )
    for name in ("pnorm", "lse"):
        pooled = build("pool", name, channels=3)(x)
        assert bool((pooled > mean).all()) and bool((pooled < peak).all())


def test_p_norm_of_three_is_the_cube_root_of_the_mean_cube() -> None:
    x = torch.tensor([[[[1.0, 2.0], [3.0, 0.0]]]])
    assert float(build("pool", "pnorm", channels=1)(x)) == pytest.approx((36 / 4) ** (1 / 3), abs=1e-5)


def test_the_exponent_is_learned_only_when_asked() -> None:
    assert list(build("pool", "pnorm", channels=2).parameters()) == []
    learned = build("pool", "pnorm", channels=2, learn=True)
    learned(torch.rand(1, 2, 4, 4)).sum().backward()
    assert learned.p.grad is not None and float(learned.p.grad) != 0


#: 4×4, its 2×2 squares have the maxima 4, 8, 12, 2
MAP = torch.tensor(
    [[[[1.0, 4.0, 8.0, 0.0], [0.0, 2.0, 7.0, 6.0], [12.0, 11.0, 2.0, 1.0], [10.0, 9.0, 0.0, 0.0]]]]
)


def unchanged(pool: GlobalGroupMax) -> GlobalGroupMax:
    """Its map is its input."""
    nn.init.ones_(pool.judge.weight)
    assert pool.judge.bias is not None
    nn.init.zeros_(pool.judge.bias)
    return pool


def test_region_pooling_takes_the_best_of_each_square_then_the_mean_of_the_best_squares() -> None:
    half = unchanged(RegionGroupMax(1, share=0.5, region=2))
    row, places = half.both(MAP)
    assert row.item() == (12 + 8) / 2
    torch.testing.assert_close(places, MAP)
    assert float(unchanged(RegionGroupMax(1, share=1.0, region=2))(MAP)) == (12 + 8 + 4 + 2) / 4
    assert float(unchanged(RegionGroupMax(1, share=0.01, region=2))(MAP)) == 12


def test_global_pooling_takes_the_best_places_wherever_they_stand() -> None:
    assert float(unchanged(GlobalGroupMax(1, share=0.25))(MAP)) == (12 + 11 + 10 + 9) / 4


def test_squares_at_the_far_edge_of_an_odd_map_count() -> None:
    x = torch.zeros(1, 1, 3, 3)
    x[0, 0, 2, 2] = 5.0
    assert float(unchanged(RegionGroupMax(1, share=0.01, region=2))(x)) == 5


@pytest.mark.parametrize("share", [0.0, 1.5])
def test_a_share_of_nothing_or_of_more_than_all_is_an_error(share: float) -> None:
    for name in ("ggp", "rgp", "topk"):
        with pytest.raises(ValueError, match="share"):
            build("pool", name, channels=2, share=share)


# --- bags ------------------------------------------------------------------------------------------------


def test_gated_attention_does_not_care_about_order() -> None:
    attention = GatedAttention(5, 8)
    bag = torch.randn(2, 6, 5)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    straight, turned = attention(bag), attention(bag[:, order])
    torch.testing.assert_close(turned.row, straight.row)
    torch.testing.assert_close(turned.weights, straight.weights[:, order])


def test_gated_attention_ignores_what_a_masked_instance_holds() -> None:
    attention = GatedAttention(5, 8)
    bag = torch.randn(2, 4, 5)
    mask = torch.tensor([[True, True, True, True], [True, True, False, False]])
    dirty = bag.clone()
    dirty[1, 2:] = float("nan")
    row, weights = attention(dirty, mask)
    torch.testing.assert_close(row[1:], attention(bag[1:, :2]).row)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(2))
    assert not weights[1, 2:].any()


def test_an_empty_bag_has_a_row_of_zeros() -> None:
    row, weights = GatedAttention(3, 4)(torch.randn(1, 2, 3), torch.zeros(1, 2, dtype=torch.bool))
    assert not row.any() and not weights.any()


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("read", ["attention", "last"])
def test_padding_changes_nothing_in_a_recurrent_reading(cell: str, read: str) -> None:
    reader = RecurrentAttention(4, cell, 6, read)
    short = torch.randn(1, 3, 4)
    padded = torch.cat([short, torch.full((1, 2, 4), 9.0)], dim=1)
    mask = torch.tensor([[True, True, True, False, False]])
    alone, among = reader(short), reader(padded, mask)
    torch.testing.assert_close(among.row, alone.row)
    torch.testing.assert_close(among.weights[:, :3], alone.weights)
    assert not among.weights[:, 3:].any()


def test_a_recurrent_reading_depends_on_order() -> None:
    reader = RecurrentAttention(4, "gru", 6)
    bag = torch.randn(1, 5, 4)
    assert not torch.allclose(reader(bag).row, reader(bag.flip(1)).row, atol=1e-4)


def test_a_gap_in_a_sequence_is_an_error() -> None:
    with pytest.raises(ValueError, match="padding only after"):
        RecurrentAttention(4, "gru", 6)(torch.randn(1, 3, 4), torch.tensor([[True, False, True]]))


def marked_bags(count: int, rng: np.random.Generator) -> tuple[list[np.ndarray], np.ndarray]:
    """Noise; every second bag has one instance that stands out."""
    bags, labels = [], np.arange(count) % 2
    for label in labels:
        bag = rng.normal(size=(int(rng.integers(3, 9)), 6))
        if label:
            bag[int(rng.integers(len(bag)))] += 5.0
        bags.append(bag)
    return bags, labels


def test_a_bag_classifier_finds_the_instance_that_decides() -> None:
    rng = np.random.default_rng(0)
    bags, labels = marked_bags(40, rng)
    model = GatedAttentionClassifier(hidden=16, epochs=40, learning_rate=5e-3).fit(bags, labels, range(40))
    unseen, truth = marked_bags(40, rng)
    assert (model.predict_proba(unseen).argmax(axis=1) == truth).mean() >= 0.95
    found = [
        weights.argmax() == bag.mean(axis=1).argmax()
        for bag, weights, label in zip(unseen, model.weights(unseen), truth, strict=True)
        if label
    ]
    assert np.mean(found) >= 0.9
    assert model.fitted_on == frozenset(str(i) for i in range(40))


def test_a_bag_classifier_repeats_by_seed_and_leaves_the_callers_random_numbers_alone() -> None:
    bags, labels = marked_bags(8, np.random.default_rng(1))
    before = torch.random.get_rng_state()
    first = RecurrentClassifier(hidden=4, epochs=2).fit(bags, labels).predict_proba(bags)
    assert torch.equal(torch.random.get_rng_state(), before)
    np.testing.assert_array_equal(
        RecurrentClassifier(hidden=4, epochs=2).fit(bags, labels).predict_proba(bags), first
    )


# --- classifiers and their maps --------------------------------------------------------------------------


@pytest.mark.parametrize("pool", ["gap", "gated_attention", "recurrent"])
def test_the_mean_of_the_map_is_the_logit(pool: str) -> None:
    network: Classifier = build("network", "classifier", backbone=TINY, pool=pool, classes=3).eval()
    logits, places = network(torch.randn(2, 3, 37, 29))
    assert places.shape[:2] == (2, 3)
    torch.testing.assert_close(places.mean(dim=(2, 3)), logits)


@pytest.mark.parametrize("pool", names("pool"))
def test_every_classifier_answers_with_a_map_of_its_classes(pool: str) -> None:
    network: Classifier = build("network", "classifier", backbone=TINY, pool=pool, classes=2)
    logits, places = network(torch.randn(2, 3, 40, 24))
    assert logits.shape == (2, 2)
    assert places.shape == (2, 2, 5, 3)


def test_hierarchical_logits_are_products_of_both_levels() -> None:
    last = HierarchicalLast(5, [[0, 2], [1, 3, 4]])
    x = torch.randn(3, 5)
    chances = torch.softmax(last(x), dim=1)
    torch.testing.assert_close(chances, last(x).exp())
    groups = torch.softmax(last.group(x), dim=1)
    torch.testing.assert_close(chances[:, [0, 2]].sum(dim=1), groups[:, 0])
    torch.testing.assert_close(chances[:, [1, 3, 4]].sum(dim=1), groups[:, 1])


@pytest.mark.parametrize("groups", [[[0, 1], [1, 2]], [[0], [2]], [[0, 1], []], []])
def test_groups_that_are_no_division_of_the_classes_are_an_error(groups: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="exactly once"):
        HierarchicalLast(4, groups)


def test_a_classifier_of_eight_classes_in_two_groups_learns_at_both_levels() -> None:
    network: Classifier = build(
        "network", "classifier", backbone=TINY, classes=8, groups=[[0, 1, 2, 3], [4, 5, 6, 7]]
    )
    logits, places = network(torch.randn(4, 3, 24, 24))
    assert places.shape[:2] == (4, 8)
    nn.functional.cross_entropy(logits, torch.tensor([0, 3, 5, 7])).backward()
    assert without_gradient(network) == []


def test_a_pool_with_logits_of_its_own_goes_with_no_other_number_of_classes() -> None:
    body = build("backbone", "vgg_mini", width=4)
    with pytest.raises(ValueError, match="2 logits of its own"):
        Classifier(body, GlobalGroupMax(body.channels, classes=2), classes=3)


def test_an_unknown_part_of_a_classifier_is_named() -> None:
    with pytest.raises(ValueError, match="no backbone block 'lenet'"):
        build("network", "classifier", backbone="lenet")


def test_a_classifier_with_region_pooling_is_the_same_in_onnx(tmp_path: Path) -> None:
    network: Classifier = build(
        "network", "classifier", backbone=TINY, pool={"rgp": {"share": 0.3}}, classes=1
    ).eval()
    x = torch.randn(2, 3, 72, 56)
    path = tmp_path / "network.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, (x[:1],), str(path), input_names=["input"], output_names=["logits", "map"],
            dynamic_axes={name: {0: "batch"} for name in ("input", "logits", "map")},
            opset_version=17, dynamo=False,
        )  # fmt: skip
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    logits, places = session.run(None, {"input": x.numpy()})
    with torch.no_grad():
        expected = network(x)
    np.testing.assert_allclose(logits, expected.logits.numpy(), atol=1e-4)
    np.testing.assert_allclose(places, expected.map.numpy(), atol=1e-4)


def squares(count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Noise with one bright square: small or large, which is its class. Images, labels, masks."""
    generator = torch.Generator().manual_seed(3)
    images = 0.2 * torch.randn(count, 3, 32, 32, generator=generator)
    masks = torch.zeros(count, 1, 32, 32)
    for number in range(count):
        side = 6 + 8 * (number % 2)
        top, left = torch.randint(0, 32 - side, (2,), generator=generator).tolist()
        masks[number, :, top : top + side, left : left + side] = 1
    return images + masks, torch.arange(count) % 2, masks


@pytest.mark.parametrize("pool", ["gap", "rgp"])
def test_a_tiny_network_learns_sixteen_images_by_heart(pool: str) -> None:
    images, labels, _ = squares(16)
    network: Classifier = build(
        "network", "classifier", backbone={"small_se_resnet": {"modules": 1, "width": 8, "stem_stride": 2}},
        pool=pool, classes=2, dropout=0.0,
    )  # fmt: skip
    optimiser = torch.optim.AdamW(network.parameters(), 5e-3)
    for _ in range(60):
        loss = nn.functional.cross_entropy(network(images).logits, labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.1
    assert bool((network(images).logits.argmax(dim=1) == labels).all())


# --- networks that outline -------------------------------------------------------------------------------

OUTLINERS = {
    "unet": lambda variant: UNet(width=4, depth=2, variant=variant),
    "unet_aspp": lambda variant: UNet(width=4, depth=2, variant=variant, aspp=True),
    "connected": lambda variant: ConnectedUNets(width=4, depth=2, variant=variant),
}


@pytest.mark.parametrize("variant", ["plain", "residual", "attention"])
@pytest.mark.parametrize("kind", OUTLINERS)
def test_an_outline_has_the_images_own_odd_size_and_all_of_the_network_learns(
    kind: str, variant: str
) -> None:
    network = OUTLINERS[kind](variant)
    # colours differ from image to image, so that no gate sees the same everywhere
    outline = network(torch.randn(4, 3, 35, 22) + 2 * torch.randn(4, 3, 1, 1))
    assert outline.shape == (4, 1, 35, 22)
    outline.square().mean().backward()
    assert without_gradient(network) == []


def test_the_second_u_net_sees_what_the_first_decoded() -> None:
    network = ConnectedUNets(width=4, depth=2).eval()
    x = torch.randn(1, 3, 16, 16)
    before = network(x)
    for enter in network.enter.parameters():  # the direct way in is closed, only the bridges are left
        nn.init.zeros_(enter)
    bridged = network(x)
    assert not torch.allclose(bridged, before)
    assert float(bridged.std()) > 0


@pytest.mark.parametrize("variant", ["plain", "residual", "attention"])
@pytest.mark.parametrize(("name", "most"), [("unet", 2.1), ("connected_unets", 5.6)])
def test_outlining_networks_fit_a_champion(name: str, most: float, variant: str) -> None:
    network = build("network", name, variant=variant)
    assert sum(p.numel() for p in network.parameters()) / 1e6 < most


def test_bhcnet_has_few_parameters() -> None:
    two, eight = build("network", "bhcnet"), build("network", "bhcnet", classes=8, modules=6)
    assert sum(p.numel() for p in two.parameters()) < 2.2e5
    assert sum(p.numel() for p in eight.parameters()) < 4.3e5
    assert two(torch.randn(2, 3, 25, 35)).logits.shape == (2, 2)


def test_a_u_net_learns_to_outline_sixteen_squares() -> None:
    images, _, masks = squares(16)
    network = UNet(width=8, depth=2)
    loss_of = build("loss", "dice_bce")
    optimiser = torch.optim.AdamW(network.parameters(), 1e-2)
    for _ in range(25):
        loss = loss_of(network(images), masks)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    found = network(images) > 0
    overlap = 2 * float((found * masks).sum()) / float(found.sum() + masks.sum())
    assert overlap > 0.9

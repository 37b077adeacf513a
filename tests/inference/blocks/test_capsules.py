"""Capsules: the published number of weights, what routing does, and that they learn."""

from __future__ import annotations

import pytest
import torch

from inference.blocks.networks.capsules import Routing, length, squashed
from inference.blocks.registry import build


@pytest.fixture(autouse=True)
def repeatable() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.mark.long
def test_it_has_the_published_number_of_weights() -> None:
    """Convolution, primary and class capsules of the paper for ten digits, of three channels instead of one."""
    with torch.device("meta"):
        network = build("network", "capsnet", classes=10)
    own = sum(p.numel() for p in network.parameters())
    assert own == (81 * 3 * 256 + 256) + (81 * 256 * 256 + 256) + 32 * 36 * 10 * 16 * 8


def test_squashing_keeps_directions_and_brings_lengths_below_one() -> None:
    vectors = torch.randn(5, 8) * torch.tensor([0.1, 1.0, 3.0, 10.0, 0.0])[:, None]
    short = squashed(vectors)
    long = vectors.norm(dim=1)
    torch.testing.assert_close(length(short), long**2 / (1 + long**2), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(short[1] / short[1].norm(), vectors[1] / long[1])


def test_routing_listens_to_votes_that_agree() -> None:
    """Seven capsules vote alike for the first class, and each its own way for the second."""
    once, thrice = (Routing(8 * 8, 2, times) for times in (1, 3))
    thrice.load_state_dict(once.state_dict())
    with torch.no_grad():
        alike = torch.randn(1, 16, 8).expand(once.weight.shape[0], 16, 8)
        for routing in (once, thrice):
            routing.weight[:, 0] = alike
            routing.weight[:, 1] = torch.randn(alike.shape, generator=torch.Generator().manual_seed(1))
        x = torch.ones(1, 64, 6, 6)
        first, again = (length(routing(x).view(2, 16)) for routing in (once, thrice))
        shares = [float(each[0] / each.sum()) for each in (first, again)]
    assert shares[1] > shares[0] > 0.5


def test_places_add_up_to_what_the_capsule_is_made_of_and_the_logit_is_that_of_its_length() -> None:
    network = build("network", "capsnet", classes=3, width=8, types=2).eval()
    x = torch.randn(2, 3, 40, 32)
    with torch.no_grad():
        answer = network(x)
        row = network.pool(network.backbone(x)).view(2, 3, 16)
    torch.testing.assert_close(torch.sigmoid(answer.logits), length(row))
    total = answer.map.sum(dim=(2, 3))
    torch.testing.assert_close(total**2 / (1 + total**2), length(row), atol=1e-5, rtol=1e-3)


def test_it_learns_to_tell_two_pictures_apart() -> None:
    network = build("network", "capsnet", classes=2, width=8, types=2).train()
    loss, images = build("loss", "margin"), torch.zeros(8, 3, 28, 28)
    images[::2, :, 8:20] = 1.0
    images[1::2, :, :, 8:20] = 1.0
    images += 0.1 * torch.randn(images.shape)
    labels = torch.arange(8) % 2
    optimiser = torch.optim.Adam(network.parameters(), 0.003)
    for step in range(16):
        optimiser.zero_grad()
        loss(network(images), labels).backward()
        reached = [p.grad is not None and bool(p.grad.any()) for p in network.parameters() if p.ndim > 1]
        assert step > 0 or all(reached)
        optimiser.step()
    assert (network.eval()(images).logits.argmax(dim=1) == labels).all()

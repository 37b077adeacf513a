"""Clusters of calcifications as they are drawn, and the small network that looks for them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Generator

from inference.blocks.networks.specks import STEP, SpeckNetwork
from inference.blocks.objectives.clusters import DrawnClusters
from inference.blocks.registry import build

MM = 0.17


@pytest.fixture(autouse=True)
def repeatable() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def film(count: int = 64, side: int = 256) -> torch.Tensor:
    """A breast of even grey at the left of every film, air beside it."""
    films = torch.zeros(count, 1, side, side)
    films[..., : side * 3 // 4] = 100.0
    return films


def drawn(count: int = 64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    objective = DrawnClusters(mm_per_px=MM)
    chance = objective.draw(count, Generator().manual_seed(1))
    # no single specks, so that all that was added is the cluster's
    chance[:, -3 * 5 :] = 1.0
    tile = objective.tiles(film(count), chance)
    return (tile, *objective.drawn(tile, chance))


def test_half_of_the_tiles_hold_a_cluster_and_the_truth_says_which() -> None:
    tile, shown, near = drawn()
    added = (shown - tile).flatten(1).amax(dim=1) > 0.5
    said = near.flatten(1).amax(dim=1) > 0
    assert 0.3 < float(said.float().mean()) < 0.7
    assert bool((said | ~added).all()), "specks where nothing is said to be"
    assert float((added & said).sum()) >= 0.9 * float(said.sum())


def test_a_cluster_is_as_large_and_as_dense_as_clusters_are() -> None:
    tile, shown, near = drawn()
    added = (shown - tile)[:, 0]
    for each, place in zip(added, near[:, 0], strict=True):
        if float(each.max()) < 0.5:
            continue
        rows, columns = np.nonzero(each.numpy() > 0.05 * float(each.max()))
        widest = MM * max(np.ptp(rows), np.ptp(columns))
        assert widest < 22, "more than 2 cm"
        inside = each.numpy() * place.numpy()
        assert inside.sum() > 0.85 * each.numpy().sum()


def test_nothing_is_drawn_on_air_and_film_never_exceeds_white() -> None:
    tile, shown, _ = drawn()
    assert bool((shown[tile == 0] == 0).all()) and float(shown.max()) <= 255
    assert bool((shown >= tile).all()), "calcium is never darker than what is behind it"


def test_blur_takes_no_light_away() -> None:
    chance = DrawnClusters().draw(32, Generator().manual_seed(3))
    tile = torch.full((32, 1, 160, 160), 100.0)
    sharp, soft = (DrawnClusters(blur=(b, b)).drawn(tile, chance)[0] - tile for b in (0.5, 1.0))
    some = sharp.sum(dim=(1, 2, 3)) > 50
    ratio = soft.sum(dim=(1, 2, 3))[some] / sharp.sum(dim=(1, 2, 3))[some]
    assert float((ratio - 1).abs().max()) < 0.1
    assert float((soft.amax(dim=(1, 2, 3)) <= sharp.amax(dim=(1, 2, 3)) + 1e-3).float().mean()) == 1


def test_the_same_chance_draws_the_same() -> None:
    objective = build("objective", "drawn_clusters", mm_per_px=MM)
    first, second = (objective.draw(4, Generator().manual_seed(5)) for _ in range(2))
    torch.testing.assert_close(
        objective.tiles(film(4), first), objective.tiles(film(4), second), atol=0, rtol=0
    )


def test_the_network_learns_to_see_them() -> None:
    objective, network = DrawnClusters(side=96), SpeckNetwork(width=8).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=5e-3)
    generator = Generator().manual_seed(0)
    grain = film(8) + 2 * torch.randn(8, 1, 256, 256) * (film(8) > 0)
    losses = []
    for _ in range(40):
        nothing = torch.zeros(8)
        loss = objective(network, (grain, nothing, nothing, objective.draw(8, generator)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-8:]) < 0.8 * np.mean(losses[:4])


def test_a_speck_at_the_skin_is_no_cluster() -> None:
    network = SpeckNetwork().eval()
    with torch.no_grad():
        plain = network(film(1)).logits
        edge = film(1)
        edge[..., 120:123, 188:191] = 255.0
        assert float((network(edge).logits - plain).abs()) < 0.3
    assert network(film(1)).places.shape == (1, 1, 256 // STEP, 256 // STEP)

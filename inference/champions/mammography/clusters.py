"""What the cluster network learns from: normal films of mini-MIAS, into which its objective draws calcifications."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from inference.blocks.networks.specks import SpeckNetwork
from inference.champions.learning import fitted
from inference.champions.plan import Plan
from inference.datasets.pixels import read_gray
from inference.datasets.sample import Sample
from inference.recipes.provenance import Fitted, Stamp
from inference.runtime.mammography.preprocessing import working_canvas
from inference.training.batches import InMemory
from inference.training.device import device


def train(plan: Plan, films: Sequence[Sample], folder: Path) -> Fitted[SpeckNetwork]:
    """The recipe's network of clusters, taught by the normal ones among `films`; checkpoints in `folder`. A recipe of
    before 3.0.0 has none, and a version of before 3.0.0 does not ask it: then it is as it was made."""
    if "clusters" not in plan.recipe.networks:
        return Fitted(SpeckNetwork().eval(), Stamp("clusters", frozenset()))
    normal = [sample for sample in films if not sample.label_binary]
    learned = fitted(plan, "clusters", normal, _load(normal), folder, classes=2)
    assert isinstance(learned.thing, SpeckNetwork)
    return Fitted(learned.thing, learned.stamp)


@torch.no_grad()
def score(network: SpeckNetwork, canvases: Sequence[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """The logit of a cluster of each film, N."""
    said = [network(torch.from_numpy(canvas)[None, None]).logits.item() for canvas in canvases]
    return np.array(said, np.float64)


def _load(films: Sequence[Sample]) -> InMemory:
    """Canvases N×1×1152×768, and nothing else: whatever is to be found is drawn."""
    canvases = torch.from_numpy(np.stack([working_canvas(read_gray(film.path))[0] for film in films]))
    nothing = torch.zeros(len(films), 0)
    labels = torch.zeros(len(films))
    return InMemory((canvases[:, None], nothing, nothing, labels), labels).to(device())

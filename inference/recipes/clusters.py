"""The report of [29]: do the features that a network learned fall into groups, and are these the classes?

Autoencoder and groups are learned from the fold's training part; the held-out images are only looked up in them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score, silhouette_score
from torch import nn

from inference.recipes import networks
from inference.recipes.examples import asked
from inference.recipes.pipeline import Pipeline
from inference.recipes.provenance import Rows
from inference.recipes.schema import Clusters

Table = NDArray[np.float64]


def cluster_report(pipeline: Pipeline, train: Rows, held: Rows) -> dict[str, Any]:
    """What the recipe's `evaluate.clusters` asks of a fold that has learned.

    Parameters
    ----------
    pipeline
        The fold's, fitted on `train`.
    train, held
        Rows of pictures.
    """
    plan = pipeline.recipe.evaluate.clusters
    assert plan is not None
    labels = [sample.label for sample in held.samples]
    return clustered(_seen(pipeline, train), _seen(pipeline, held), labels, plan, pipeline.seed)


def clustered(train: Table, held: Table, labels: Sequence[str], plan: Clusters, seed: int) -> dict[str, Any]:
    """Two numbers a row, the number of groups with the highest silhouette, and how far they are the `labels` of `held`.

    Fewer than three rows to learn from have no groups: `clusters` is then 1.
    """
    centre, spread = train.mean(axis=0), train.std(axis=0)
    spread[spread == 0] = 1.0
    scaled = [((rows - centre) / spread).astype(np.float32) for rows in (train, held)]
    known, asked_of = _embedded(scaled[0], scaled[1], plan, seed)
    best: tuple[float, KMeans] | None = None
    for count in range(2, min(plan.most, len(np.unique(known, axis=0)) - 1) + 1):
        found = KMeans(count, n_init=10, random_state=seed).fit(known)
        good = float(silhouette_score(known, found.labels_))
        if best is None or good > best[0]:
            best = good, found
    if best is None:
        groups, silhouette = np.zeros(len(held), int), None
    else:
        silhouette, groups = best[0], best[1].predict(asked_of)
    counts = Counter(zip(groups.tolist(), labels, strict=True))
    return {
        "clusters": 1 if best is None else int(best[1].n_clusters),
        "silhouette": silhouette,
        "adjusted_rand": float(adjusted_rand_score(labels, groups)),
        "mutual_information": float(normalized_mutual_info_score(labels, groups)),
        "held_out": [
            {"cluster": group, "label": label, "images": number}
            for (group, label), number in sorted(counts.items())
        ],
        "places": [[round(float(value), 4) for value in place] for place in asked_of],
    }


def _seen(pipeline: Pipeline, rows: Rows) -> Table:
    """N×F: what the last layer of the first stream's network sees of each image, the mean over its instances."""
    stream = pipeline.recipe.streams[0]
    network = pipeline.learned["streams.0.network"].thing
    bags = pipeline.cut("streams.0", stream, pipeline.preprocessed(rows))
    parts = asked(lambda images: networks.vectors(network, images), bags.values)
    return np.stack([part.mean(axis=0) for part in parts])


def _embedded(
    known: NDArray[np.float32], others: NDArray[np.float32], plan: Clusters, seed: int
) -> tuple[Table, Table]:
    """Both brought to two numbers by an autoencoder that learned from `known`, on the CPU."""
    wide = known.shape[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        narrowing = nn.Sequential(nn.Linear(wide, plan.hidden), nn.ReLU(), nn.Linear(plan.hidden, 2))
        widening = nn.Sequential(nn.Linear(2, plan.hidden), nn.ReLU(), nn.Linear(plan.hidden, wide))
    given = torch.from_numpy(known)
    optimiser = torch.optim.Adam([*narrowing.parameters(), *widening.parameters()], 1e-3)
    for _ in range(plan.epochs):
        optimiser.zero_grad()
        (widening(narrowing(given)) - given).square().mean().backward()
        optimiser.step()
    with torch.no_grad():
        first, second = (narrowing(torch.from_numpy(rows)).double().numpy() for rows in (known, others))
    return first, second

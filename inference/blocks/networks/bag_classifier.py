"""Bag classifiers trained by gradient: gated attention (Ilse 2018) or a recurrent network over instances' rows.

They stand where a recipe has features already and labels for whole bags only: patches of an image, images of a
patient, levels of a slide. The order of instances matters to `recurrent` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from inference.blocks.aggregation.pooling import checked_bag
from inference.blocks.learned import NotFitted, Rows, groups_seen
from inference.blocks.networks.arrays import arrays_of, with_arrays
from inference.blocks.networks.bags import Bag, GatedAttention, RecurrentAttention
from inference.blocks.registry import block


class BagNetwork(nn.Module):
    """Instances N×I×D and their mask N×I → logits N×K and weights N×I."""

    def __init__(
        self, reader: GatedAttention | RecurrentAttention, inside: int, hidden: int, classes: int
    ) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.Linear(inside, hidden), nn.ReLU(), nn.Dropout(0.25))
        self.reader = reader
        self.last = nn.Linear(reader.out_channels, classes)

    def forward(self, instances: Tensor, mask: Tensor | None = None) -> Bag:
        """A `Bag` whose row is the logits."""
        row, weights = self.reader(self.project(instances), mask)
        return Bag(self.last(row), weights)


class BagNetworkClassifier:
    """Scales instances by the training bags, then fits a `BagNetwork` with AdamW and class-weighted
    cross-entropy. The same seed gives the same network; the caller's random numbers are left alone."""

    kind: ClassVar[Literal["bags"]] = "bags"

    def __init__(self, hidden: int, epochs: int, learning_rate: float, batch: int, seed: int) -> None:
        self.hidden = hidden
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.batch = batch
        self.seed = seed
        self.fitted_on: frozenset[str] | None = None

    def reader(self) -> GatedAttention | RecurrentAttention:
        """A fresh reader of rows of `hidden` numbers."""
        raise NotImplementedError

    def __getstate__(self) -> dict[str, Any]:
        """The network as its weights alone."""
        state = dict(self.__dict__)
        if "_network" in state:
            state["_network"] = arrays_of(state["_network"])
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if "_network" in state:
            self._network = with_arrays(self._fresh(), state["_network"])

    def _fresh(self) -> BagNetwork:
        """A network for the training bags' columns and classes."""
        return BagNetwork(self.reader(), len(self._centre), self.hidden, len(self.classes_))

    def fit(self, bags: Sequence[Any], labels: Any, groups: Sequence[Any] | None = None) -> Self:
        """`bags`: n×d each; `labels`: one a bag.

        Raises
        ------
        ValueError
            Not one label a bag, fewer than two classes, or an unusable bag.
        """
        kept = [checked_bag(bag) for bag in bags]
        truth = np.asarray(labels)
        if len(kept) != len(truth):
            raise ValueError(f"{len(kept)} bags do not go with {len(truth)} labels")
        self.classes_, targets = np.unique(truth, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("bags of one class alone teach nothing")
        rows = np.concatenate(kept)
        spread = rows.std(axis=0)
        self._centre, self._spread = rows.mean(axis=0), np.where(spread > 0, spread, 1.0)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self._network = self._fresh()
            self._descend(kept, torch.from_numpy(targets.astype(np.int64)))
        self._network.eval()
        self.fitted_on = groups_seen(groups)
        return self

    def predict_proba(self, bags: Sequence[Any]) -> Rows:
        """N×K in the order of `classes_`."""
        return np.asarray([self._read(bag)[0] for bag in bags], np.float64)

    def weights(self, bags: Sequence[Any]) -> list[NDArray[np.float64]]:
        """What each instance counted for in its bag; each sums to 1."""
        return [self._read(bag)[1] for bag in bags]

    def _descend(self, bags: Sequence[NDArray[np.float64]], targets: Tensor) -> None:
        counts = torch.bincount(targets, minlength=len(self.classes_)).float()
        weight = len(targets) / (len(counts) * counts)
        optimiser = torch.optim.AdamW(self._network.parameters(), self.learning_rate, weight_decay=1e-2)
        self._network.train()
        for _ in range(self.epochs):
            for chosen in torch.randperm(len(bags)).split(self.batch):
                instances, mask = self._padded([bags[int(i)] for i in chosen])
                loss = F.cross_entropy(self._network(instances, mask).row, targets[chosen], weight=weight)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()

    @torch.no_grad()
    def _read(self, bag: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if not hasattr(self, "_network"):
            raise NotFitted(f"{type(self).__name__} has not been fitted")
        logits, weights = self._network(self._padded([checked_bag(bag)])[0])
        chances = torch.softmax(logits.double(), dim=1)
        return chances[0].numpy(), weights[0].double().numpy()

    def _padded(self, bags: Sequence[NDArray[np.float64]]) -> tuple[Tensor, Tensor]:
        longest = max(len(bag) for bag in bags)
        instances = torch.zeros(len(bags), longest, bags[0].shape[1])
        mask = torch.zeros(len(bags), longest, dtype=torch.bool)
        for number, bag in enumerate(bags):
            scaled = ((bag - self._centre) / self._spread).astype(np.float32)
            instances[number, : len(bag)] = torch.from_numpy(scaled)
            mask[number, : len(bag)] = True
        return instances, mask


@block("aggregate", "gated_attention")
class GatedAttentionClassifier(BagNetworkClassifier):
    """Attention-based deep multiple-instance learning with the gate (Ilse 2018)."""

    def __init__(
        self,
        hidden: int = 64,
        epochs: int = 60,
        learning_rate: float = 1e-3,
        batch: int = 16,
        seed: int = 0,
    ) -> None:
        super().__init__(hidden, epochs, learning_rate, batch, seed)

    def reader(self) -> GatedAttention:
        return GatedAttention(self.hidden, self.hidden)


@block("aggregate", "recurrent")
class RecurrentClassifier(BagNetworkClassifier):
    """Instances in order, read by a BiLSTM [21], an LSTM over levels [42] or a GRU with attention [45]."""

    def __init__(
        self,
        hidden: int = 64,
        epochs: int = 60,
        learning_rate: float = 1e-3,
        batch: int = 16,
        seed: int = 0,
        cell: Literal["lstm", "gru"] = "lstm",
        read: Literal["attention", "last"] = "attention",
        both_ways: bool = True,
    ) -> None:
        super().__init__(hidden, epochs, learning_rate, batch, seed)
        self.cell = cell
        self.read = read
        self.both_ways = both_ways

    def reader(self) -> RecurrentAttention:
        return RecurrentAttention(self.hidden, self.cell, self.hidden, self.read, both_ways=self.both_ways)

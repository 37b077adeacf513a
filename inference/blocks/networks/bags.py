"""Modules that read many instances as one row: gated attention, and recurrent networks over a sequence.

They take instances float N×I×D and a mask bool N×I (True where an instance is real; None when all are) and
answer with a `Bag`. `bag_classifier` trains them on rows, `pooling` uses them over the places of a map.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class Bag(NamedTuple):
    """`row` N×D′; `weights` N×I, each bag's sum to 1, masked instances have 0."""

    row: Tensor
    weights: Tensor


class GatedAttention(nn.Module):
    """Attention-based multiple-instance pooling with the gate (Ilse 2018, equation 9).

    The order of instances does not matter. A bag without any instance gets a row of 0."""

    def __init__(self, channels: int, hidden: int = 128) -> None:
        super().__init__()
        self.content = nn.Linear(channels, hidden)
        self.gate = nn.Linear(channels, hidden)
        self.score = nn.Linear(hidden, 1, bias=False)
        self.out_channels = channels

    def forward(self, instances: Tensor, mask: Tensor | None = None) -> Bag:
        """See the module."""
        if mask is not None:  # a masked instance may hold anything, not-a-number too
            instances = instances.masked_fill(~mask[:, :, None], 0.0)
        hidden = torch.tanh(self.content(instances)) * torch.sigmoid(self.gate(instances))
        weights = masked_softmax(self.score(hidden)[:, :, 0], mask)
        return Bag((weights[:, :, None] * instances).sum(dim=1), weights)


class RecurrentAttention(nn.Module):
    """A BiLSTM or (Bi)GRU over instances in their order, read by additive attention or at its ends.

    `read="attention"` weighs the states (Bahdanau 2015; [45]); `"last"` joins the last state of each
    direction ([21], [28]), and the weights then stand on the last instance. Padding comes after instances."""

    def __init__(
        self, channels: int, cell: str = "lstm", hidden: int = 128, read: str = "attention",
        *, both_ways: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        if cell not in ("lstm", "gru"):
            raise ValueError(f"cell: {cell!r} is neither lstm nor gru")
        if read not in ("attention", "last"):
            raise ValueError(f"read: {read!r} is neither attention nor last")
        self.network: nn.LSTM | nn.GRU
        if cell == "lstm":
            self.network = nn.LSTM(channels, hidden, batch_first=True, bidirectional=both_ways)
        else:
            self.network = nn.GRU(channels, hidden, batch_first=True, bidirectional=both_ways)
        self.hidden = hidden
        self.both_ways = both_ways
        self.out_channels = hidden * (2 if both_ways else 1)
        self.score: nn.Module | None = None
        if read == "attention":
            self.score = nn.Sequential(
                nn.Linear(self.out_channels, hidden), nn.Tanh(), nn.Linear(hidden, 1, bias=False)
            )

    def forward(self, instances: Tensor, mask: Tensor | None = None) -> Bag:
        """See the module.

        Raises
        ------
        ValueError
            An instance after padding, or a sequence of nothing but padding.
        """
        return self.read_all(instances, mask)[1]

    def read_all(self, instances: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Bag]:
        """The states N×I×D′ as well."""
        count = instances.shape[1]
        if mask is None:
            states, _ = self.network(instances)
            lengths = torch.full(instances.shape[:1], count, device=instances.device)
        else:
            lengths = mask.sum(dim=1)
            if bool((lengths == 0).any()) or bool(
                (mask != (torch.arange(count, device=mask.device) < lengths[:, None])).any()
            ):
                raise ValueError("a sequence needs at least one instance, and padding only after the last")
            packed = pack_padded_sequence(instances, lengths.cpu(), batch_first=True, enforce_sorted=False)
            states, _ = pad_packed_sequence(self.network(packed)[0], batch_first=True, total_length=count)
        if self.score is not None:
            weights = masked_softmax(self.score(states)[:, :, 0], mask)
            return states, Bag((weights[:, :, None] * states).sum(dim=1), weights)
        rows = torch.arange(count, device=instances.device)
        weights = (rows == lengths[:, None] - 1).to(states.dtype)
        row = (weights[:, :, None] * states).sum(dim=1)
        if self.both_ways:
            row = torch.cat([row[:, : self.hidden], states[:, 0, self.hidden :]], dim=1)
        return states, Bag(row, weights)


def masked_softmax(scores: Tensor, mask: Tensor | None) -> Tensor:
    """N×I → weights that sum to 1 over the real instances; all 0 where there are none."""
    if mask is None:
        return torch.softmax(scores, dim=1)
    scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return torch.softmax(scores, dim=1) * mask

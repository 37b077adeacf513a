"""A network's weights as plain arrays, for files that must not hold objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from numpy.typing import NDArray
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def arrays_of(network: nn.Module) -> dict[str, NDArray[Any]]:
    """Parameters and buffers by their dotted names."""
    return {name: value.detach().cpu().numpy() for name, value in network.state_dict().items()}


def with_arrays(network: Network, arrays: Mapping[str, NDArray[Any]]) -> Network:
    """`network` with those weights, in evaluation mode.

    Raises
    ------
    RuntimeError
        A name or a shape that the network does not have, or one that is missing.
    """
    network.load_state_dict({name: torch.from_numpy(value) for name, value in arrays.items()})
    return network.eval()

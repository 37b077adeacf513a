"""What a pipeline needs of a network, wherever it runs: tensors in, tensors and the time they took out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ForwardOutput:
    """`outputs` by the graph's own names, float32; `model_ms` is the timer around the network alone."""

    outputs: dict[str, NDArray[Any]]
    model_ms: float


class Forward(Protocol):
    """One forward pass of one batch.

    Raises
    ------
    inference.contract.ModelServerUnavailable
        No answer in time; the caller may try the job again.
    inference.contract.AnalysisError
        The server refused this input.
    """

    def __call__(self, tensor: NDArray[Any], /) -> ForwardOutput: ...


#: One of them a tensor must have; None where any size goes.
Shapes = tuple[tuple[int | None, ...], ...]


class Network(Forward, Protocol):
    """A `Forward` in this process that knows what it takes. One that has not the memory for a batch raises
    `MemoryError`, and can be asked again for less.

    Attributes
    ----------
    shapes
        Of its input.
    bytes_together
        Of inputs that it is quickest to pass at once.
    """

    shapes: Shapes
    bytes_together: int


class Save(Protocol):
    """Keep an 8-bit PNG and say how to refer to it (a path, an artefact's key)."""

    def __call__(self, name: str, png: bytes, /) -> str: ...


def check_input(tensor: NDArray[Any], shapes: Shapes) -> None:
    """What every network of ours takes: uint8 of one of `shapes`.

    Raises
    ------
    ValueError
        `tensor` is something else, or empty.
    """
    fits = any(
        tensor.ndim == len(shape)
        and all(expected in (None, size) for expected, size in zip(shape, tensor.shape, strict=True))
        for shape in shapes
    )
    if tensor.dtype != np.uint8 or not fits or tensor.size == 0:
        wanted = " or ".join(str(shape) for shape in shapes)
        raise ValueError(f"the network takes uint8 of shape {wanted}, not {tensor.dtype} {tensor.shape}")

"""What a pipeline needs of a network, wherever it runs: tensors in, tensors and the time they took out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray


@dataclass(frozen=True)
class ForwardOutput:
    """`outputs` by the graph's own names, float32; `model_ms` is the timer around the network alone."""

    outputs: dict[str, NDArray[Any]]
    model_ms: float


class Forward(Protocol):
    """One forward pass of one batch.

    Raises:
        inference.contract.ModelServerUnavailable: no answer in time; the caller may try the job again.
        inference.contract.AnalysisError: the server refused this input.
    """

    def __call__(self, tensor: NDArray[Any], /) -> ForwardOutput: ...


class Save(Protocol):
    """Keep an 8-bit PNG and say how to refer to it (a path, an artefact's key)."""

    def __call__(self, name: str, png: bytes, /) -> str: ...

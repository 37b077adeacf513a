"""A forward pass as bytes: tensors out, the network's outputs and their time back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from inference.contract import AnalysisError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from inference.runtime.forward import ForwardOutput


def encoded(tensor: NDArray[Any]) -> bytes:
    """What a host is sent."""
    from inference.runtime import wire
    from inference.runtime.handler import INPUT

    return wire.encode({INPUT: tensor})


def decoded(answer: bytes) -> ForwardOutput:
    """What it said. Raises `AnalysisError` for what is no message."""
    from inference.runtime import wire
    from inference.runtime.forward import ForwardOutput
    from inference.runtime.handler import MODEL_MS

    try:
        tensors, values = wire.decode(answer)
        return ForwardOutput(tensors, values[MODEL_MS])
    except (wire.WireError, KeyError) as error:
        raise AnalysisError("the model server's answer cannot be read") from error


def joined(rows: Sequence[ForwardOutput]) -> ForwardOutput:
    """The outputs of several passes over one network as those of one. Raises `AnalysisError` where they do not fit."""
    import numpy as np

    from inference.runtime.forward import ForwardOutput

    try:
        outputs = {
            name: np.concatenate([row.outputs[name] for row in rows])
            for name in dict.fromkeys(name for row in rows for name in row.outputs)
        }
    except (KeyError, ValueError) as error:
        raise AnalysisError("the model server's answer cannot be read") from error
    return ForwardOutput(outputs, sum(row.model_ms for row in rows))

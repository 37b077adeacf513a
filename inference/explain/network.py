"""A network as explanations need it: a float image in, its outputs by name out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from inference.champions.explained import Outputs
from inference.contract import ModelManifest
from inference.runtime.forward import Forward, ForwardOutput
from inference.runtime.onnx_to_torch.convert import network_of
from inference.runtime.onnx_to_torch.program import UnknownOperator
from inference.runtime.store import verified_weights
from inference.runtime.torch_forward import load
from inference.runtime.variants import verified_variant

#: float32 N×1×H×W (or N×H×W×3) in 0–255 → outputs, first dimension N.
Answer = Callable[[Tensor], Outputs]


def through_forward(forward: Forward) -> Answer:
    """Any `Forward` (ONNX Runtime, TorchServe): forward passes only, on values rounded to whole numbers."""

    def answer(x: Tensor) -> Outputs:
        rounded = x.detach().round().clamp(0, 255).to(torch.uint8).numpy()
        named = forward(np.ascontiguousarray(rounded)).outputs
        return {name: torch.from_numpy(np.asarray(values, np.float32)) for name, values in named.items()}

    return answer


def through_module(module: nn.Module, names: Sequence[str] | None = None) -> Answer:
    """A torch network in evaluation mode; gradients flow to its input. Its tuple is named by its own fields,
    or by `names` (a traced network has none).

    Raises
    ------
    ValueError
        On a call, when the outputs are neither named nor as many as `names`.
    """
    module.eval()

    def answer(x: Tensor) -> Outputs:
        values = module(x)
        if isinstance(values, Mapping):
            return values
        named: Sequence[str] = getattr(values, "_fields", ()) if names is None else names
        if len(named) != len(values):
            raise ValueError(f"the network gives {len(values)} outputs, {len(named)} names are known")
        return dict(zip(named, values, strict=True))

    return answer


class AnswerForward:
    """An `Answer` where serving wants a `Forward`: the pipelines' own heat map of a network in training."""

    def __init__(self, network: Answer) -> None:
        self.network = network

    @torch.no_grad()
    def __call__(self, tensor: NDArray[Any], /) -> ForwardOutput:
        begun = time.perf_counter()
        outputs = self.network(torch.from_numpy(np.ascontiguousarray(tensor)).float())
        model_ms = (time.perf_counter() - begun) * 1000
        return ForwardOutput({name: value.numpy() for name, value in outputs.items()}, model_ms)


class NoSuchExplanation(Exception):
    """The network cannot be explained in the way that was asked for; the sentence says why."""


def stored_module(manifest: ModelManifest, store: Path) -> tuple[nn.Module, tuple[str, ...]]:
    """The version's torch network, ready for gradients, and its outputs' names: from `model.pt` where the store has
    one, else made of `model.onnx`.

    Raises
    ------
    NoSuchExplanation
        The graph cannot be written in torch.
    StoreError
        A file has other bytes than its manifest or list says.
    """
    path = verified_variant(manifest, store)
    if path is not None:
        stored = load(path)
        return stored.network, stored.outputs
    try:
        made = network_of(verified_weights(manifest, store))
    except UnknownOperator as error:
        raise NoSuchExplanation(
            f"{manifest.name} {manifest.version} has no torch network: {error}"
        ) from error
    return made.network, made.outputs

"""The mass network of a version in the store, read back from its `model.onnx`: the one that was trained was not kept.

In an exported graph every convolution of the backbone holds the batch norm behind it, and has no name of its own; they
come in the order in which the backbone runs. Whatever else the network has kept its name.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import nn

from inference.blocks.networks.efficientnet import ConvNorm
from inference.blocks.networks.lesion import LesionNetwork
from inference.champions.learning import seen
from inference.champions.plan import Plan, PlanError
from inference.datasets.sample import Sample
from inference.recipes.provenance import Fitted
from inference.runtime.store import read_manifest, verified_weights

_NAME = "mass."


def mass_network(plan: Plan, fitted: list[Sample]) -> Fitted[LesionNetwork]:
    """The mass network of the version that the plan's recipe takes it from; that version was fitted to `fitted`.

    Raises
    ------
    PlanError
        The store has another network under that version, or one of another build.
    StoreError
        It has none.
    """
    asked = plan.recipe.taken["masses"]
    manifest = read_manifest("mammography", plan.store, asked.version)
    if manifest.weights.sha256 != asked.weights_sha256:
        raise PlanError(f"mammography {asked.version} of the store is not the one that the recipe takes")
    made = plan.recipe.network("masses").made(2, plan.seed)
    assert isinstance(made, LesionNetwork)
    graph = onnx.load(str(verified_weights(manifest, plan.store))).graph
    read_back(made, graph)
    return Fitted(made.eval(), seen(f"masses of {asked.version}", fitted))


@torch.no_grad()
def read_back(network: LesionNetwork, graph: onnx.GraphProto) -> None:
    """Give `network` the weights that `graph` holds of it.

    Raises
    ------
    PlanError
        The graph is not of such a network.
    """
    values = _weights(graph)
    named = {name.removeprefix(_NAME): each for name, each in values.items() if name.startswith(_NAME)}
    own = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    for name, each in named.items():
        if name not in own:
            raise PlanError(f"the graph's {_NAME}{name} is none of the mass network's")
        _set(own[name], each, name)
    norms = [module for module in network.decoder.modules() if isinstance(module, nn.GroupNorm)]
    # coarsest first, as the decoder runs
    for norm, (scale, shift) in zip(reversed(norms), _scaled(graph, values), strict=False):
        _set(norm.weight, scale, "a norm's scale")
        _set(norm.bias, shift, "a norm's shift")
    steps = [module for module in network.backbone.modules() if isinstance(module, ConvNorm)]
    for step, (weight, bias) in zip(steps, _convolutions(graph, values), strict=False):
        _set(step.conv.weight, weight, "a convolution")
        step.norm.reset_parameters()
        step.norm.running_var.fill_(1 - step.norm.eps)  # type: ignore[union-attr]
        _set(step.norm.bias, bias, "a convolution's shift")


def _weights(graph: onnx.GraphProto) -> dict[str, NDArray[np.float32]]:
    """By the name that nodes read them by: those kept in half precision are widened by a node before."""
    return {
        tensor.name.removesuffix("_half"): np.asarray(numpy_helper.to_array(tensor), np.float32)
        for tensor in graph.initializer
        if tensor.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
    }


def _convolutions(
    graph: onnx.GraphProto, values: dict[str, NDArray[np.float32]]
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Those without a name, each once."""
    told: set[str] = set()
    for node in graph.node:
        if node.op_type == "Conv" and node.input[1].startswith("onnx::") and node.input[1] not in told:
            told.add(node.input[1])
            yield values[node.input[1]], values[node.input[2]]


def _scaled(
    graph: onnx.GraphProto, values: dict[str, NDArray[np.float32]]
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Scale and shift of every group norm, each once."""
    readers = {node.input[0]: node for node in graph.node if node.op_type == "Add"}
    told: set[str] = set()
    for node in graph.node:
        if node.op_type == "Mul" and node.input[1].startswith("onnx::Mul") and node.input[1] not in told:
            told.add(node.input[1])
            yield values[node.input[1]], values[readers[node.output[0]].input[1]]


def _set(parameter: torch.Tensor, value: NDArray[np.float32], what: str) -> None:
    if parameter.numel() != value.size:
        raise PlanError(
            f"{what} of the graph has the shape {value.shape}, the network's {tuple(parameter.shape)}"
        )
    parameter.copy_(torch.from_numpy(value.copy()).reshape(parameter.shape))

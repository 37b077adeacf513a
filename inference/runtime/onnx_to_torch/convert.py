"""From a file `model.onnx` to a TorchScript network, and to the file of it.

The program is straight-line text, one statement a node, compiled by TorchScript. Nothing is traced, so that no size of
an example is baked in. An operator or a setting that is not known is an error, never a guess.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch

from inference.runtime.forward import Shapes
from inference.runtime.onnx_session import SHAPES
from inference.runtime.onnx_to_torch import functions  # noqa: F401  (the program's text names it)
from inference.runtime.onnx_to_torch.program import Node, Program
from inference.runtime.onnx_to_torch.statements import statement
from inference.runtime.torch_forward import save


@dataclass(frozen=True)
class Converted:
    """`network` takes uint8 of one of `shapes` and answers with a tuple, in the order of `outputs`; float32, on the
    CPU, its filters and matrices parameters of modules in the graph's order."""

    network: torch.jit.ScriptModule
    outputs: tuple[str, ...]
    shapes: Shapes


def convert(weights: Path, target: Path) -> None:
    """Write the TorchScript file of a `model.onnx`.

    Raises
    ------
    UnknownOperator
        The graph cannot be written in torch.
    """
    made = network_of(weights)
    save(made.network, made.outputs, made.shapes, target)


def network_of(weights: Path) -> Converted:
    """
    Raises
    ------
    UnknownOperator
        The graph cannot be written in torch.
    """
    model = onnx.load(str(weights))
    program = Program(model)
    for entry in program.left:
        node = Node(program, entry)
        program.add(node, statement(node))
    with warnings.catch_warnings():
        # torch would rather have torch.export, which fixes the device.
        warnings.simplefilter("ignore", DeprecationWarning)
        network = torch.jit.script(program.module)
        # The text names `functions`, which TorchScript looks up here.
        network.define(program.text())
    stated = {entry.key: entry.value for entry in model.metadata_props}.get(SHAPES)
    own = [side.dim_value or None for side in model.graph.input[0].type.tensor_type.shape.dim]
    shapes = tuple(tuple(shape) for shape in (json.loads(stated) if stated else [own]))
    return Converted(network.eval(), program.outputs, shapes)

"""The program of a graph: its text, the values that are fixed, and a node as `statements` reads it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from torch import nn

_LONGEST_LITERAL = 64


class UnknownOperator(Exception):
    """The graph uses what the conversion does not know. The sentence names it."""


class Program:
    """What is known while a graph with one input is written down, statement by statement.

    Attributes:
        module: holds what is fixed: filters and matrices as parameters of modules of their own, in the graph's
            order, all else as buffers.
        lines: the statements so far.
        variables: the variable of each value that is not fixed.
        sizes: of these, the ones that follow from sizes alone and are on the CPU, whatever the input is on.
        fixed: the values that no input has a part in.
        left: the nodes that are to be written down, in order.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = model.graph
        (entry,) = graph.input
        # A class of its own: TorchScript shares one program among modules of one class and the same parts.
        self.module: nn.Module = type("Network", (nn.Module,), {})()
        self.lines: list[str] = []
        self.variables = {entry.name: "x"}
        self.sizes: set[str] = set()
        self.outputs = tuple(output.name for output in graph.output)
        self.left, self.fixed = _fixed(model)
        self._held: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def text(self) -> str:
        """The source of `forward`."""
        answers = ", ".join(self.variables[name] for name in self.outputs)
        kinds = ", ".join("Tensor" for _ in self.outputs)
        body = "\n".join(f"    {line}" for line in [*self.lines, f"return ({answers},)"])
        return f"def forward(self, x: Tensor) -> Tuple[{kinds}]:\n{body}\n"

    def add(self, node: Node, statement: str) -> None:
        """A node's answers become variables."""
        for name in node.outputs:
            self.variables[name] = f"v{len(self.variables)}"
            if node.on_cpu:
                self.sizes.add(name)
        names = ", ".join(self.variables[name] for name in node.outputs)
        self.lines.append(f"{names} = {statement}")

    def parameter(self, layer: str, part: str, values: NDArray[Any]) -> str:
        """`layer.part` of the network, one of the learned weights; that of an earlier layer where it has the same
        values, as in a network that looks at a picture twice."""
        key = _key(values)
        if key not in self._held:
            if not hasattr(self.module, layer):
                self.module.add_module(layer, nn.Module())
            own = nn.Parameter(torch.from_numpy(np.array(values)), requires_grad=False)
            getattr(self.module, layer).register_parameter(part, own)
            self._held[key] = f"self.{layer}.{part}"
        return self._held[key]

    def buffer(self, values: NDArray[Any]) -> str:
        """A fixed value on the network's device."""
        key = _key(values)
        if key not in self._held:
            name = f"fixed_{len(self._held)}"
            self.module.register_buffer(name, torch.from_numpy(np.array(values)))
            self._held[key] = f"self.{name}"
        return self._held[key]


class Node:
    """One node that is not fixed. `on_cpu`: whether its answer is reckoned on the CPU, from sizes alone."""

    def __init__(self, program: Program, node: onnx.NodeProto) -> None:
        self.kind = node.op_type
        self.inputs = list(node.input)
        self.outputs = list(node.output)
        self._program = program
        self._settings = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
        changing = {name for name in self.inputs if name in program.variables}
        self.on_cpu = self.kind == "Shape" or changing <= program.sizes

    def has(self, index: int) -> bool:
        """Whether that input is there at all."""
        return index < len(self.inputs) and bool(self.inputs[index])

    def value(self, index: int) -> NDArray[Any]:
        """An input that must be fixed."""
        if self.inputs[index] not in self._program.fixed:
            raise UnknownOperator(f"{self.kind} whose input {index} is not fixed cannot be written in torch")
        return self._program.fixed[self.inputs[index]]

    def is_number(self, index: int) -> bool:
        """Whether an input is one fixed number, without a dimension."""
        found = self._program.fixed.get(self.inputs[index])
        return found is not None and found.ndim == 0

    def tensor(self, index: int) -> str:
        """An input, where the node is reckoned."""
        name = self.inputs[index]
        if name in self._program.fixed:
            return _literal(self.value(index)) if self.on_cpu else self._program.buffer(self.value(index))
        moved = name in self._program.sizes and not self.on_cpu
        return self._program.variables[name] + (".to(x.device)" if moved else "")

    def tensors(self) -> list[str]:
        """All inputs."""
        return [self.tensor(index) for index in range(len(self.inputs))]

    def weight(self, index: int, part: str) -> str:
        """An input that is learned: `part` of a module of the node's own, where it is fixed; `None` where it is not
        there."""
        if not self.has(index):
            return "None"
        if self.inputs[index] not in self._program.fixed:
            return self.tensor(index)
        layer = f"{self.kind.lower()}_{len(self._program.lines)}"
        return self._program.parameter(layer, part, self.value(index))

    def numbers(self, index: int) -> str:
        """An input as a list of whole numbers."""
        name = self.inputs[index]
        if name in self._program.fixed:
            return str([int(value) for value in self.value(index).reshape(-1)])
        if name not in self._program.sizes:
            raise UnknownOperator(
                f"{self.kind} by numbers that the picture decides cannot be written in torch"
            )
        return f"functions.numbers({self._program.variables[name]})"

    def setting(self, name: str, otherwise: Any = None) -> Any:
        """An attribute, bytes as text and several as a list; `otherwise` where it is not there."""
        found = self._settings.get(name, otherwise)
        if isinstance(found, bytes):
            return found.decode()
        return list(found) if isinstance(found, Sequence) and not isinstance(found, str) else found

    def expect(self, name: str, *allowed: Any) -> Any:
        """An attribute that must have one of these values; the first where it is not there."""
        found = self.setting(name, allowed[0])
        if found not in allowed:
            raise UnknownOperator(f"{self.kind} with {name} {found} cannot be written in torch")
        return found


def _fixed(model: onnx.ModelProto) -> tuple[list[onnx.NodeProto], dict[str, NDArray[Any]]]:
    """The nodes that the input has a part in, and the value of all else that they read."""
    graph = model.graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    known = {*stored, ""}
    inside: list[onnx.NodeProto] = []
    left: list[onnx.NodeProto] = []
    for node in graph.node:
        (inside if known.issuperset(node.input) else left).append(node)
        if known.issuperset(node.input):
            known.update(node.output)
    read = {name for node in left for name in node.input} & known
    made = sorted(read - stored.keys() - {""})
    if not made:
        return left, stored
    answers = [helper.make_tensor_value_info(name, onnx.TensorProto.UNDEFINED, None) for name in made]
    part = helper.make_graph(inside, "fixed", [], answers, initializer=list(graph.initializer))
    values = ReferenceEvaluator(helper.make_model(part, opset_imports=list(model.opset_import))).run(None, {})
    return left, stored | {name: np.asarray(value) for name, value in zip(made, values, strict=True)}


def _key(values: NDArray[Any]) -> tuple[str, tuple[int, ...], bytes]:
    return str(values.dtype), values.shape, hashlib.sha256(values.tobytes()).digest()


def _literal(values: NDArray[Any]) -> str:
    """A small fixed value on the CPU."""
    if values.size > _LONGEST_LITERAL:
        raise UnknownOperator(f"{values.size} fixed numbers among sizes cannot be written in torch")
    return f"torch.tensor({values.tolist()}, dtype=torch.{values.dtype})"

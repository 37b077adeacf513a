"""Rewrites of an exported ONNX graph that change its speed and not its answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

_Producers = dict[str, onnx.NodeProto]
_Opset = list[onnx.OperatorSetIdProto]


def fold_padding(model: onnx.ModelProto) -> int:
    """Move every zero padding that one convolution alone reads into that convolution; in place.

    torch exports TensorFlow's one-sided padding as a `Pad` of its own, which ONNX Runtime does not fold: each
    costs a copy of the widest maps and two changes of their layout, a fifth of the whole forward pass.

    Returns
    -------
    int
        How many were moved.
    """
    graph = model.graph
    opset = list(model.opset_import)
    produced = {name: node for node in graph.node for name in node.output}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    outputs = {output.name for output in graph.output}
    folded = 0
    for pad in [node for node in graph.node if node.op_type == "Pad"]:
        read_by = readers.get(pad.output[0], [])
        if len(read_by) != 1 or read_by[0].op_type != "Conv" or pad.output[0] in outputs:
            continue
        (convolution,) = read_by
        sides = _zero_sides(pad, graph, produced, opset)
        if sides is None or _attribute(convolution, "auto_pad", b"NOTSET") != b"NOTSET":
            continue
        own = _attribute(convolution, "pads", [0, 0, 0, 0])
        for attribute in [entry for entry in convolution.attribute if entry.name == "pads"]:
            convolution.attribute.remove(attribute)
        total = [have + more for have, more in zip(own, sides, strict=True)]
        convolution.attribute.append(helper.make_attribute("pads", total))
        convolution.input[0] = pad.input[0]
        graph.node.remove(pad)
        folded += 1
    _drop_unread(graph)
    return folded


def _zero_sides(
    pad: onnx.NodeProto, graph: onnx.GraphProto, produced: _Producers, opset: _Opset
) -> list[int] | None:
    """top, left, bottom, right of a constant zero padding of N×C×H×W; None for any other."""
    if _attribute(pad, "mode", b"constant") != b"constant" or len(pad.input) > 3:
        return None
    sides = _constant(pad.input[1], graph, produced, opset)
    if len(pad.input) == 3 and pad.input[2]:
        value = _constant(pad.input[2], graph, produced, opset)
        if value is None or value.any():
            return None
    if sides is None or sides.size != 8 or sides.min() < 0 or sides[[0, 1, 4, 5]].any():
        return None
    return [int(sides[index]) for index in (2, 3, 6, 7)]


def _constant(name: str, graph: onnx.GraphProto, produced: _Producers, opset: _Opset) -> NDArray[Any] | None:
    """The value of `name` where no input of the graph has a part in it."""
    stored = {tensor.name: tensor for tensor in graph.initializer}
    if name in stored:
        return numpy_helper.to_array(stored[name])
    needed: set[str] = set()
    wanted, weights = [name], []
    while wanted:
        one = wanted.pop()
        if one in stored:
            weights.append(stored[one])
        elif one in produced and one not in needed:
            needed.update(produced[one].output)
            wanted += [entry for entry in produced[one].input if entry]
        elif one not in needed:
            return None
    nodes = [node for node in graph.node if needed & set(node.output)]
    answer = helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None)
    part = helper.make_graph(nodes, "constant", [], [answer], initializer=weights)
    (value,) = ReferenceEvaluator(helper.make_model(part, opset_imports=opset)).run(None, {})
    return np.asarray(value)


def reached(graph: onnx.GraphProto, output: str) -> set[str]:
    """The names of everything that `output` is made of."""
    produced = {name: node for node in graph.node for name in node.output}
    found, wanted = set(), [output]
    while wanted:
        name = wanted.pop()
        if name not in found:
            found.add(name)
            wanted += list(produced[name].input) if name in produced else []
    return found


def _drop_unread(graph: onnx.GraphProto) -> None:
    """Nodes and weights whose answers nobody reads."""
    while True:
        read = {name for node in graph.node for name in node.input} | {out.name for out in graph.output}
        unread = [node for node in graph.node if not read & set(node.output)]
        if not unread:
            break
        for node in unread:
            graph.node.remove(node)
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in read]:
        graph.initializer.remove(tensor)


def _attribute(node: onnx.NodeProto, name: str, otherwise: Any) -> Any:
    for attribute in node.attribute:
        if attribute.name == name:
            return helper.get_attribute_value(attribute)
    return otherwise

"""Padding moved into convolutions: fewer steps, the same answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from inference.serving.graph import fold_padding
from inference.serving.onnx_session import OnnxForward
from tests.inference.tiny_network import fields, write_onnx


def count_of(model: onnx.ModelProto, kind: str) -> int:
    return sum(node.op_type == kind for node in model.graph.node)


def test_an_exported_networks_paddings_are_folded_and_its_answers_stay(tmp_path: Path) -> None:
    before = write_onnx(tmp_path / "before.onnx")
    model = onnx.load(str(before))
    paddings = count_of(model, "Pad")
    assert paddings >= 1
    assert fold_padding(model) == paddings
    assert count_of(model, "Pad") == 0
    onnx.checker.check_model(model)
    onnx.save(model, str(tmp_path / "after.onnx"))
    first, second = OnnxForward(before)(fields(3)), OnnxForward(tmp_path / "after.onnx")(fields(3))
    for name, rows in first.outputs.items():
        np.testing.assert_allclose(second.outputs[name], rows, atol=1e-6)


def padded(value: float, readers: int) -> onnx.ModelProto:
    """One padding, and so many convolutions that read it."""
    weights = {
        "kernel": np.ones((1, 1, 3, 3), np.float32),
        "sides": np.array([0, 0, 1, 1, 0, 0, 2, 2], np.int64),
        "value": np.array(value, np.float32),
    }
    nodes = [helper.make_node("Pad", ["x", "sides", "value"], ["wide"])]
    nodes += [helper.make_node("Conv", ["wide", "kernel"], [f"y{n}"]) for n in range(readers)]
    graph = helper.make_graph(
        nodes, "padded",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 1, 8, 8))],
        [helper.make_tensor_value_info(f"y{n}", TensorProto.FLOAT, None) for n in range(readers)],
        initializer=[numpy_helper.from_array(array, name) for name, array in weights.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def test_only_zeros_that_one_convolution_reads_are_folded() -> None:
    assert fold_padding(padded(0.0, 1)) == 1
    assert fold_padding(padded(1.0, 1)) == 0
    assert fold_padding(padded(0.0, 2)) == 0

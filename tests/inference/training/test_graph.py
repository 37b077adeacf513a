"""Padding moved into convolutions: fewer steps, the same answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from inference.training.graph import fold_padding
from tests.inference.tiny_network import write_onnx


def count_of(model: onnx.ModelProto, kind: str) -> int:
    return sum(node.op_type == kind for node in model.graph.node)


def test_an_exported_network_is_without_separate_padding(tmp_path: Path) -> None:
    assert count_of(onnx.load(str(write_onnx(tmp_path / "model.onnx"))), "Pad") == 0


def test_folding_keeps_the_answers() -> None:
    model = padded(0.0, 1)
    image = np.random.default_rng(0).normal(size=(1, 1, 8, 8)).astype(np.float32)
    before = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": image})
    assert fold_padding(model) == 1 and count_of(model, "Pad") == 0
    after = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": image})
    np.testing.assert_allclose(after[0], before[0], atol=1e-6)


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

"""A graph becomes a TorchScript program with the same answers, or a sentence that names what it cannot be made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from inference.contract import ModelManifest
from inference.explain.randomisation import layers_of
from inference.runtime.answer import seeded_input
from inference.runtime.onnx_session import OnnxForward
from inference.runtime.onnx_to_torch.convert import convert, network_of
from inference.runtime.onnx_to_torch.program import UnknownOperator
from inference.runtime.store import manifests, verified_weights
from inference.runtime.torch_forward import FILE, TorchForward
from inference.runtime.variants import read_variants, verified_variant
from tests.inference.tiny_network import fields, write_onnx

X = np.random.default_rng(0).normal(size=(2, 3, 4, 6)).astype(np.float32)
FIXED: dict[str, np.ndarray] = {
    "zero": np.array([0], np.int64),
    "one": np.array([1], np.int64),
    "two": np.array([2], np.int64),
    "axes": np.array([2, 3], np.int64),
    "pairs": np.array([[2, 0], [1, -1]], np.int64),
    "low": np.array(-0.5, np.float32),
    "high": np.array(0.5, np.float32),
    "half": np.array(0.5, np.float32),
    "mean": np.arange(3, dtype=np.float32).reshape(1, 3, 1, 1),
    "kernel": np.random.default_rng(1).normal(size=(4, 3, 3, 3)).astype(np.float32),
    "bias": np.arange(4, dtype=np.float32),
    "matrix": np.random.default_rng(2).normal(size=(5, 72)).astype(np.float32),
    "columns": np.random.default_rng(2).normal(size=(6, 5)).astype(np.float32),
    "scale": np.array([1.5, 0.5, 2.0], np.float32),
    "shift": np.array([0.1, 0.2, 0.3], np.float32),
    "sides": np.array([0, 0, 1, 0, 0, 0, 2, 3], np.int64),
    "scales": np.array([1, 1, 2, 2], np.float32),
    "whole": np.array([0, -1], np.int64),
    "wide": np.array([2, 1, 1, 4, 6], np.int64),
    "again": np.array([1, 2, 1, 3], np.int64),
    "back": np.array([-1], np.int64),
    "farthest": np.array([-(2**63) + 1], np.int64),
    "last": np.array([2**63 - 1], np.int64),
    "seven": np.array([-7], np.int64),
    "number": np.array(2, np.int64),
    "axis_one": np.array(1, np.int64),
    "size": np.array([8, 9], np.int64),
}

Node = tuple[str, list[str], Mapping[str, Any]]


def graph_of(*nodes: Node) -> onnx.ModelProto:
    """Nodes in a row: each reads `x`, what stands in FIXED, or what an earlier node made (`n0`, `n1` …)."""
    made = [
        helper.make_node(kind, inputs, [f"n{number}"], **settings)
        for number, (kind, inputs, settings) in enumerate(nodes)
    ]
    stored = {name for _, inputs, _ in nodes for name in inputs} & FIXED.keys()
    graph = helper.make_graph(
        made, "graph", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("batch", 3, 4, 6))],
        [helper.make_tensor_value_info(f"n{len(nodes) - 1}", TensorProto.UNDEFINED, None)],
        initializer=[numpy_helper.from_array(FIXED[name], name) for name in sorted(stored)],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def answers_of(model: onnx.ModelProto, x: np.ndarray) -> list[np.ndarray]:
    """By ONNX Runtime; the types of the outputs are its own finding."""
    inferred = onnx.shape_inference.infer_shapes(model)
    kinds = {entry.name: entry for entry in [*inferred.graph.value_info, *inferred.graph.output]}
    for output in model.graph.output:
        output.CopyFrom(kinds[output.name])
    return list(onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x}))


SHAPE: Node = ("Shape", ["x"], {})
SIGN: Node = ("Greater", ["x", "low"], {})
GRAPHS: dict[str, list[Node]] = {
    **{f"{kind} of one": [("Mul", ["x", "x"], {}), ("Add", ["n0", "half"], {}), (kind, ["n1"], {})]
       for kind in ("Abs", "Exp", "Identity", "Log", "Neg", "Reciprocal", "Relu", "Sigmoid", "Softplus", "Sqrt",
                    "Tanh")},
    **{kind: [(kind, ["x", "mean"], {})] for kind in ("Add", "Sub", "Mul", "Greater", "GreaterOrEqual", "Less",
                                                      "LessOrEqual", "Equal")},
    "Div": [("Div", ["mean", "x"], {})],
    "Pow": [("Mul", ["x", "x"], {}), ("Pow", ["n0", "half"], {})],
    "Div and Mod of sizes": [SHAPE, ("Div", ["seven", "n0"], {}), ("Mod", ["seven", "n0"], {}),
                             ("Concat", ["n1", "n2"], {"axis": 0})],
    "And, Or, Xor, Not, Where": [SIGN, ("Less", ["x", "high"], {}), ("And", ["n0", "n1"], {}),
                                 ("Xor", ["n2", "n1"], {}), ("Not", ["n3"], {}), ("Or", ["n4", "n2"], {}),
                                 ("Where", ["n5", "x", "mean"], {})],
    "Cast": [SIGN, ("Cast", ["n0"], {"to": TensorProto.FLOAT}), ("Mul", ["n1", "x"], {})],
    "Clip": [("Clip", ["x", "low", "high"], {})],
    "Clip above": [("Clip", ["x", "", "high"], {})],
    "Conv": [("Conv", ["x", "kernel", "bias"], {"pads": [1, 1, 1, 1], "strides": [2, 2]})],
    "ConvTranspose": [
        ("Conv", ["x", "kernel"], {}), ("ConvTranspose", ["n0", "kernel"], {"pads": [1, 1, 1, 1], "strides": [2, 2]}),
    ],
    "ConvTranspose, wider": [
        ("Conv", ["x", "kernel"], {}),
        ("ConvTranspose", ["n0", "kernel"], {"output_padding": [1, 0], "strides": [2, 2], "dilations": [1, 2]}),
    ],
    "Conv, one-sided": [("Conv", ["x", "kernel"], {"pads": [0, 1, 2, 1], "dilations": [1, 2]})],
    "Gemm": [("Flatten", ["x"], {"axis": 1}), ("Gemm", ["n0", "matrix"], {"transB": 1})],
    "MatMul": [("MatMul", ["x", "columns"], {})],
    "InstanceNormalization": [("InstanceNormalization", ["x", "scale", "shift"], {})],
    "BatchNormalization": [
        ("BatchNormalization", ["x", "scale", "shift", "shift", "scale"], {"epsilon": 0.01})],
    "LogSoftmax": [("LogSoftmax", ["x"], {"axis": 1})],
    "ReduceLogSumExp": [("ReduceLogSumExp", ["x"], {"axes": [2, 3], "keepdims": 0})],
    "AveragePool": [("AveragePool", ["x"], {"kernel_shape": [2, 2], "strides": [2, 2]})],
    "AveragePool without pads": [("AveragePool", ["x"], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]})],
    "AveragePool with pads": [
        ("AveragePool", ["x"], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1})],
    "MaxPool": [("MaxPool", ["x"], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2], "ceil_mode": 1})],
    "Pad": [("Pad", ["x", "sides", "half"], {})],
    "Resize, nearest": [("Resize", ["x", "", "scales"], {
        "mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"})],
    "Resize, linear": [("Resize", ["x", "", "scales"], {"mode": "linear"})],
    "Resize to a size": [SHAPE, ("Slice", ["n0", "zero", "two"], {}), ("Concat", ["n1", "size"], {"axis": 0}),
                         ("Resize", ["x", "", "", "n2"], {"mode": "linear"})],
    "GridSample": [("Slice", ["x", "zero", "two", "one"], {}), ("Transpose", ["n0"], {"perm": [0, 2, 3, 1]}),
                   ("GridSample", ["x", "n1"], {})],
    "ReduceMean": [("ReduceMean", ["x"], {"axes": [2, 3], "keepdims": 0})],
    "ReduceMax": [("ReduceMax", ["x"], {"axes": [1]})],
    "ReduceSum": [("ReduceSum", ["x", "axes"], {"keepdims": 1})],
    "Softmax": [("Softmax", ["x"], {"axis": 1})],
    "CumSum": [("CumSum", ["x", "axis_one"], {})],
    "Concat": [("Concat", ["x", "x"], {"axis": 1})],
    "Gather one": [("Gather", ["x", "number"], {"axis": 2})],
    "Gather several": [("Gather", ["x", "pairs"], {"axis": 1})],
    "GatherElements": [SIGN, ("Cast", ["n0"], {"to": TensorProto.INT64}), ("GatherElements", ["x", "n1"], {"axis": 3})],
    "Slice": [("Slice", ["x", "one", "last", "two"], {})],
    "Slice without axes": [("Slice", ["x", "one", "two"], {})],
    "Slice in steps": [("Slice", ["x", "one", "last", "two", "two"], {})],
    "Slice backwards": [("Slice", ["x", "back", "farthest", "two", "back"], {})],
    "Transpose": [("Transpose", ["x"], {"perm": [0, 2, 3, 1]})],
    "Unsqueeze": [("Unsqueeze", ["x", "axes"], {})],
    "Reshape": [("Reshape", ["x", "whole"], {})],
    "Expand": [("Unsqueeze", ["x", "one"], {}), ("Expand", ["n0", "wide"], {})],
    "Tile": [("Tile", ["x", "again"], {})],
    "Reshape to sizes": [SHAPE, ("Gather", ["n0", "one"], {}), ("Concat", ["n1", "back"], {"axis": 0}),
                         ("Reshape", ["x", "n2"], {})],
    "ConstantOfShape": [SHAPE, ("ConstantOfShape", ["n0"], {
        "value": numpy_helper.from_array(np.array([2.5], np.float32))}), ("Mul", ["x", "n1"], {})],
    "Sizes among pictures": [SHAPE, ("Cast", ["n0"], {"to": TensorProto.FLOAT}), ("Gather", ["n1", "number"], {}),
                             ("Div", ["x", "n2"], {})],
}  # fmt: skip


@pytest.mark.parametrize("name", GRAPHS)
def test_every_operator_answers_as_onnx_runtime_does(name: str, tmp_path: Path) -> None:
    model = graph_of(*GRAPHS[name])
    onnx.save(model, str(tmp_path / "model.onnx"))
    network = network_of(tmp_path / "model.onnx").network
    for x in (X, X[:1]):  # no size of an example is baked in
        (expected,) = answers_of(model, x)
        (found,) = network(torch.from_numpy(x))
        assert found.numpy().dtype == expected.dtype
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_the_best_and_where_they_are(tmp_path: Path) -> None:
    model = graph_of(("Flatten", ["x"], {}), ("TopK", ["n0", "two"], {"axis": 1}))
    model.graph.node[-1].output.append("where")
    model.graph.output.append(helper.make_tensor_value_info("where", TensorProto.UNDEFINED, None))
    onnx.save(model, str(tmp_path / "model.onnx"))
    for found, expected in zip(
        network_of(tmp_path / "model.onnx").network(torch.from_numpy(X)), answers_of(model, X), strict=True
    ):
        np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize(
    ("node", "sentence"),
    [
        (("Einsum", ["x"], {"equation": "abcd->abdc"}), "the operator Einsum cannot"),
        (("Conv", ["x", "kernel"], {"auto_pad": "SAME_UPPER"}), "Conv with auto_pad SAME_UPPER"),
        (("ConvTranspose", ["x", "kernel"], {"pads": [0, 0, 1, 1]}), "ConvTranspose with one-sided padding"),
        (("Resize", ["x", "", "scales"], {"mode": "cubic"}), "Resize with mode cubic"),
        (("Resize", ["x", "", "scales"], {"mode": "nearest"}), "Resize that rounds"),
        (("Resize", ["x", "", "scales"], {"mode": "linear", "coordinate_transformation_mode": "align_corners"}),
         "Resize with align_corners coordinates"),
        (("AveragePool", ["x"], {"kernel_shape": [3, 3], "pads": [0, 0, 1, 1]}), "one-sided padding"),
        (("Shape", ["x"], {"start": 2}), "Shape of a part"),
        (("ReduceMean", ["x"], {}), "ReduceMean over everything"),
        (("CumSum", ["x", "axis_one"], {"reverse": 1}), "CumSum with reverse 1"),
        (("Pad", ["x", "sides"], {"mode": "reflect"}), "Pad with mode reflect"),
        (("Cast", ["x"], {"to": TensorProto.DOUBLE}), "type 11"),
    ],
)  # fmt: skip
def test_what_is_not_known_is_named(node: Node, sentence: str, tmp_path: Path) -> None:
    onnx.save(graph_of(node), str(tmp_path / "model.onnx"))
    with pytest.raises(UnknownOperator, match=sentence):
        convert(tmp_path / "model.onnx", tmp_path / FILE)
    assert not (tmp_path / FILE).exists()


# --- the networks of the store -------------------------------------------------------------------------------


def each_of(found: Iterable[ModelManifest]) -> pytest.MarkDecorator:
    """The largest network takes half a minute each time."""
    return pytest.mark.parametrize(
        "manifest",
        [
            pytest.param(entry, marks=[pytest.mark.long] if entry.name == "mammography" else [])
            for entry in found
        ],
        ids=lambda entry: f"{entry.name} {entry.version}",
    )


MODELS = each_of(manifests())
#: Versions of before 3.0 brought a file of their own.
TRACED = each_of(entry for entry in manifests() if read_variants(entry) is not None)


@MODELS
def test_a_network_of_the_store_answers_as_its_onnx_file(manifest: ModelManifest, tmp_path: Path) -> None:
    weights = verified_weights(manifest)
    convert(weights, tmp_path / FILE)
    served, made = OnnxForward(weights), TorchForward(tmp_path / FILE, "cpu")
    assert made.shapes == served.shapes
    for shape in served.shapes:
        for rows in (1, 3):
            given = seeded_input((rows, *(side or 1 for side in shape[1:])), seed=rows)
            expected, found = served(given).outputs, made(given).outputs
            assert list(found) == list(expected)
            for name, values in expected.items():
                np.testing.assert_allclose(found[name], values, rtol=1e-3, atol=1e-3)


@TRACED
def test_a_network_of_the_store_answers_as_the_file_that_was_traced(
    manifest: ModelManifest, tmp_path: Path
) -> None:
    traced = verified_variant(manifest)
    assert traced is not None
    convert(verified_weights(manifest), tmp_path / FILE)
    made, before = TorchForward(tmp_path / FILE, "cpu"), TorchForward(traced, "cpu")
    given = seeded_input((2, *(side or 1 for side in made.shapes[0][1:])), seed=5)
    expected, found = before(given).outputs, made(given).outputs
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-3, atol=1e-3)


def test_two_versions_of_one_shape_are_made_in_one_process(tmp_path: Path) -> None:
    first, second = (write_onnx(tmp_path / f"{seed}.onnx", seed) for seed in (1, 2))
    answers = [network_of(path).network(torch.from_numpy(fields(2)))[0] for path in (first, second)]
    for path, found in zip((first, second), answers, strict=True):
        np.testing.assert_allclose(found, OnnxForward(path)(fields(2)).outputs["logit"], atol=1e-4)


def test_layers_keep_their_weights_and_their_order(tmp_path: Path) -> None:
    """Explanations make them random from the answer downwards."""
    made = network_of(write_onnx(tmp_path / "model.onnx"))
    x = torch.from_numpy(fields(2)).float()
    layers = layers_of(made.network, lambda: made.network(x)[0])
    assert [name.partition("_")[0] for name in layers] == ["gemm", "conv", "conv", "conv"]


def test_weights_that_two_branches_share_are_kept_once(tmp_path: Path) -> None:
    onnx.save(
        graph_of(("Conv", ["x", "kernel"], {}), ("Conv", ["x", "kernel"], {}), ("Add", ["n0", "n1"], {})),
        str(tmp_path / "model.onnx"),
    )
    assert len(list(network_of(tmp_path / "model.onnx").network.parameters())) == 1


@MODELS
def test_sizes_stay_on_the_cpu_and_pictures_where_the_input_is(manifest: ModelManifest) -> None:
    """Seen without a GPU: on torch's device without values, which mixes with the CPU no better than CUDA does."""
    made = network_of(verified_weights(manifest))
    network = made.network.to("meta")
    for shape in made.shapes:
        answers = network(torch.empty((3, *shape[1:]), dtype=torch.uint8, device="meta"))
        assert {answer.device.type for answer in answers} == {"meta"}
        assert {len(answer) for answer in answers} == {3}

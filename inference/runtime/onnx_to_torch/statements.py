"""What each of ONNX's operators (set 17) becomes in a TorchScript program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from onnx import TensorProto, numpy_helper

from inference.runtime.onnx_to_torch.program import Node, UnknownOperator

Statement = Callable[[Node], str]

_DTYPES: dict[int, str] = {
    TensorProto.FLOAT: "torch.float32",
    TensorProto.INT32: "torch.int32",
    TensorProto.INT64: "torch.int64",
    TensorProto.UINT8: "torch.uint8",
    TensorProto.BOOL: "torch.bool",
}

#: Operators without settings, by their inputs.
_PLAIN = {
    "Abs": "torch.abs({})",
    "Add": "torch.add({}, {})",
    "And": "torch.logical_and({}, {})",
    "Div": "functions.divided({}, {})",
    "Equal": "torch.eq({}, {})",
    "Exp": "torch.exp({})",
    "Greater": "torch.gt({}, {})",
    "GreaterOrEqual": "torch.ge({}, {})",
    "Identity": "{}",
    "Less": "torch.lt({}, {})",
    "LessOrEqual": "torch.le({}, {})",
    "Log": "torch.log({})",
    "Mul": "torch.mul({}, {})",
    "Neg": "torch.neg({})",
    "Not": "torch.logical_not({})",
    "Or": "torch.logical_or({}, {})",
    "Pow": "torch.pow({}, {})",
    "Reciprocal": "torch.reciprocal({})",
    "Relu": "torch.relu({})",
    "Shape": "functions.shape_of({})",
    "Sigmoid": "torch.sigmoid({})",
    "Softplus": "torch.nn.functional.softplus({})",
    "Sqrt": "torch.sqrt({})",
    "Sub": "torch.sub({}, {})",
    "Tanh": "torch.tanh({})",
    "Where": "torch.where({}, {}, {})",
    "Xor": "torch.logical_xor({}, {})",
}


def statement(node: Node) -> str:
    """The right side of the node's assignment.

    Raises
    ------
    UnknownOperator
        The operator, or a setting of it, is not known.
    """
    if node.kind in _PLAIN:
        if any(node.setting(name) for name in ("start", "end")):  # of Shape
            raise UnknownOperator(f"{node.kind} of a part cannot be written in torch")
        return _PLAIN[node.kind].format(*node.tensors())
    if node.kind not in _OPERATORS:
        raise UnknownOperator(f"the operator {node.kind} cannot be written in torch")
    return _OPERATORS[node.kind](node)


# --- layers --------------------------------------------------------------------------------------------------


def _conv(node: Node) -> str:
    node.expect("auto_pad", "NOTSET")
    weight = node.weight(1, "weight")
    kernel = node.setting("kernel_shape") or node.value(1).shape[2:]
    if len(kernel) != 2:
        raise UnknownOperator(f"{node.kind} of {len(kernel)} dimensions cannot be written in torch")
    return (
        f"functions.convolved({node.tensor(0)}, {weight}, {node.weight(2, 'bias')}, "
        f"{node.setting('strides', [1, 1])}, {node.setting('pads', [0, 0, 0, 0])}, "
        f"{node.setting('dilations', [1, 1])}, {node.setting('group', 1)})"
    )


def _conv_transposed(node: Node) -> str:
    node.expect("auto_pad", "NOTSET")
    weight = node.weight(1, "weight")
    top, left, bottom, right = node.setting("pads", [0, 0, 0, 0])
    kernel = node.setting("kernel_shape") or node.value(1).shape[2:]
    if len(kernel) != 2 or (top, left) != (bottom, right) or node.setting("output_shape"):
        raise UnknownOperator(
            f"{node.kind} with one-sided padding or a given shape cannot be written in torch"
        )
    return (
        f"torch.conv_transpose2d({node.tensor(0)}, {weight}, {node.weight(2, 'bias')}, "
        f"{node.setting('strides', [1, 1])}, [{top}, {left}], {node.setting('output_padding', [0, 0])}, "
        f"{node.setting('group', 1)}, {node.setting('dilations', [1, 1])})"
    )


def _gemm(node: Node) -> str:
    for name, value in (("alpha", 1.0), ("beta", 1.0), ("transA", 0), ("transB", 1)):
        if node.setting(name, {"transB": 0}.get(name, value)) != value:
            raise UnknownOperator(f"{node.kind} with another {name} than {value} cannot be written in torch")
    return (
        f"torch.nn.functional.linear({node.tensor(0)}, {node.weight(1, 'weight')}, {node.weight(2, 'bias')})"
    )


def _mat_mul(node: Node) -> str:
    return f"torch.matmul({node.tensor(0)}, {node.weight(1, 'weight')})"


def _batch_norm(node: Node) -> str:
    node.expect("training_mode", 0)
    x, scale, bias, mean, variance = node.tensors()
    fixed = f"False, 0.0, {node.setting('epsilon', 1e-5)}, False"
    return f"torch.batch_norm({x}, {scale}, {bias}, {mean}, {variance}, {fixed})"


def _instance_norm(node: Node) -> str:
    x, scale, bias = node.tensors()
    return f"torch.instance_norm({x}, {scale}, {bias}, None, None, True, 0.0, {node.setting('epsilon', 1e-5)}, False)"


def _average_pool(node: Node) -> str:
    with_pads = bool(node.expect("count_include_pad", 0, 1))
    return f"torch.nn.functional.avg_pool2d({node.tensor(0)}, {_window(node)}, {_ceil(node)}, {with_pads})"


def _max_pool(node: Node) -> str:
    if len(node.outputs) > 1:
        raise UnknownOperator(f"{node.kind} that says where cannot be written in torch")
    return f"torch.max_pool2d({node.tensor(0)}, {_window(node)}, {node.setting('dilations', [1, 1])}, {_ceil(node)})"


def _window(node: Node) -> str:
    """Kernel, strides and padding of a pool."""
    node.expect("auto_pad", "NOTSET")
    kernel = node.setting("kernel_shape")
    top, left, bottom, right = node.setting("pads", [0, 0, 0, 0])
    if len(kernel) != 2 or (top, left) != (bottom, right):
        raise UnknownOperator(f"{node.kind} with one-sided padding cannot be written in torch")
    return f"{kernel}, {node.setting('strides', [1, 1])}, [{top}, {left}]"


def _ceil(node: Node) -> bool:
    return bool(node.expect("ceil_mode", 0, 1))


def _pad(node: Node) -> str:
    node.expect("mode", "constant")
    sides = [int(side) for side in node.value(1)]
    before, after = sides[: len(sides) // 2], sides[len(sides) // 2 :]
    filling = float(node.value(2)) if node.has(2) else 0.0
    pairs = [side for pair in zip(reversed(before), reversed(after), strict=True) for side in pair]
    return f"torch.nn.functional.pad({node.tensor(0)}, {pairs}, 'constant', {filling!r})"


def _resize(node: Node) -> str:
    if node.expect("mode", "nearest", "linear") == "nearest":
        if node.setting("nearest_mode", "round_prefer_floor") != "floor":
            raise UnknownOperator(f"{node.kind} that rounds cannot be written in torch")
        known, how = ["asymmetric"], "mode='nearest'"
    else:
        known, how = ["half_pixel", "pytorch_half_pixel"], "mode='bilinear', align_corners=False"
    coordinates = node.setting("coordinate_transformation_mode", "half_pixel")
    if coordinates not in known:
        raise UnknownOperator(f"{node.kind} with {coordinates} coordinates cannot be written in torch")
    if node.has(3):
        return f"torch.nn.functional.interpolate({node.tensor(0)}, size={node.numbers(3)}[2:], {how})"
    scales = [float(scale) for scale in node.value(2)]
    if len(scales) != 4 or scales[:2] != [1.0, 1.0]:
        raise UnknownOperator(f"{node.kind} of more than height and width cannot be written in torch")
    scaled = f"scale_factor={scales[2:]}, {how}, recompute_scale_factor=False"
    return f"torch.nn.functional.interpolate({node.tensor(0)}, {scaled})"


def _grid_sample(node: Node) -> str:
    mode = (
        node.expect("mode", "bilinear", "nearest", "linear")
        .replace("linear", "bilinear")
        .replace("bibi", "bi")
    )
    padding = node.expect("padding_mode", "zeros", "border", "reflection")
    corners = bool(node.expect("align_corners", 0, 1))
    x, grid = node.tensors()
    return f"torch.nn.functional.grid_sample({x}, {grid}, '{mode}', '{padding}', {corners})"


# --- along axes ----------------------------------------------------------------------------------------------


def _reduced(call: str) -> Statement:
    def write(node: Node) -> str:
        keep = bool(node.expect("keepdims", 1, 0))
        axes = node.setting("axes") or ([int(axis) for axis in node.value(1)] if node.has(1) else None)
        if axes is None:
            raise UnknownOperator(f"{node.kind} over everything cannot be written in torch")
        return f"{call}({node.tensor(0)}, {axes}, {keep})"

    return write


def _softmax(node: Node) -> str:
    return f"torch.softmax({node.tensor(0)}, {node.setting('axis', -1)})"


def _log_softmax(node: Node) -> str:
    return f"torch.log_softmax({node.tensor(0)}, {node.setting('axis', -1)})"


def _sum_so_far(node: Node) -> str:
    for name in ("exclusive", "reverse"):
        node.expect(name, 0)
    return f"torch.cumsum({node.tensor(0)}, {int(node.value(1))})"


def _top_k(node: Node) -> str:
    count, axis = int(node.value(1).item()), node.setting("axis", -1)
    largest, ordered = bool(node.expect("largest", 1, 0)), bool(node.expect("sorted", 1))
    return f"torch.topk({node.tensor(0)}, {count}, {axis}, {largest}, {ordered})"


def _concat(node: Node) -> str:
    return f"torch.cat([{', '.join(node.tensors())}], {node.setting('axis')})"


def _gather(node: Node) -> str:
    x, axis = node.tensor(0), node.setting("axis", 0)
    if node.is_number(1):
        return f"torch.select({x}, {axis}, {int(node.value(1))})"
    return f"functions.gathered({x}, {node.tensor(1)}, {axis})"


def _slice(node: Node) -> str:
    starts, ends = node.numbers(1), node.numbers(2)
    axes = node.numbers(3) if node.has(3) else str(list(range(node.value(1).size)))
    steps = node.numbers(4) if node.has(4) else f"[1 for _ in {axes}]"
    return f"functions.sliced({node.tensor(0)}, {starts}, {ends}, {axes}, {steps})"


def _transpose(node: Node) -> str:
    return f"{node.tensor(0)}.permute({node.setting('perm')})"


def _unsqueeze(node: Node) -> str:
    axes = sorted(int(axis) for axis in node.value(1))
    if len(axes) > 1 and axes[0] < 0:
        raise UnknownOperator(f"{node.kind} at several axes from the end cannot be written in torch")
    return node.tensor(0) + "".join(f".unsqueeze({axis})" for axis in axes)


# --- shapes --------------------------------------------------------------------------------------------------


def _reshape(node: Node) -> str:
    node.expect("allowzero", 0)
    return f"functions.reshaped({node.tensor(0)}, {node.numbers(1)})"


def _expand(node: Node) -> str:
    return f"functions.expanded({node.tensor(0)}, {node.numbers(1)})"


def _tile(node: Node) -> str:
    return f"{node.tensor(0)}.repeat({node.numbers(1)})"


def _flatten(node: Node) -> str:
    return f"functions.flattened({node.tensor(0)}, {node.setting('axis', 1)})"


def _filled(node: Node) -> str:
    stored = node.setting("value")
    value: Any = 0.0 if stored is None else numpy_helper.to_array(stored).item()
    dtype = "torch.float32" if stored is None else _dtype(node, stored.data_type)
    return f"torch.full({node.numbers(0)}, {value!r}, dtype={dtype})"


# --- numbers -------------------------------------------------------------------------------------------------


def _cast(node: Node) -> str:
    return f"{node.tensor(0)}.to({_dtype(node, node.setting('to'))})"


def _dtype(node: Node, kind: int) -> str:
    if kind not in _DTYPES:
        raise UnknownOperator(f"{node.kind} to ONNX's type {kind} cannot be written in torch")
    return _DTYPES[kind]


def _clip(node: Node) -> str:
    low, high = (repr(node.value(index).item()) if node.has(index) else "None" for index in (1, 2))
    return f"torch.clamp({node.tensor(0)}, {low}, {high})"


def _gather_elements(node: Node) -> str:
    values, places = node.tensors()
    return f"torch.gather({values}, {node.setting('axis', 0)}, {places})"


def _mod(node: Node) -> str:
    node.expect("fmod", 0)
    return "torch.remainder({}, {})".format(*node.tensors())


_OPERATORS: dict[str, Statement] = {
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": _concat,
    "ConstantOfShape": _filled,
    "Conv": _conv,
    "ConvTranspose": _conv_transposed,
    "CumSum": _sum_so_far,
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "Gemm": _gemm,
    "GridSample": _grid_sample,
    "InstanceNormalization": _instance_norm,
    "LogSoftmax": _log_softmax,
    "MatMul": _mat_mul,
    "MaxPool": _max_pool,
    "Mod": _mod,
    "Pad": _pad,
    "ReduceLogSumExp": _reduced("torch.logsumexp"),
    "ReduceMax": _reduced("torch.amax"),
    "ReduceMean": _reduced("torch.mean"),
    "ReduceMin": _reduced("torch.amin"),
    "ReduceSum": _reduced("torch.sum"),
    "Reshape": _reshape,
    "Resize": _resize,
    "Slice": _slice,
    "Softmax": _softmax,
    "Tile": _tile,
    "TopK": _top_k,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}

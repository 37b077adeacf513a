"""ONNX's operators as TorchScript compiles them: what a converted program calls.

Only what torch has no single call for stands here. Every function follows ONNX's own definition (operator set 17)
where that differs from torch's.
"""

from __future__ import annotations

import torch
from torch import Tensor


def numbers(sizes: Tensor) -> list[int]:
    """A tensor of whole numbers, N, as the list that torch's calls want."""
    found: list[int] = sizes.tolist()
    return found


def shape_of(x: Tensor) -> Tensor:
    """int64, one entry a dimension, on the CPU: sizes are reckoned there, whatever `x` is on."""
    return torch.tensor(x.shape, dtype=torch.int64)


def divided(x: Tensor, by: Tensor) -> Tensor:
    """Whole numbers stay whole, rounded towards zero."""
    if x.is_floating_point():
        return torch.div(x, by)
    return torch.div(x, by, rounding_mode="trunc")


def reshaped(x: Tensor, shape: list[int]) -> Tensor:
    """0 in `shape` keeps `x`'s own size there, -1 takes what is left."""
    wanted: list[int] = []
    for axis, size in enumerate(shape):
        wanted.append(x.size(axis) if size == 0 else size)
    return x.reshape(wanted)


def expanded(x: Tensor, shape: list[int]) -> Tensor:
    """Broadcast both ways: a size of 1 in `shape` keeps `x`'s own."""
    missing = len(shape) - x.dim()
    wanted: list[int] = []
    for axis, size in enumerate(shape):
        own = x.size(axis - missing) if axis >= missing else 1
        wanted.append(own if size == 1 else size)
    return x.expand(wanted)


def flattened(x: Tensor, axis: int) -> Tensor:
    """Two dimensions: those before `axis`, and the others."""
    rows = 1
    for index in range(axis):
        rows *= x.size(index)
    return x.reshape(rows, -1)


def gathered(x: Tensor, index: Tensor, axis: int) -> Tensor:
    """`x` along `axis` at `index` of any shape; negative ones count from the end."""
    at = axis if axis >= 0 else axis + x.dim()
    places = torch.where(index < 0, index + x.size(at), index)
    shape = x.shape[:at] + index.shape + x.shape[at + 1 :]
    return torch.index_select(x, at, places.reshape(-1)).reshape(shape)


def sliced(x: Tensor, starts: list[int], ends: list[int], axes: list[int], steps: list[int]) -> Tensor:
    """As Python slices; a step of -1 must take the whole axis, backwards."""
    for start, end, axis, step in zip(starts, ends, axes, steps):  # noqa: B905  (TorchScript has no `strict`)
        if step > 0:
            x = torch.ops.aten.slice(x, axis, start, end, step)
        else:
            assert step == -1 and start == -1 and end < -x.size(axis), "only a whole axis is turned round"
            x = x.flip(axis)
    return x


def convolved(
    x: Tensor, weight: Tensor, bias: Tensor | None, strides: list[int], pads: list[int], dilations: list[int],
    groups: int,
) -> Tensor:  # fmt: skip
    """N×C×H×W; `pads` top, left, bottom, right."""
    top, left, bottom, right = pads[0], pads[1], pads[2], pads[3]
    if top == bottom and left == right:
        return torch.conv2d(x, weight, bias, strides, [top, left], dilations, groups)
    wide = torch.nn.functional.pad(x, [left, right, top, bottom])
    return torch.conv2d(wide, weight, bias, strides, [0, 0], dilations, groups)

"""From a fitted network to what is served: an ONNX file, and what the network itself answered."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from inference.runtime.answer import MOST_BY_ROUNDING, RecordedAnswer, record
from inference.runtime.onnx_session import SHAPES, OnnxForward
from inference.runtime.torch_forward import KEEP_FULL_BELOW
from inference.training.graph import fold_padding

THRESHOLDS = "thresholds.json"
#: What git takes of one version; history keeps every one.
MAX_WEIGHTS_BYTES = 20 * 1024 * 1024

logger = logging.getLogger(__name__)


def export_onnx(
    network: nn.Module, examples: Sequence[Tensor], outputs: Sequence[str], path: Path, *, exact: bool = False
) -> RecordedAnswer:
    """Write `network` as ONNX: input `input` (uint8, any batch, otherwise shaped as one of `examples`), `outputs` in
    the order of its tuple. Where there are several examples, they and all maps differ in height and width only.

    Weights are stored as float16 and widened when the session is made, so arithmetic stays float32; as float32 where
    rounding them would move the recorded answer by `MOST_BY_ROUNDING` or more. Where float32 would be larger than a
    file may be, float16 stays and the answer says by how much it moved. `exact` asks for float32 wherever the file may
    be that large: trees and neighbours answer by leaps, which one recorded input does not show.

    Returns
    -------
    RecordedAnswer
        What `network` says to the seeded input of each shape, for `answer.json`.

    Raises
    ------
    ValueError
        The file would be larger than a model may be, or answers otherwise than `network`.
    """
    unfinished = path.with_suffix(".new")
    network.eval()
    example = examples[0]
    free = {name: {0: "batch"} for name in ("input", *outputs)}
    if len(examples) > 1:
        with torch.no_grad():
            maps = [name for name, value in zip(outputs, network(example), strict=True) if value.ndim == 4]
        free |= {name: {0: "batch", 2: f"{name} height", 3: f"{name} width"} for name in ("input", *maps)}
    with warnings.catch_warnings():
        # The exporter that follows needs a package of its own; this one is deprecated and says so at length.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, (example,), str(unfinished), input_names=["input"], output_names=list(outputs),
            dynamic_axes=free, opset_version=17, dynamo=False,
        )  # fmt: skip
    whole = onnx.load(str(unfinished))
    fold_padding(whole)
    shapes = [[None, *each.shape[1:]] for each in examples]
    helper.set_model_props(whole, {SHAPES: json.dumps(shapes)})
    answer = record(
        _answers(network, outputs), tuple(tuple(shape) for shape in shapes), "the trained network, float32"
    )
    moved = math.inf
    if not exact or whole.ByteSize() > MAX_WEIGHTS_BYTES:
        halved = onnx.ModelProto.FromString(whole.SerializeToString())
        _halve_weights(halved)
        moved = _written(halved, unfinished, answer)
    if moved >= MOST_BY_ROUNDING and whole.ByteSize() > MAX_WEIGHTS_BYTES:
        logger.warning(
            "%s has float16 weights although they move its answer by %.2g: in float32 it would have %d bytes",
            path.name, moved, whole.ByteSize(),
        )  # fmt: skip
        answer = answer.model_copy(update={"moved_by_rounding": moved, "tolerance": answer.tolerance + moved})
    elif moved >= MOST_BY_ROUNDING:
        if not exact:
            logger.info("%s keeps float32: rounded weights would move its answer by %.2g", path.name, moved)
        off = _written(whole, unfinished, answer)
        if off > answer.tolerance:
            raise ValueError(f"{path.name} answers otherwise than the network that was trained: by {off:.2g}")
    if unfinished.stat().st_size > MAX_WEIGHTS_BYTES:
        size = unfinished.stat().st_size
        raise ValueError(f"{path.name} would have {size} bytes, more than {MAX_WEIGHTS_BYTES}")
    unfinished.replace(path)
    return answer


def _answers(
    network: nn.Module, outputs: Sequence[str]
) -> Callable[[NDArray[np.uint8]], dict[str, NDArray[Any]]]:
    def answers(given: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        with torch.no_grad():
            said = network(torch.from_numpy(given))
        return {name: values.float().numpy() for name, values in zip(outputs, said, strict=True)}

    return answers


def _written(graph: onnx.ModelProto, path: Path, answer: RecordedAnswer) -> float:
    """Save `graph`; by how much its answer differs from the recorded one."""
    onnx.checker.check_model(graph)
    onnx.save(graph, str(path))
    return answer.deviation(OnnxForward(path))[0]


def _halve_weights(model: onnx.ModelProto) -> None:
    casts = []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < KEEP_FULL_BELOW or np.abs(values).max() > 6e4:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
    for node in reversed(casts):
        model.graph.node.insert(0, node)


def preprocessing_sha256(preprocessing: dict[str, object]) -> str:
    """Digest of the preprocessing's description in canonical JSON."""
    return hashlib.sha256(json.dumps(preprocessing, sort_keys=True).encode()).hexdigest()


def parameter_count(network: nn.Module) -> int:
    """Trainable and frozen."""
    return sum(parameter.numel() for parameter in network.parameters())

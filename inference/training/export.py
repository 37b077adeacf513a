"""From a fitted network to what is served: an ONNX file, and what the network itself answered."""

from __future__ import annotations

import hashlib
import json
import logging
import warnings
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from inference.runtime.answer import MOST_BY_ROUNDING, TOLERANCE, Network, RecordedAnswer, record
from inference.runtime.forward import Shapes
from inference.runtime.onnx_session import SHAPES, OnnxForward
from inference.runtime.torch_forward import KEEP_FULL_BELOW
from inference.training.graph import fold_padding, reached

THRESHOLDS = "thresholds.json"
#: 20 MB is what git takes of one version (history keeps every one), whichever megabyte is meant.
MAX_WEIGHTS_BYTES = 20_000_000
#: By how much rounding may move the answer of what is too large for float32: a logit so far off is half a percent.
MOST_MOVED = 0.02
_INPUTS_TRIED = 5
_HALF_HOLDS = 6e4

logger = logging.getLogger(__name__)


def export_onnx(
    network: nn.Module, examples: Sequence[Tensor], outputs: Sequence[str], path: Path, *, exact: bool = False,
    compared: bool = False,
) -> RecordedAnswer:  # fmt: skip
    """Write `network` as ONNX: input `input` (uint8, any batch, otherwise shaped as one of `examples`), `outputs` in
    the order of its tuple. Where there are several examples, they and all maps differ in height and width only.

    Weights are stored as float16 and widened when the session is made, so arithmetic stays float32; as float32 where
    rounding them would move the recorded answer by `MOST_BY_ROUNDING` or more. Where all in float32 would be larger
    than a file may be, as many are as fit, first those of what moves, and the answer says by how much it still moves.
    `exact` asks for float32 wherever the file may be that large: trees and neighbours answer by leaps, which one
    recorded input does not show. `compared`: it is served nowhere, so that it stays float32 however large it is.

    Returns
    -------
    RecordedAnswer
        What `network` says to the seeded input of each shape, for `answer.json`.

    Raises
    ------
    ValueError
        The file would be larger than a model may be, or answers otherwise than `network`; or it would have to be
        rounded, and that would move its answer by `MOST_MOVED` or more.
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
    shapes = tuple((None, *each.shape[1:]) for each in examples)
    helper.set_model_props(whole, {SHAPES: json.dumps(shapes)})
    answer = _recorded(_answers(network, outputs), shapes, whole, unfinished)
    if not compared:
        answer = _stored(whole, unfinished, answer, exact=exact)
    unfinished.replace(path)
    return answer


def _recorded(network: Network, shapes: Shapes, whole: onnx.ModelProto, path: Path) -> RecordedAnswer:
    """What `network` says, to an input that `whole` answers alike. Where two places of noise are nearly alike, which of
    them comes first hangs on the order of a sum: then another input is asked.

    Raises
    ------
    ValueError
        `whole` answers none of them alike.
    """
    for seed in range(_INPUTS_TRIED):
        answer = record(network, shapes, "the trained network, float32", seed)
        off, output = _written(whole, path, answer)
        if off <= answer.tolerance:
            return answer
    raise ValueError(
        f"{path.stem} answers otherwise than the network that was trained: {output} by {off:.2g} of {TOLERANCE:g}"
    )


def _stored(whole: onnx.ModelProto, path: Path, answer: RecordedAnswer, *, exact: bool) -> RecordedAnswer:
    """Write `whole` as `export_onnx` says."""
    fits = whole.ByteSize() <= MAX_WEIGHTS_BYTES
    if exact and fits:
        return answer
    moved, output = _written(_halved(whole, frozenset()), path, answer)
    if moved >= MOST_BY_ROUNDING and fits:
        logger.info("%s keeps float32: rounded, its %s would move by %.2g", path.stem, output, moved)
        _written(whole, path, answer)
    elif moved >= MOST_BY_ROUNDING:
        kept = _most_that_fit(whole, output)
        moved, output = _written(_halved(whole, kept), path, answer)
        if moved >= MOST_MOVED:
            raise ValueError(
                f"{path.stem} cannot be kept in {MAX_WEIGHTS_BYTES} bytes: with {len(kept)} of its weights in float32, "
                f"which is what fits, rounding still moves its {output} by {moved:.2g}, where {MOST_MOVED:g} is allowed"
            )
        answer = answer.model_copy(update={"moved_by_rounding": moved, "tolerance": answer.tolerance + moved})
    if path.stat().st_size > MAX_WEIGHTS_BYTES:
        raise ValueError(f"{path.stem} would have {path.stat().st_size} bytes, more than {MAX_WEIGHTS_BYTES}")
    return answer


def _answers(network: nn.Module, outputs: Sequence[str]) -> Network:
    def answers(given: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        with torch.no_grad():
            said = network(torch.from_numpy(given))
        return {name: values.float().numpy() for name, values in zip(outputs, said, strict=True)}

    return answers


def _written(graph: onnx.ModelProto, path: Path, answer: RecordedAnswer) -> tuple[float, str]:
    """Save `graph`; by how much its answer differs from the recorded one, and in which output."""
    onnx.checker.check_model(graph)
    onnx.save(graph, str(path))
    return answer.deviation(OnnxForward(path))


def _halved(whole: onnx.ModelProto, kept: AbstractSet[str]) -> onnx.ModelProto:
    """The same with float16 weights, but for those named in `kept`."""
    model = onnx.ModelProto()
    model.CopyFrom(whole)
    casts = []
    for tensor in model.graph.initializer:
        if tensor.name in kept or not _can_be_halved(tensor):
            continue
        name, values = tensor.name, numpy_helper.to_array(tensor)
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
    for node in reversed(casts):
        model.graph.node.insert(0, node)
    return model


def _can_be_halved(tensor: TensorProto) -> bool:
    values = numpy_helper.to_array(tensor)
    return bool(
        values.dtype == np.float32 and values.size >= KEEP_FULL_BELOW and np.abs(values).max() <= _HALF_HOLDS
    )


def _most_that_fit(whole: onnx.ModelProto, moved: str) -> frozenset[str]:
    """As many weights as fit in float32 beside the others in float16: first those that the output `moved` is made of,
    the smallest before the larger, since each layer's rounding moves an answer about alike."""
    above = reached(whole.graph, moved)
    halves = [tensor for tensor in whole.graph.initializer if _can_be_halved(tensor)]
    room = MAX_WEIGHTS_BYTES - _halved(whole, frozenset()).ByteSize()
    kept = set()
    for tensor in sorted(halves, key=lambda each: (each.name not in above, np.prod(each.dims))):
        room -= 2 * int(np.prod(tensor.dims))
        if room < 0:
            break
        kept.add(tensor.name)
    return frozenset(kept)


def preprocessing_sha256(preprocessing: dict[str, object]) -> str:
    """Digest of the preprocessing's description in canonical JSON."""
    return hashlib.sha256(json.dumps(preprocessing, sort_keys=True).encode()).hexdigest()


def parameter_count(network: nn.Module) -> int:
    """Trainable and frozen."""
    return sum(parameter.numel() for parameter in network.parameters())

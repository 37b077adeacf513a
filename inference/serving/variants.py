"""Other files of the same weights: int8 for the CPU, TorchScript for CUDA. Each is checked, and kept only then.

`variants.json` beside `model.onnx` says what was tried, what it measured and which file was kept. What is
served is `model.onnx` (float16 weights, float32 arithmetic) unless a GPU or an operator asks for a variant.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from inference.contract import ContractModel, ModelManifest, Sha256
from inference.serving.forward import Forward, ForwardOutput
from inference.serving.onnx_session import OnnxForward
from inference.serving.store import DEFAULT_STORE, StoreError, file_sha256, verified_weights, version_folder

LIST = "variants.json"
MAX_AUC_DROP = 0.01
Kind = Literal["int8", "torch"]
FILES: dict[Kind, str] = {
    "int8": "model.int8.onnx",
    "torch": "model.pt",
}
#: What int8 is written for; the rest of the graph stays as it is.
_QUANTISED = ["Conv", "Gemm", "MatMul", "Add"]
_TIMED = 8

#: The AUC of every question that the model answers, by the question's name.
Judge = Callable[[Forward], Mapping[str, float]]


class Variant(ContractModel):
    """One file that was tried. `auc_drop` is that of the question that lost most; `relative_speed` above 1 is
    faster than `model.onnx`, both timed in turns on one thread; None for what runs elsewhere."""

    kind: Kind
    file: str
    sha256: Sha256
    size_bytes: int
    auc: dict[str, float]
    auc_drop: float
    relative_speed: float | None
    kept: bool


class VariantList(ContractModel):
    """`variants.json`. Says nothing once `model.onnx` has other bytes than `weights_sha256`."""

    weights_sha256: Sha256
    size_bytes: int
    auc: dict[str, float]
    variants: tuple[Variant, ...]


def read_variants(manifest: ModelManifest, store: Path = DEFAULT_STORE) -> VariantList | None:
    """What was tried with exactly the manifest's weights; None where nothing was.

    Raises:
        StoreError: a list that this module did not write.
    """
    path = version_folder(manifest, store) / LIST
    if not path.is_file():
        return None
    try:
        found = VariantList.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise StoreError(f"{LIST} of {manifest.name} is invalid: {error.error_count()} errors") from error
    return found if found.weights_sha256 == manifest.weights.sha256 else None


def verified_variant(kind: Kind, manifest: ModelManifest, store: Path = DEFAULT_STORE) -> Path | None:
    """The kept file of a kind after its hash was compared; None where there is none for these weights.

    Raises:
        StoreError: the file is missing or has other bytes.
    """
    listed = read_variants(manifest, store)
    for variant in listed.variants if listed is not None else ():
        if variant.kind == kind and variant.kept:
            path = version_folder(manifest, store) / variant.file
            if not path.is_file() or file_sha256(path) != variant.sha256:
                raise StoreError(f"{variant.file} of {manifest.name} is not what {LIST} says")
            return path
    return None


def try_variants(
    manifest: ModelManifest, store: Path, inputs: Sequence[NDArray[np.uint8]], judge: Judge
) -> VariantList:
    """Write an int8 file beside `model.onnx`, and take a `model.pt` that lies there into the list; each is
    judged against `model.onnx` and removed where an AUC drops by more than `MAX_AUC_DROP`.

    Parameters:
        inputs: tensors as the pipeline makes them of training images; the ranges of int8 come from them.
        judge: AUCs of a forward, on images that were not trained on.

    Raises:
        StoreError: `model.onnx` is not that of the manifest, or there was nothing to judge it by.
    """
    weights = verified_weights(manifest, store)
    base = OnnxForward(weights)
    before = dict(judge(base))
    if not before:
        raise StoreError(
            f"the images show no difference that {manifest.name} could find: nothing to judge by"
        )
    quantise(weights, weights.with_name(FILES["int8"]), inputs)
    tried: list[Variant] = []
    for kind, name in FILES.items():
        path = weights.with_name(name)
        if not path.is_file():
            continue
        forward = _forward_of(kind, path)
        after = dict(judge(forward))
        drop = round(max(before[question] - after[question] for question in before), 4)
        tried.append(
            Variant(
                kind=kind,
                file=name,
                sha256=file_sha256(path),
                size_bytes=path.stat().st_size,
                auc={question: round(value, 4) for question, value in after.items()},
                auc_drop=drop,
                relative_speed=None if kind == "torch" else round(_speed(base, forward, inputs), 2),
                kept=drop <= MAX_AUC_DROP,
            )
        )
        if not tried[-1].kept:
            path.unlink()
    found = VariantList(
        weights_sha256=manifest.weights.sha256,
        size_bytes=weights.stat().st_size,
        auc={question: round(value, 4) for question, value in before.items()},
        variants=tuple(tried),
    )
    (weights.parent / LIST).write_text(found.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return found


def quantise(weights: Path, target: Path, inputs: Sequence[NDArray[np.uint8]]) -> None:
    """Static int8: weights a channel, activations by their ranges over `inputs` (at least one). Ranges that are
    measured anew at every call (dynamic int8) made convolutions three times slower than float32."""
    from onnxruntime import quantization

    class Inputs(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self._left = iter(inputs)

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            tensor = next(self._left, None)
            return None if tensor is None else {"input": tensor}

    with tempfile.TemporaryDirectory(prefix="cad-int8-") as folder:
        wide = Path(folder) / "wide.onnx"
        _widen(weights, wide)
        unfinished = Path(folder) / "int8.onnx"
        quantization.quantize_static(
            str(wide),
            str(unfinished),
            Inputs(),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            # Processors without VNNI saturate sums of two products of 8 bits; 7 bits do not.
            reduce_range=True,
            weight_type=quantization.QuantType.QInt8,
            activation_type=quantization.QuantType.QUInt8,
            op_types_to_quantize=_QUANTISED,
        )
        _put(unfinished, target, weights)


class Recording:
    """A `Forward` that keeps up to `most` of the tensors that a pipeline sends: what int8 is fitted to."""

    def __init__(self, forward: Forward, most: int) -> None:
        self.tensors: list[NDArray[np.uint8]] = []
        self._forward, self._most = forward, most

    def __call__(self, tensor: NDArray[Any], /) -> ForwardOutput:
        """See `serving.forward.Forward`."""
        if len(self.tensors) < self._most:
            self.tensors.append(tensor[:1].copy())
        return self._forward(tensor)


def _forward_of(kind: Kind, path: Path) -> Forward:
    if kind == "torch":
        from inference.serving.torch_forward import TorchForward

        return TorchForward(path, "cpu")
    return OnnxForward(path)


def _widen(weights: Path, target: Path) -> None:
    """float16 weights as float32, constants folded: the quantiser looks for plain weights."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target)
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(weights), sess_options=options, providers=["CPUExecutionProvider"])


def _speed(base: Forward, other: Forward, inputs: Sequence[NDArray[np.uint8]]) -> float:
    """How many times faster `other` is, from processor time, the two in turns: other work on the machine
    slows both."""

    def took(forward: Forward, tensor: NDArray[np.uint8]) -> float:
        begun = time.thread_time()
        forward(tensor)
        return time.thread_time() - begun

    chosen = [inputs[index % len(inputs)] for index in range(_TIMED)]
    for forward in (base, other):
        forward(chosen[0])
    return float(np.median([took(base, tensor) / max(took(other, tensor), 1e-9) for tensor in chosen]))


def _put(made: Path, target: Path, weights: Path) -> None:
    """`made` as `target`, with what `weights` says of itself: quantising loses it."""
    import onnx

    graph = onnx.load(str(made))
    stated = {entry.key: entry.value for entry in onnx.load(str(weights)).metadata_props}
    onnx.helper.set_model_props(graph, stated)
    unfinished = target.with_suffix(".new")
    onnx.save(graph, str(unfinished))
    unfinished.replace(target)

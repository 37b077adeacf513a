"""The network in this process: ONNX Runtime on the CPU, one thread, so that workers scale by processes."""

from __future__ import annotations

import json
import math
import time
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from imaging.digest import sha256_of
from inference.runtime.forward import ForwardOutput, Shapes, check_input
from inference.runtime.heap import own_heap

#: The metadata entry in which a file says what shapes it takes, where that is more than the graph can say.
SHAPES = "shapes"
#: The file of a version that every server can run.
WEIGHTS = "model.onnx"
#: Numbers of one input: a megapixel is above it, 224 × 224 is below.
_MUCH = 2**18


class OnnxForward:
    """A `Forward` over one `model.onnx`. Safe to call from several threads."""

    #: Eight small fields together take a quarter less time a field; whole frames take more, because their maps no
    #: longer fit the processor's cache.
    bytes_together = 64 * 1024

    def __init__(self, weights: Path) -> None:
        self._weights = weights
        heap = own_heap()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3
        # The heap keeps a pass's memory for the next one, and can give it back; the arena, which is a little quicker,
        # never does. What shapes a network takes is known when it is open: small ones, quick to open, are opened twice.
        options.enable_cpu_mem_arena = options.enable_mem_pattern = heap is None
        self.session = _session(weights, options)
        entry = self.session.get_inputs()[0]
        self._input: str = entry.name
        stated = self.session.get_modelmeta().custom_metadata_map.get(SHAPES)
        own = [n if isinstance(n, int) else None for n in entry.shape]
        self.shapes: Shapes = tuple(tuple(shape) for shape in (json.loads(stated) if stated else [own]))
        self._outputs = [output.name for output in self.session.get_outputs()]
        large = max(math.prod(n or 1 for n in shape) for shape in self.shapes) > _MUCH
        self._heap = heap if large else None
        if heap is not None and not large:
            options.enable_cpu_mem_arena = options.enable_mem_pattern = True
            self.session = _session(weights, options)
        if heap is not None:
            heap.give_back()  # what reading the graph took

    @cached_property
    def sha256(self) -> str:
        """Of the weights' file."""
        return sha256_of(self._weights)

    def __call__(self, tensor: NDArray[Any], /) -> ForwardOutput:
        """`tensor`: uint8 of one of `shapes`.

        Raises
        ------
        ValueError
            Another dtype or shape.
        """
        check_input(tensor, self.shapes)
        begun = time.perf_counter()
        answers = self.session.run(self._outputs, {self._input: tensor})
        model_ms = (time.perf_counter() - begun) * 1000
        if self._heap is not None:
            self._heap.note_use()
        named = {name: np.asarray(a, np.float32) for name, a in zip(self._outputs, answers, strict=True)}
        return ForwardOutput(named, model_ms)


def _session(weights: Path, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])

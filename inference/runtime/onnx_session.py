"""The network in this process: ONNX Runtime on the CPU, one thread, so that workers scale by processes."""

from __future__ import annotations

import contextlib
import ctypes
import json
import time
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from imaging.digest import sha256_of
from inference.runtime.forward import ForwardOutput, Shapes, check_input

#: The metadata entry in which a file says what shapes it takes, where that is more than the graph can say.
SHAPES = "shapes"
#: The file of a version that every server can run.
WEIGHTS = "model.onnx"


class OnnxForward:
    """A `Forward` over one `model.onnx`. Safe to call from several threads."""

    def __init__(self, weights: Path) -> None:
        self._weights = weights
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(
            str(weights), sess_options=options, providers=["CPUExecutionProvider"]
        )
        _give_memory_back()
        entry = self.session.get_inputs()[0]
        self._input: str = entry.name
        stated = self.session.get_modelmeta().custom_metadata_map.get(SHAPES)
        own = [n if isinstance(n, int) else None for n in entry.shape]
        self.shapes: Shapes = tuple(tuple(shape) for shape in (json.loads(stated) if stated else [own]))
        self._outputs = [output.name for output in self.session.get_outputs()]
        # A pass over a mammogram takes 280 MB, which would be kept for the next one: given back, at no cost in time.
        self._run_options = onnxruntime.RunOptions()
        self._run_options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")

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
        answers = self.session.run(self._outputs, {self._input: tensor}, self._run_options)
        model_ms = (time.perf_counter() - begun) * 1000
        named = {name: np.asarray(a, np.float32) for name, a in zip(self._outputs, answers, strict=True)}
        return ForwardOutput(named, model_ms)


def _give_memory_back() -> None:
    """What reading a graph took (40 MB of 80) and the allocator keeps; of glibc, other systems do without."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)

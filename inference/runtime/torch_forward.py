"""The network as a TorchScript file, `model.pt`: for CUDA, with the answers of `model.onnx` beside it.

The file holds the graph, the names of its outputs and the weights. Those that float16 holds exactly are stored so and
widened when it is loaded: arithmetic is float32.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imaging.digest import sha256_of
from inference.runtime.forward import ForwardOutput, Shapes, check_input
from inference.runtime.onnx_session import OnnxForward

if TYPE_CHECKING:
    import torch
    from torch import nn

FILE = "model.pt"
_DESCRIPTION = "description.json"
#: Bytes of inputs passed at once on a graphics card: eight mammograms, which is what TorchServe collects.
TOGETHER_ON_GPU = 8 * 2**20
#: Tensors of fewer values stay float32 in a file; others may be stored as float16.
KEEP_FULL_BELOW = 256


@dataclass(frozen=True)
class Stored:
    """A file's network, its weights widened to float32, the names of its outputs in order, and what it takes."""

    network: nn.Module
    outputs: tuple[str, ...]
    shapes: Shapes


def save(network: torch.jit.ScriptModule, outputs: Sequence[str], shapes: Shapes, path: Path) -> None:
    """Write `network`, which takes uint8 of one of `shapes` and answers with a tuple in the order of `outputs`. Its
    weights may be float16 afterwards."""
    import torch

    for tensor in _floats(network):
        half = tensor.half()
        if tensor.numel() >= KEEP_FULL_BELOW and torch.equal(half.float(), tensor):
            tensor.data = half
    described = json.dumps({"outputs": list(outputs), "shapes": [list(shape) for shape in shapes]})
    unfinished = path.with_suffix(".new")
    with warnings.catch_warnings():
        # torch would rather have torch.export, which takes ten times as long and fixes the device.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(network, str(unfinished), _extra_files={_DESCRIPTION: described})
    unfinished.replace(path)


def load(path: Path, device: str = "cpu") -> Stored:
    """A file of `save` on `device` (`cuda:0`, `cpu`).

    Raises
    ------
    RuntimeError
        The file is no TorchScript, or the device is not there.
    """
    import torch

    files = {_DESCRIPTION: ""}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        network: nn.Module = torch.jit.load(str(path), map_location=torch.device(device), _extra_files=files)
    for tensor in _floats(network):
        tensor.data = tensor.data.float()
    described = json.loads(files[_DESCRIPTION])
    shapes: Shapes = tuple(tuple(shape) for shape in described["shapes"])
    return Stored(network.eval(), tuple(described["outputs"]), shapes)


class TorchForward:
    """A `Forward` over one `model.pt` on `device` (`cuda:0`, `cpu`).

    Raises
    ------
    RuntimeError
        The file is no TorchScript, or the device is not there.
    """

    def __init__(self, weights: Path, device: str) -> None:
        import torch

        self._torch = torch
        self._weights = weights
        self._device = torch.device(device)
        stored = load(weights, device)
        self._network, self._outputs, self.shapes = stored.network, stored.outputs, stored.shapes
        self.bytes_together = TOGETHER_ON_GPU if self._device.type == "cuda" else OnnxForward.bytes_together
        if self._device.type == "cuda":
            # TF32 would cost three digits, and both kinds of server must answer alike.
            torch.backends.cuda.matmul.allow_tf32 = False
            torch.backends.cudnn.allow_tf32 = False

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
        MemoryError
            The device has not the memory for so many at once.
        """
        check_input(tensor, self.shapes)
        begun = time.perf_counter()
        try:
            with self._torch.inference_mode():
                # A copy: what came over the wire is read-only.
                answers = self._network(self._torch.from_numpy(np.array(tensor)).to(self._device))
                arrays = [answer.float().cpu().numpy() for answer in answers]
        except self._torch.OutOfMemoryError as error:
            # What the attempt had taken lies in torch's own cache, and other workers share the card.
            self._torch.cuda.empty_cache()
            raise MemoryError(f"the graphics card has no memory for {len(tensor)} at once") from error
        model_ms = (time.perf_counter() - begun) * 1000
        return ForwardOutput(dict(zip(self._outputs, arrays, strict=True)), model_ms)


def cuda_is_there() -> bool:
    """Whether this torch sees a GPU."""
    import torch

    return torch.cuda.is_available()


def _floats(network: nn.Module | torch.jit.ScriptModule) -> list[torch.Tensor]:
    return [tensor for tensor in [*network.parameters(), *network.buffers()] if tensor.is_floating_point()]

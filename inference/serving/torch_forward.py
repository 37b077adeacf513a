"""The network as a TorchScript file, `model.pt`: for CUDA, with the answers of `model.onnx` beside it.

Only this module and training import torch. The file holds the graph, the names of its outputs and weights in
float16, widened when it is loaded, exactly as the ONNX file does: arithmetic is float32 in both.
"""

from __future__ import annotations

import copy
import json
import time
import warnings
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inference.serving.forward import ForwardOutput, Shapes, check_input

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

FILE = "model.pt"
_DESCRIPTION = "description.json"
#: As in `training.export`: small tensors stay whole, and so does what float16 cannot hold.
_KEEP_FULL_BELOW, _LARGEST_HALF = 256, 6e4
_SAME_WITHIN = 1e-3
MAX_BYTES = 20 * 1024 * 1024


def export_torch(network: nn.Module, examples: Sequence[Tensor], outputs: Sequence[str], path: Path) -> None:
    """Write `network` as TorchScript: input uint8 of any batch, otherwise shaped as one of `examples`; `outputs` in
    the order of its tuple.

    Batch norms are folded into the convolutions before them, so that float16 rounds the same weights as in
    the ONNX file.

    Raises:
        ValueError: the folded network answers an example otherwise than `network` does, or the file would be
            larger than a model may be.
    """
    import torch

    whole = copy.deepcopy(network).cpu().eval()
    folded = copy.deepcopy(whole)
    _fold_norms(folded)
    with torch.no_grad(), warnings.catch_warnings():
        # torch would rather have torch.export, which takes ten times as long and fixes the device.
        warnings.simplefilter("ignore", DeprecationWarning)
        traced = torch.jit.trace(folded, (examples[0],), check_trace=False)
        for example in examples:
            for mine, theirs in zip(traced(example), whole(example), strict=True):
                if not torch.allclose(mine, theirs, rtol=_SAME_WITHIN, atol=_SAME_WITHIN):
                    raise ValueError(f"{path.name}: the network with folded batch norms answers differently")
    for tensor in _floats(traced):
        if tensor.numel() >= _KEEP_FULL_BELOW and tensor.abs().max() <= _LARGEST_HALF:
            tensor.data = tensor.data.half()
    shapes = [[None, *example.shape[1:]] for example in examples]
    described = json.dumps({"outputs": list(outputs), "shapes": shapes})
    unfinished = path.with_suffix(".new")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(traced, str(unfinished), _extra_files={_DESCRIPTION: described})
    if unfinished.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path.name} would have {unfinished.stat().st_size} bytes")
    unfinished.replace(path)


class TorchForward:
    """A `Forward` over one `model.pt` on `device` (`cuda:0`, `cpu`).

    Raises:
        RuntimeError: the file is no TorchScript, or the device is not there.
    """

    def __init__(self, weights: Path, device: str) -> None:
        import torch

        self._torch = torch
        self._device = torch.device(device)
        files = {_DESCRIPTION: ""}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            self._network = torch.jit.load(str(weights), map_location=self._device, _extra_files=files)
        for tensor in _floats(self._network):
            tensor.data = tensor.data.float()
        self._network.eval()
        described = json.loads(files[_DESCRIPTION])
        self._outputs: list[str] = described["outputs"]
        self.shapes: Shapes = tuple(tuple(shape) for shape in described["shapes"])
        if self._device.type == "cuda":
            # TF32 would cost three digits, and both kinds of server must answer alike.
            torch.backends.cuda.matmul.allow_tf32 = False
            torch.backends.cudnn.allow_tf32 = False

    def __call__(self, tensor: NDArray[Any], /) -> ForwardOutput:
        """`tensor`: uint8 of one of `shapes`.

        Raises:
            ValueError: another dtype or shape.
        """
        check_input(tensor, self.shapes)
        begun = time.perf_counter()
        with self._torch.inference_mode():
            # A copy: what came over the wire is read-only.
            answers = self._network(self._torch.from_numpy(np.array(tensor)).to(self._device))
            arrays = [answer.float().cpu().numpy() for answer in answers]
        model_ms = (time.perf_counter() - begun) * 1000
        return ForwardOutput(dict(zip(self._outputs, arrays, strict=True)), model_ms)


def cuda_is_there() -> bool:
    """Whether this torch sees a GPU."""
    import torch

    return torch.cuda.is_available()


def _floats(network: nn.Module) -> list[torch.Tensor]:
    return [tensor for tensor in [*network.parameters(), *network.buffers()] if tensor.is_floating_point()]


def _fold_norms(network: nn.Module) -> None:
    """Each batch norm that follows a convolution in its module, into that convolution."""
    from torch import nn
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    for module in network.modules():
        children = list(module.named_children())
        for (name, first), (after, norm) in pairwise(children):
            if (
                isinstance(first, nn.Conv2d)
                and isinstance(norm, nn.BatchNorm2d)
                and first.out_channels == norm.num_features
            ):
                setattr(module, name, fuse_conv_bn_eval(first, norm))
                setattr(module, after, nn.Identity())

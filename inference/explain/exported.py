"""What can be asked of an exported version's network: which methods explain it is seen by asking it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from inference.champions.explained import Reading
from inference.champions.registry import explained_as
from inference.contract import ModelManifest
from inference.explain.check import Network
from inference.explain.network import Answer, through_forward
from inference.runtime.analyse import probe_tensor
from inference.runtime.forward import Forward
from inference.runtime.whole_image.pipeline import MAP


def network_to_check(
    manifest: ModelManifest, forward: Forward, module: tuple[nn.Module, Answer] | None
) -> Network:
    """A version's network with the methods that it has: a map where it puts one out, gradients where its answer has any
    and no step stands before it. `module`: the same network in torch, and as it answers."""
    explained = explained_as(manifest)
    probe = probe_tensor(manifest)
    if explained.through is not None:
        answer, module = through_forward(explained.through(forward)), None
    else:
        answer = through_forward(forward)
    reading = explained.reading
    if MAP not in forward(probe).outputs:
        reading = replace(reading, place=None)
    if module is not None and not _has_gradients(module[1], reading, probe):
        module = None
    served = None if reading.place is None else (manifest, forward)
    return Network(replace(explained, reading=reading), answer, module, served)


def why_no_method(network: Network, manifest: ModelManifest, methods: Sequence[str] | None) -> str:
    """Why the network cannot be checked by one of `methods`; empty where it can."""
    strange = [method for method in methods or () if method not in network.methods]
    if not strange:
        return ""
    return (
        f"{manifest.name} {manifest.version} cannot be explained by {strange[0]}: ask for "
        f"{' or '.join(network.methods)}"
    )


def _has_gradients(answer: Answer, reading: Reading, probe: NDArray[np.uint8]) -> bool:
    """Trees and neighbours have none."""
    image = torch.from_numpy(probe).float().requires_grad_(True)
    odds = reading.log_odds(answer(image))[reading.positive].sum()
    return bool(odds.requires_grad)

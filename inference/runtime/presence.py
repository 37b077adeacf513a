"""Whether a worker is there, without a forward pass: a message that holds no tensor, and what the worker tells of
itself.

It goes the way of a prediction, through the model server and its queue to a worker that has loaded its network. So a
worker that is stopped, stuck or dead does not answer, and one that answers could be given work.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.runtime import wire

#: The one value of the message.
_ASKED = "presence"
#: A worker looks at its own memory at most so often: the kernel walks all of it.
_LOOK_SECONDS = 30.0
_MB = 2**20


@dataclass(frozen=True)
class Presence:
    """What a worker tells: its process, the memory that is its own (pages that it shares count in part), and of its
    graphics card, where it computes on one, the memory that everybody there has taken."""

    pid: int
    memory_mb: int
    gpu: int | None = None
    device_used_mb: int | None = None
    device_total_mb: int | None = None


def question() -> bytes:
    """The message."""
    return wire.encode({}, {_ASKED: 1})


def is_asked(tensors: wire.Tensors, values: Mapping[str, float]) -> bool:
    """Whether a decoded message is the question."""
    return not tensors and _ASKED in values


def read(answer: bytes) -> Presence:
    """What a worker told.

    Raises
    ------
    inference.runtime.wire.WireError
        The bytes are no such answer.
    """
    _, values = wire.decode(answer)
    told = {name: int(value) for name, value in values.items() if name in Presence.__dataclass_fields__}
    if not {"pid", "memory_mb"} <= told.keys():
        raise wire.WireError("the worker does not say who it is")
    return Presence(**told)


class Teller:
    """A worker's side.

    Parameters
    ----------
    gpu
        The graphics card that it computes on; None for a processor.
    """

    def __init__(self, gpu: int | None = None) -> None:
        self._gpu = gpu
        self._answer = b""
        self._looked_at = float("-inf")

    def answer(self) -> bytes:
        """To `question`."""
        if time.monotonic() - self._looked_at >= _LOOK_SECONDS:
            self._answer = wire.encode(
                {}, {"pid": os.getpid(), "memory_mb": own_memory_mb(), **self._device()}
            )
            self._looked_at = time.monotonic()
        return self._answer

    def _device(self) -> dict[str, Any]:
        if self._gpu is None:
            return {}
        import torch

        free, total = torch.cuda.mem_get_info(self._gpu)
        return {
            "gpu": self._gpu,
            "device_used_mb": round((total - free) / _MB),
            "device_total_mb": round(total / _MB),
        }


def own_memory_mb() -> int:
    """Of this process: its proportional share, or all that is resident where the kernel does not tell that."""
    try:
        lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
        return round(sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024)
    except OSError:
        resident = int(Path("/proc/self/statm").read_text().split()[1])
        return round(resident * os.sysconf("SC_PAGE_SIZE") / _MB)

"""The processes that train one network together: those that torchrun started, or this one alone."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import distributed as dist


def world() -> tuple[int, int]:
    """Rank and number of processes; (0, 1) outside torchrun."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def join_world() -> AbstractContextManager[None]:
    """Under torchrun, the process group for as long as the context lasts; otherwise nothing."""
    return _World() if int(os.environ.get("WORLD_SIZE", "1")) > 1 else nullcontext()


class _World(AbstractContextManager[None]):
    def __enter__(self) -> None:
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")

    def __exit__(self, *raised: object) -> None:
        dist.destroy_process_group()

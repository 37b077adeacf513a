"""Where training computes: the process's GPU when there is one, otherwise the CPU; and how gradients come about."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from inference.training.world import world

Loss = Callable[[nn.Module, tuple[Tensor, ...]], Tensor]
#: Backward passes before a capture: cuDNN chooses its algorithms in them.
_WARM_UP = 3


def device() -> torch.device:
    """This process's GPU, or the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


Network = TypeVar("Network", bound=nn.Module)


def laid_out(network: Network) -> Network:
    """Channels last on a CPU, where oneDNN is fastest so; cuDNN has no fast depthwise convolution for it."""
    if device().type == "cpu":
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


class _Step(nn.Module):
    """The loss of a batch as one forward pass, however often the network is asked in it."""

    def __init__(self, network: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.network, self.loss = network, loss

    def forward(self, *batch: Tensor) -> Tensor:
        return self.loss(self.network, batch)


class Gradients:
    """Called with a batch: the loss, and its gradients in the network's parameters, the mean over all processes where
    there are several. `mixed`: in bfloat16, whose range needs no scaling of the loss."""

    def __init__(self, network: nn.Module, loss: Loss, *, mixed: bool = False) -> None:
        self.network, self.mixed = network, mixed
        self.step: nn.Module = _Step(network, loss)
        if world()[1] > 1:
            self.step = nn.parallel.DistributedDataParallel(self.step, find_unused_parameters=True)

    def __call__(self, batch: tuple[Tensor, ...]) -> Tensor:
        # a cast kept from one step to the next would keep the memory of a captured one
        with torch.autocast(device().type, torch.bfloat16, enabled=self.mixed, cache_enabled=False):
            value: Tensor = self.step(*batch)
        self.network.zero_grad(set_to_none=True)
        value.backward()
        return value.detach()


class CapturedGradients(Gradients):
    """The same on a GPU, recorded once as a CUDA graph and replayed: networks this small spend their time launching
    kernels otherwise. All batches have the shapes of the first, and the loss reads nothing back."""

    def __init__(self, network: nn.Module, loss: Loss, *, mixed: bool = True) -> None:
        super().__init__(network, loss, mixed=mixed)
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, batch: tuple[Tensor, ...]) -> Tensor:
        if self.graph is None:
            self._capture(batch)
        assert self.graph is not None
        for ours, theirs in zip(self.batch, batch, strict=True):
            ours.copy_(theirs)
        self.graph.replay()
        return self.value.clone()

    def _capture(self, batch: tuple[Tensor, ...]) -> None:
        torch.backends.cudnn.benchmark = True
        self.batch = tuple(part.clone() for part in batch)
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(_WARM_UP):
                super().__call__(self.batch)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        self.network.zero_grad(set_to_none=True)
        with torch.cuda.graph(graph):
            self.value = super().__call__(self.batch)
        self.graph = graph

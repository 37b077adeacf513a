"""Where training computes: the process's GPU when there is one, otherwise the CPU; and how gradients come about."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

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


class Gradients:
    """Called with a batch: the loss, and its gradients in the network's parameters."""

    def __init__(self, network: nn.Module, loss: Loss) -> None:
        self.network, self.loss = network, loss

    def __call__(self, batch: tuple[Tensor, ...]) -> Tensor:
        self.network.zero_grad(set_to_none=True)
        value = self.loss(self.network, batch)
        value.backward()
        return value.detach()


class CapturedGradients(Gradients):
    """The same on a GPU in bfloat16 (its range needs no scaling of the loss), recorded once as a CUDA graph and
    replayed: networks this small spend their time launching kernels otherwise. All batches have the shapes of the
    first, and the loss reads nothing back."""

    def __init__(self, network: nn.Module, loss: Loss) -> None:
        super().__init__(network, loss)
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
                self._run()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        self.network.zero_grad(set_to_none=True)
        with torch.cuda.graph(graph):
            self.value = self._run()
        self.graph = graph

    def _run(self) -> Tensor:
        # a cast kept from one capture to the next would keep that one's memory
        with torch.autocast("cuda", torch.bfloat16, cache_enabled=False):
            value = self.loss(self.network, self.batch)
        self.network.zero_grad(set_to_none=True)
        value.backward()
        return value.detach()

"""The one TorchServe handler of all models: tensors in, the ONNX graph's outputs and their time out.

TorchServe loads it through the few lines that `inference.serving.archive` puts into each `.mar`, so its
PYTHONPATH must hold the repository's root. A body that is no tensor message, or a tensor that the graph
does not take, gets status 400 for that one request; the others of the batch are answered.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.serving import wire
from inference.serving.forward import ForwardOutput
from inference.serving.onnx_session import OnnxForward

INPUT = "input"
MODEL_MS = "model_ms"

logger = logging.getLogger(__name__)


class TensorHandler:
    """TorchServe's protocol: `initialize(context)` once, then `handle(requests, context)` for each batch."""

    def __init__(self) -> None:
        self.forward: OnnxForward | None = None

    def initialize(self, context: Any) -> None:
        """Load `model.onnx` from the unpacked archive."""
        self._one_torch_thread()
        self.forward = OnnxForward(Path(context.system_properties["model_dir"]) / "model.onnx")

    def handle(self, requests: Sequence[dict[str, Any]] | None, context: Any) -> list[bytes]:
        """One answer a request, in order. Requests of one shape run as one batch."""
        requests = requests or []
        answers: list[bytes] = [b""] * len(requests)
        waiting: dict[tuple[int, ...], list[tuple[int, NDArray[Any]]]] = {}
        for index, request in enumerate(requests):
            try:
                tensor = read_request(request)
                waiting.setdefault(tensor.shape[1:], []).append((index, tensor))
            except wire.WireError as error:
                answers[index] = self._refuse(context, index, str(error))
        for entries in waiting.values():
            for index, answer in self._run(entries, context):
                answers[index] = answer
        for index in range(len(requests)):
            context.set_response_content_type(index, wire.CONTENT_TYPE)
        return answers

    def _run(self, entries: list[tuple[int, NDArray[Any]]], context: Any) -> list[tuple[int, bytes]]:
        assert self.forward is not None, "TorchServe calls initialize first"
        sizes = [len(tensor) for _, tensor in entries]
        try:
            output = self.forward(np.concatenate([tensor for _, tensor in entries]))
        except ValueError as error:
            return [(index, self._refuse(context, index, str(error))) for index, _ in entries]
        edges = np.cumsum([0, *sizes])
        return [
            (index, _answer(output, int(first), int(last), sum(sizes)))
            for (index, _), first, last in zip(entries, edges[:-1], edges[1:], strict=True)
        ]

    @staticmethod
    def _refuse(context: Any, index: int, reason: str) -> bytes:
        logger.warning("request refused: %s", reason)
        context.set_response_status(code=400, phrase="Bad Request", idx=index)
        return reason.encode()

    @staticmethod
    def _one_torch_thread() -> None:
        """TorchServe's worker has imported torch already; its idle pool must not compete for the cores."""
        import torch

        torch.set_num_threads(1)


def read_request(request: dict[str, Any]) -> NDArray[Any]:
    """The tensor of a request's body.

    Raises:
        wire.WireError: no body, or not a message with exactly one tensor `input`.
    """
    body = request.get("body", request.get("data"))
    if not isinstance(body, bytes | bytearray):
        raise wire.WireError("the body is not application/octet-stream")
    tensors, _ = wire.decode(body)
    if list(tensors) != [INPUT] or tensors[INPUT].ndim < 2:
        raise wire.WireError(f"a request holds one tensor, named {INPUT}")
    return tensors[INPUT]


def _answer(output: ForwardOutput, first: int, last: int, batch: int) -> bytes:
    share = output.model_ms * (last - first) / batch
    return wire.encode({name: rows[first:last] for name, rows in output.outputs.items()}, {MODEL_MS: share})

"""The one TorchServe handler of all models: tensors in, the network's outputs and their time out.

TorchServe loads it through the few lines that `inference.runtime.archive` puts into each `.mar`, so its
PYTHONPATH must hold the repository's root. A body that is no tensor message, or a tensor that the graph
does not take, gets status 400 for that one request, and one that the device has no memory for 507; the others of the
batch are answered. Whoever only asks whether
the worker is there (`presence`) is told that, and what it weighs.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.runtime import presence, torch_forward, wire
from inference.runtime.custody import Custody
from inference.runtime.forward import ForwardOutput, Network, check_input
from inference.runtime.onnx_session import WEIGHTS, OnnxForward
from inference.runtime.signing import is_signed, trusted_keys, verify_file, verify_record

INPUT = "input"
MODEL_MS = "model_ms"

logger = logging.getLogger(__name__)


class TensorHandler:
    """TorchServe's protocol: `initialize(context)` once, then `handle(requests, context)` for each batch."""

    def __init__(self) -> None:
        self.forward: Network | None = None
        self._presence = presence.Teller()

    def initialize(self, context: Any) -> None:
        """Load the network from the unpacked archive: for the GPU that TorchServe gave this worker, or for one
        thread of the CPU."""
        self._one_torch_thread()
        properties = context.system_properties
        folder = Path(properties["model_dir"])
        gpu = properties.get("gpu_id")
        self.forward = load_forward(folder, gpu, trusted_keys())
        if isinstance(self.forward, torch_forward.TorchForward):
            self._presence = presence.Teller(gpu)

    def handle(self, requests: Sequence[dict[str, Any]] | None, context: Any) -> list[bytes]:
        """One answer a request, in order. Small requests of one shape run together."""
        assert self.forward is not None, "TorchServe calls initialize first"
        requests = requests or []
        answers: list[bytes] = [b""] * len(requests)
        waiting: dict[tuple[int, ...], list[tuple[int, NDArray[Any]]]] = {}
        for index, request in enumerate(requests):
            try:
                tensors, values = read_message(request)
                if presence.is_asked(tensors, values):
                    answers[index] = self._presence.answer()
                    continue
                tensor = input_of(tensors)
                check_input(tensor, self.forward.shapes)
                waiting.setdefault(tensor.shape[1:], []).append((index, tensor))
            except ValueError as error:
                answers[index] = self._refuse(context, index, str(error))
        for entries in waiting.values():
            for together in _portions(entries, self.forward.bytes_together):
                for index, answer in self._run(together, context):
                    answers[index] = answer
        for index in range(len(requests)):
            context.set_response_content_type(index, wire.CONTENT_TYPE)
        return answers

    def _run(self, entries: list[tuple[int, NDArray[Any]]], context: Any) -> list[tuple[int, bytes]]:
        """Halves where there is no memory for all of them at once; whoever does not fit even alone is told so (507),
        and is asked for on another host."""
        assert self.forward is not None
        try:
            output = self.forward(np.concatenate([tensor for _, tensor in entries]))
        except MemoryError as error:
            if len(entries) > 1:
                half = len(entries) // 2
                return [*self._run(entries[:half], context), *self._run(entries[half:], context)]
            ((index, _),) = entries
            return [(index, self._refuse(context, index, str(error), 507, "Insufficient Storage"))]
        edges = np.cumsum([0, *(len(tensor) for _, tensor in entries)])
        return [
            (index, _answer(output, int(first), int(last), int(edges[-1])))
            for (index, _), (first, last) in zip(entries, pairwise(edges), strict=True)
        ]

    @staticmethod
    def _refuse(context: Any, index: int, reason: str, code: int = 400, phrase: str = "Bad Request") -> bytes:
        logger.warning("request refused: %s", reason)
        context.set_response_status(code=code, phrase=phrase, idx=index)
        return reason.encode()

    @staticmethod
    def _one_torch_thread() -> None:
        """TorchServe's worker has imported torch already; its idle pool must not compete for the cores."""
        import torch

        torch.set_num_threads(1)


def load_forward(folder: Path, gpu: int | None, trust: Path | None = None) -> Network:
    """`model.pt` on the GPU where there are both, else `model.onnx` on the CPU; where `trust` says whose signatures
    count, only files that were signed.

    Raises
    ------
    SigningError
        The unpacked archive's record, or the weights, are not what a trusted key signed.
    """
    record = verify_record(folder, trust) if trust is not None else None
    weights = folder / torch_forward.FILE
    if gpu is not None and weights.is_file() and torch_forward.cuda_is_there():
        if record is None or is_signed(weights, record):
            _verify(weights, record, trust)
            logger.info("serving %s on GPU %d", weights.name, gpu)
            return torch_forward.TorchForward(weights, f"cuda:{gpu}")
        logger.warning("%s was made here and is signed by nobody: serving %s", weights.name, WEIGHTS)
    _verify(folder / WEIGHTS, record, trust)
    return OnnxForward(folder / WEIGHTS)


def _verify(weights: Path, record: Custody | None, trust: Path | None) -> None:
    if record is not None and trust is not None:
        verify_file(weights, record, trust)


def read_message(request: dict[str, Any]) -> tuple[wire.Tensors, Mapping[str, float]]:
    """The tensors and values of a request's body. Raises `wire.WireError` where there is no body, or no message."""
    body = request.get("body", request.get("data"))
    if not isinstance(body, bytes | bytearray):
        raise wire.WireError("the body is not application/octet-stream")
    return wire.decode(body)


def input_of(tensors: wire.Tensors) -> NDArray[Any]:
    """The one tensor `input` of a message. Raises `wire.WireError` where it holds something else."""
    if list(tensors) != [INPUT] or tensors[INPUT].ndim < 2:
        raise wire.WireError(f"a request holds one tensor, named {INPUT}")
    return tensors[INPUT]


def _portions(
    entries: list[tuple[int, NDArray[Any]]], most_bytes: int
) -> Iterator[list[tuple[int, NDArray[Any]]]]:
    """`entries` in order, as many at a time as have `most_bytes`, at least one."""
    portion: list[tuple[int, NDArray[Any]]] = []
    size = 0
    for entry in entries:
        if portion and size + entry[1].nbytes > most_bytes:
            yield portion
            portion, size = [], 0
        portion.append(entry)
        size += entry[1].nbytes
    if portion:
        yield portion


def _answer(output: ForwardOutput, first: int, last: int, batch: int) -> bytes:
    share = output.model_ms * (last - first) / batch
    return wire.encode({name: rows[first:last] for name, rows in output.outputs.items()}, {MODEL_MS: share})

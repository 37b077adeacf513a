"""`model.pt` answers as `model.onnx` does, and the handler takes it where there is a GPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from inference.runtime.handler import load_forward
from inference.runtime.onnx_session import OnnxForward
from inference.runtime.onnx_to_torch.convert import convert, network_of
from inference.runtime.torch_forward import FILE, TorchForward
from tests.inference.tiny_network import fields, write_onnx


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tiny")
    write_onnx(made / "model.onnx")
    convert(made / "model.onnx", made / FILE)
    return made


def agree(first: TorchForward, second: OnnxForward) -> None:
    for count in (1, 5):  # any batch goes
        mine, theirs = first(fields(count)), second(fields(count))
        assert list(mine.outputs) == list(theirs.outputs) and mine.model_ms > 0
        for name, rows in theirs.outputs.items():
            assert mine.outputs[name].dtype == np.float32
            np.testing.assert_allclose(mine.outputs[name], rows, atol=1e-4)


def test_torch_on_the_cpu_answers_as_onnx_runtime(folder: Path) -> None:
    agree(TorchForward(folder / FILE, "cpu"), OnnxForward(folder / "model.onnx"))


def test_weights_are_stored_in_half_where_nothing_is_lost(folder: Path) -> None:
    whole = network_of(folder / "model.onnx").network
    stored = torch.jit.load(str(folder / FILE))
    for before, after in zip(whole.parameters(), stored.parameters(), strict=True):
        assert torch.equal(before, after.float())
        halved = before.numel() >= 256 and torch.equal(before.half().float(), before)
        assert after.dtype == (torch.float16 if halved else torch.float32)


def test_another_shape_or_type_is_refused(folder: Path) -> None:
    forward = TorchForward(folder / FILE, "cpu")
    for wrong in (fields(1).astype(np.float32), fields(1)[:, :40], fields(1)[:0]):
        with pytest.raises(ValueError, match="takes uint8"):
            forward(wrong)


def test_without_a_gpu_the_handler_takes_the_onnx_file(folder: Path) -> None:
    assert isinstance(load_forward(folder, None), OnnxForward)
    if not torch.cuda.is_available():  # TorchServe may see a card that this torch cannot use
        assert isinstance(load_forward(folder, 0), OnnxForward)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU that torch can use")
def test_on_a_gpu_the_handler_takes_the_torch_file(folder: Path) -> None:
    forward = load_forward(folder, 0)
    assert isinstance(forward, TorchForward)
    agree(forward, OnnxForward(folder / "model.onnx"))

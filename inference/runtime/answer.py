"""`answer.json`: what the trained network said to an input that anybody can make again.

It stands beside the manifest. Whatever is made of the trained network later must say the same, within the tolerance
that is written there, or it is not served.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from inference.contract import ContractModel, ModelManifest, Sha256
from inference.runtime.forward import Forward, Shapes
from inference.runtime.store import StoreError, version_folder

ANSWER = "answer.json"
#: What rounding weights may move, and twice that for everything together: another processor adds in another order.
MOST_BY_ROUNDING = 0.001
TOLERANCE = 2 * MOST_BY_ROUNDING
#: Values that are kept of one output, evenly spaced.
_MOST_VALUES = 256
_ROWS = 2

#: A network as it was trained: uint8 of one of its shapes → its outputs by name.
Network = Callable[[NDArray[np.uint8]], Mapping[str, NDArray[Any]]]


class RecordedOutput(ContractModel):
    """Of one output: its shape, and values evenly spaced over it in C order."""

    shape: tuple[int, ...]
    values: tuple[float, ...]


class RecordedShape(ContractModel):
    """What was said to the input of one shape. The digest tells a changed generator from a changed network."""

    input_shape: tuple[int, ...]
    input_sha256: Sha256
    outputs: dict[str, RecordedOutput]


class RecordedAnswer(ContractModel):
    """`answer.json`. `said_by` is a sentence; `tolerance` is of each value, or relative where that is above 1.
    `moved_by_rounding`: by how much float16 weights move the answer, where float32 was too large to be kept."""

    said_by: str
    seed: int
    tolerance: float = Field(gt=0)
    moved_by_rounding: float = Field(0.0, ge=0)
    answers: tuple[RecordedShape, ...] = Field(min_length=1)

    def deviation(self, forward: Forward) -> tuple[float, str]:
        """The largest deviation of a recorded value, and the output that it is of.

        Raises
        ------
        StoreError
            Other outputs, other shapes, or numpy makes another input now.
        """
        worst = (0.0, "")
        for recorded in self.answers:
            given = seeded_input(recorded.input_shape, self.seed)
            if _digest(given) != recorded.input_sha256:
                raise StoreError("the recorded input cannot be made again: this numpy draws other numbers")
            said = forward(given).outputs
            if said.keys() != recorded.outputs.keys():
                raise StoreError(
                    f"the outputs are {', '.join(said)}, recorded are {', '.join(recorded.outputs)}"
                )
            worst = max(
                worst, *(_deviation(name, values, recorded.outputs[name]) for name, values in said.items())
            )
        return worst

    def is_repeatable(self) -> bool:
        """Whether this numpy still makes the inputs that were recorded."""
        return all(
            _digest(seeded_input(recorded.input_shape, self.seed)) == recorded.input_sha256
            for recorded in self.answers
        )

    def check(self, forward: Forward, what: str) -> None:
        """
        Raises
        ------
        StoreError
            `what` answers otherwise than was recorded.
        """
        try:
            by, output = self.deviation(forward)
        except StoreError as error:
            raise StoreError(f"{what}: {error}") from error
        if not by <= self.tolerance:
            raise StoreError(
                f"{what} answers otherwise than its network did: {output} by {by:.4g}, allowed are {self.tolerance:g}"
            )


def record(network: Network, shapes: Shapes, said_by: str, seed: int = 0) -> RecordedAnswer:
    """What `network` says to the seeded input of each of `shapes`."""
    answers = []
    for shape in shapes:
        given = seeded_input((_ROWS, *(side or 1 for side in shape[1:])), seed)
        outputs = {
            name: RecordedOutput(
                shape=values.shape, values=tuple(float(f"{value:.7g}") for value in _spaced(values))
            )
            for name, values in network(given).items()
        }
        answers.append(RecordedShape(input_shape=given.shape, input_sha256=_digest(given), outputs=outputs))
    return RecordedAnswer(said_by=said_by, seed=seed, tolerance=TOLERANCE, answers=tuple(answers))


def seeded_input(shape: tuple[int, ...], seed: int) -> NDArray[np.uint8]:
    """Noise over the whole range in the first row, of low contrast in the others."""
    given = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    given[1:] = given[1:] // 8 + 80
    return given


def write_answer(folder: Path, answer: RecordedAnswer) -> None:
    (folder / ANSWER).write_text(answer.model_dump_json(indent=1) + "\n", encoding="utf-8")


def read_answer(manifest: ModelManifest, store: Path) -> RecordedAnswer:
    """
    Raises
    ------
    StoreError
        The version has none, or not one of this kind.
    """
    which = f"{manifest.name} {manifest.version}"
    try:
        text = (version_folder(manifest, store) / ANSWER).read_text(encoding="utf-8")
        return RecordedAnswer.model_validate_json(text)
    except OSError as error:
        raise StoreError(
            f"{which} has no {ANSWER}: nobody can tell whether its weights answer as trained"
        ) from error
    except ValidationError as error:
        raise StoreError(f"{ANSWER} of {which} is invalid: {error.error_count()} errors") from error


def _deviation(name: str, values: NDArray[Any], recorded: RecordedOutput) -> tuple[float, str]:
    if values.shape != recorded.shape:
        raise StoreError(f"{name} has the shape {values.shape}, recorded is {recorded.shape}")
    expected = np.array(recorded.values)
    by = np.abs(_spaced(values) - expected) / np.maximum(1.0, np.abs(expected))
    # Not a number, where a number was recorded, deviates endlessly.
    return float(np.where(np.isnan(by), np.inf, by).max(initial=0.0)), name


def _spaced(values: NDArray[Any]) -> NDArray[np.float64]:
    flat = np.asarray(values, np.float64).reshape(-1)
    count = min(_MOST_VALUES, flat.size)
    return flat[np.arange(count) * flat.size // max(count, 1)]


def _digest(given: NDArray[np.uint8]) -> str:
    return hashlib.sha256(given.tobytes()).hexdigest()

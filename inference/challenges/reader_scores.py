"""The table of a reader study: every reader's score of every case with every modality, none missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.challenges.report import ChallengeError
from inference.evaluation.table import TableError, decoded, rows_of

COLUMNS = ("reader", "modality", "case", "truth", "score")
_TRUE, _FALSE = {"1", "true", "positive", "malignant"}, {"0", "false", "negative", "benign", "normal"}


@dataclass(frozen=True)
class Study:
    """`scores`: modality × reader × case, the higher the surer of the positive class; `truth` of each case."""

    modalities: tuple[str, ...]
    readers: tuple[str, ...]
    truth: NDArray[np.bool_]
    scores: NDArray[np.float64]


def read(table: Path) -> Study:
    """A study from a CSV file with the columns `reader, modality, case, truth, score`, one row a reading.

    Raises
    ------
    ChallengeError
        The file cannot be read, or see `study_of`.
    """
    try:
        return study_of(rows_of(decoded(table.read_bytes()), *COLUMNS))
    except OSError as error:
        raise ChallengeError(f"{table}: {error.strerror or error}") from error
    except TableError as error:
        raise ChallengeError(f"{table.name}: {error.mistakes[0]}") from error
    except ChallengeError as error:
        raise ChallengeError(f"{table.name}: {error}") from error


def study_of(rows: Sequence[tuple[int, Mapping[str, str]]]) -> Study:
    """A study from the rows of its table, each with its line.

    Raises
    ------
    ChallengeError
        A value or a reading is missing, a reading is there twice, a case has two truths, a number is none, or there
        are fewer than two cases of a class.
    """
    truths: dict[str, bool] = {}
    readings: dict[tuple[str, str, str], float] = {}
    for line, row in rows:
        for name in COLUMNS:
            if not row[name]:
                raise ChallengeError(f"line {line}: no {name}")
        case, word = row["case"], row["truth"].lower()
        if word not in _TRUE | _FALSE:
            raise ChallengeError(f"line {line}: the truth {row['truth']!r} is neither 1 nor 0")
        if truths.setdefault(case, word in _TRUE) != (word in _TRUE):
            raise ChallengeError(f"line {line}: case {case} has another truth than before")
        key = (row["modality"], row["reader"], case)
        if key in readings:
            raise ChallengeError(
                f"line {line}: reader {key[1]} reads case {case} with {key[0]} a second time"
            )
        readings[key] = _score(row["score"], line)
    return _complete(truths, readings)


def _score(text: str, line: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise ChallengeError(f"line {line}: the score {text!r} is no number")
    return value


def _complete(truths: dict[str, bool], readings: dict[tuple[str, str, str], float]) -> Study:
    modalities = tuple(dict.fromkeys(modality for modality, _, _ in readings))
    readers = tuple(dict.fromkeys(reader for _, reader, _ in readings))
    for modality in modalities:
        for reader in readers:
            for case in truths:
                if (modality, reader, case) not in readings:
                    raise ChallengeError(
                        f"reader {reader} has not read case {case} with {modality}; every reader must read every case "
                        "with every modality"
                    )
    truth = np.array(list(truths.values()), bool)
    if not truths or min(truth.sum(), (~truth).sum()) < 2:
        raise ChallengeError("fewer than two cases of a class")
    scores = np.array([[[readings[m, r, c] for c in truths] for r in readers] for m in modalities])
    return Study(modalities, readers, truth, scores)

"""The table of a reader study: every reader's score of every case with every modality, none missing; or, where cases
are nested in readers, of every one of the reader's own cases."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from inference.challenges.report import ChallengeError
from inference.evaluation.table import TableError, decoded, rows_of

COLUMNS = ("reader", "modality", "case", "truth", "score")
#: What the two kinds of study ask of a table.
_EVERY = "every reader must read every case with every modality"
_OWN = "every reader must read each of the own cases with every modality"
_TRUE, _FALSE = {"1", "true", "positive", "malignant"}, {"0", "false", "negative", "benign", "normal"}


@dataclass(frozen=True)
class Study:
    """`scores`: modality × reader × case, the higher the surer of the positive class; `truth` of each case."""

    modalities: tuple[str, ...]
    readers: tuple[str, ...]
    truth: NDArray[np.bool_]
    scores: NDArray[np.float64]

    def of_reader(self, number: int) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Truth, and modality × case, of what a reader has read."""
        return self.truth, self.scores[:, number]


@dataclass(frozen=True)
class NestedStudy:
    """Cases nested in readers: no two readers share one. Of each reader the `truths` of the own cases and the `scores`,
    modality × case."""

    modalities: tuple[str, ...]
    readers: tuple[str, ...]
    truths: tuple[NDArray[np.bool_], ...]
    scores: tuple[NDArray[np.float64], ...]

    @property
    def truth(self) -> NDArray[np.bool_]:
        """Of all cases, reader after reader."""
        return np.concatenate(self.truths)

    def of_reader(self, number: int) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Truth, and modality × case, of what a reader has read."""
        return self.truths[number], self.scores[number]


Rows = Sequence[tuple[int, Mapping[str, str]]]
"""Each with its line."""
_Found = TypeVar("_Found", Study, NestedStudy)


def read(table: Path) -> Study:
    """A study from a CSV file with the columns `reader, modality, case, truth, score`, one row a reading.

    Raises
    ------
    ChallengeError
        The file cannot be read, or see `study_of`.
    """
    return _read(table, study_of)


def read_nested(table: Path) -> NestedStudy:
    """The same of readers with cases of their own. Raises `ChallengeError`, see `nested_study_of`."""
    return _read(table, nested_study_of)


def _read(table: Path, made_of: Callable[[Rows], _Found]) -> _Found:
    try:
        return made_of(rows_of(decoded(table.read_bytes()), *COLUMNS))
    except OSError as error:
        raise ChallengeError(f"{table}: {error.strerror or error}") from error
    except TableError as error:
        raise ChallengeError(f"{table.name}: {error.mistakes[0]}") from error
    except ChallengeError as error:
        raise ChallengeError(f"{table.name}: {error}") from error


def study_of(rows: Rows) -> Study:
    """A study from the rows of its table.

    Raises
    ------
    ChallengeError
        A value or a reading is missing, a reading is there twice, a case has two truths, a number is none, there are
        fewer than two cases of a class, or no two readers have read one case.
    """
    truths, readings = _readings(rows)
    modalities, readers = _names(readings)
    if len(readers) > 1 and len({(reader, case) for _, reader, case in readings}) == len(truths):
        raise ChallengeError(
            "each case has one reader: such cases are nested in readers, which has to be said"
        )
    for reader in readers:
        _refuse_holes(readings, modalities, reader, truths, _EVERY)
    truth = np.array(list(truths.values()), bool)
    if not truths or min(truth.sum(), (~truth).sum()) < 2:
        raise ChallengeError("fewer than two cases of a class")
    scores = np.array([[[readings[m, r, c] for c in truths] for r in readers] for m in modalities])
    return Study(modalities, readers, truth, scores)


def nested_study_of(rows: Rows) -> NestedStudy:
    """A study from the rows of its table, where every reader has read cases of their own. That they are nested is said
    by whoever calls this, never guessed from a table with holes.

    Raises
    ------
    ChallengeError
        As of `study_of`; there are fewer than two cases of a class of one reader, or two have read one case.
    """
    truths, readings = _readings(rows)
    modalities, readers = _names(readings)
    owner: dict[str, str] = {}
    for _, reader, case in readings:
        if (first := owner.setdefault(case, reader)) != reader:
            raise ChallengeError(
                f"case {case} is read by {first} and by {reader}; nested in readers, each case has one reader"
            )
    own: dict[str, list[str]] = {reader: [] for reader in readers}
    for case, reader in owner.items():
        own[reader].append(case)
    of_each = tuple(np.array([truths[case] for case in cases], bool) for cases in own.values())
    for reader, truth in zip(readers, of_each, strict=True):
        _refuse_holes(readings, modalities, reader, own[reader], _OWN)
        if min(truth.sum(), (~truth).sum()) < 2:
            raise ChallengeError(f"reader {reader} has fewer than two cases of a class")
    if not readers:
        raise ChallengeError("fewer than two cases of a class")
    scores = tuple(np.array([[readings[m, r, c] for c in own[r]] for m in modalities]) for r in readers)
    return NestedStudy(modalities, readers, of_each, scores)


def _readings(rows: Rows) -> tuple[dict[str, bool], dict[tuple[str, str, str], float]]:
    """The truth of each case; modality, reader and case → score."""
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
    return truths, readings


def _score(text: str, line: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise ChallengeError(f"line {line}: the score {text!r} is no number")
    return value


def _names(readings: Iterable[tuple[str, str, str]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Modalities and readers, in the order of the table."""
    keys = list(readings)
    return tuple(dict.fromkeys(m for m, _, _ in keys)), tuple(dict.fromkeys(r for _, r, _ in keys))


def _refuse_holes(
    readings: Container[tuple[str, str, str]],
    modalities: Iterable[str],
    reader: str,
    cases: Iterable[str],
    rule: str,
) -> None:
    for modality, case in product(modalities, cases):
        if (modality, reader, case) not in readings:
            raise ChallengeError(f"reader {reader} has not read case {case} with {modality}; {rule}")

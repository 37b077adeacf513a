"""A hospital's own known cases as a table, one image a row, read strictly: every mistake by its line and column. An
image is a file, or a folder with the files of one slide, as scanners write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from inference.contract import ModelManifest
from inference.evaluation.protocol import PROTOCOLS
from inference.evaluation.table import TableError, decoded, rows_of
from inference.runtime.pipelines import WHOLE_IMAGE

IMAGE, LABEL, PATIENT, SPACING = "image", "label", "patient", "um_per_px"
_MOST_MISTAKES = 20
_MOST_ROWS = 5000
#: Labels that are understood whatever a model's classes are.
YES, NO = "positive", "negative"


class CasesError(ValueError):
    """The table has mistakes; `mistakes` are sentences, each with line and column."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        self.mistakes = tuple(mistakes)
        shown = list(self.mistakes[:_MOST_MISTAKES])
        if len(self.mistakes) > len(shown):
            shown.append(f"and {len(self.mistakes) - len(shown)} more")
        super().__init__("\n".join(shown))


@dataclass(frozen=True)
class Case:
    """One image of which the truth is known. `patient` is the image itself where the table does not name patients;
    `facts` are the other columns, which subgroups are made of; `parts` the other files of a slide that has several."""

    line: int
    image: str
    path: Path
    patient: str
    label: str
    positive: bool
    um_per_px: float | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[Path, ...] = ()


def labels_of(manifest: ModelManifest) -> dict[str, bool]:
    """The labels that the table may use, and which of them are positive for the question that the model's operating
    points belong to (of films a benign lesion is `abnormal` too)."""
    known = {YES: True, NO: False}
    if manifest.served_by == WHOLE_IMAGE:  # its recipe says what a class is, whatever sets call so
        return {**known, **{name: name == manifest.positive_class for name in manifest.classes}}
    for sheet in PROTOCOLS.values():
        for ask in sheet.asked:
            if ask.name == sheet.pointed and manifest.positive_class in ask.chance:
                known |= (
                    dict.fromkeys(sheet.classes, False)
                    | dict.fromkeys(ask.no, False)
                    | dict.fromkeys(ask.yes, True)
                )
    rest = dict.fromkeys(
        (name for name in manifest.classes if name in ("normal", manifest.positive_class)), False
    )
    return {**rest, **known, manifest.positive_class: True}


def read_cases(table: Path, images: Path, manifest: ModelManifest) -> list[Case]:
    """The rows of `table`: columns `image` (a file below `images`, or a folder with a slide's files) and `label`, and
    where they are there `patient`, `um_per_px` and any others, by which figures are told apart. Commas, semicolons or
    tabs.

    Raises
    ------
    CasesError
        Anything that is not as it should be, all of it at once.
    """
    name = table.name
    try:
        rows = rows_of(decoded(table.read_bytes()), IMAGE, LABEL)
    except OSError as error:
        raise CasesError([f"{name} cannot be read: {error.strerror}"]) from None
    except TableError as error:
        raise CasesError([f"{name}, {mistake}" for mistake in error.mistakes]) from None
    if not rows:
        raise CasesError([f"{name} has a heading and no case"])
    if len(rows) > _MOST_ROWS:
        raise CasesError([f"{name} has {len(rows)} cases; at most {_MOST_ROWS} are measured at once"])
    return _Rows(name, images, labels_of(manifest), manifest.input.needs_pixel_spacing).cases(rows)


class _Rows:
    """Reads rows and collects what is wrong with them."""

    def __init__(self, table: str, images: Path, labels: Mapping[str, bool], needs_spacing: bool) -> None:
        self._table, self._labels = table, labels
        self._images = images
        self._needs_spacing = needs_spacing
        self._mistakes: list[str] = []
        self._first: dict[Path, int] = {}

    def cases(self, rows: Sequence[tuple[int, Mapping[str, str]]]) -> list[Case]:
        found = [self._case(line, row) for line, row in rows]
        if self._mistakes:
            raise CasesError(self._mistakes)
        return [case for case in found if case is not None]

    def _wrong(self, line: int, column: str, sentence: str) -> None:
        self._mistakes.append(f"{self._table}, line {line}, column {column}: {sentence}")

    def _case(self, line: int, values: Mapping[str, str]) -> Case | None:
        files = self._files(line, values[IMAGE])
        label = values[LABEL].lower()
        if label not in self._labels:
            known = ", ".join(self._labels)
            self._wrong(line, LABEL, f"{values[LABEL]!r} is none of {known}" if label else "is empty")
        spacing = self._spacing(line, values)
        patient = values.get(PATIENT, values[IMAGE])
        if not patient:
            self._wrong(line, PATIENT, "is empty: images of one patient are no independent cases")
        if not files or label not in self._labels:
            return None
        others = {n: v for n, v in values.items() if n not in (IMAGE, LABEL, PATIENT, SPACING) and v}
        return Case(
            line, values[IMAGE], files[0], patient, label, self._labels[label], spacing, others, tuple(files[1:])
        )  # fmt: skip

    def _files(self, line: int, stated: str) -> list[Path]:
        """The image's file, or those of a slide's folder; none where something is wrong."""
        if not stated:
            self._wrong(line, IMAGE, "is empty")
            return []
        path = self._images / stated
        try:
            real, files = path.resolve(), _files_at(path)
        except (OSError, ValueError, RuntimeError):  # too long, a NUL in it, a link to itself
            self._wrong(line, IMAGE, f"{stated[:80]!r} is no name of a file")
            return []
        if Path(stated).is_absolute() or ".." in Path(stated).parts:
            self._wrong(line, IMAGE, f"{stated} lies outside {self._images.name}")
        elif not files or real == self._images.resolve():
            self._wrong(line, IMAGE, f"no file {stated} in {self._images.name}")
        elif real in self._first:
            self._wrong(line, IMAGE, f"{stated} stands in line {self._first[real]} already")
        else:
            self._first[real] = line
            return files
        return []

    def _spacing(self, line: int, values: Mapping[str, str]) -> float | None:
        stated = values.get(SPACING, "")
        if not stated:
            if self._needs_spacing and SPACING in values:
                self._wrong(line, SPACING, "is empty, and the model needs it")
            return None
        try:
            value = float(stated)
        except ValueError:
            value = 0.0
        if not 0 < value < float("inf"):
            self._wrong(line, SPACING, f"{stated!r} is no number of µm above 0")
            return None
        return value


def _files_at(path: Path) -> list[Path]:
    """The file itself, or the files of a folder by name: of a slide they come in any order."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        return []
    return sorted(each for each in path.iterdir() if each.is_file() and not each.name.startswith("."))

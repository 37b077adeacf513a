"""What an importer has to say besides its samples: sentences for a person, and defects that name their files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Trouble(StrEnum):
    """What is wrong with a file. The words are stable: the audit prints them."""

    UNREADABLE = "unreadable"
    CONFLICT = "conflicting_labels"
    NO_MASK = "image_without_mask"
    NO_IMAGE = "mask_without_image"
    COUNT = "unexpected_count"


@dataclass(frozen=True)
class Defect:
    """`files` are paths as an importer met them; empty where the trouble is no single file's (a count)."""

    trouble: Trouble
    files: tuple[Path, ...]
    sentence: str


class Notes:
    """Collects while an importer reads. Every defect is a warning too, so that nobody need look twice."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.defects: list[Defect] = []

    def warn(self, sentence: str) -> None:
        self.warnings.append(sentence)

    def defect(self, trouble: Trouble, files: Path | Sequence[Path], sentence: str) -> None:
        named = (files,) if isinstance(files, Path) else tuple(files)
        self.defects.append(Defect(trouble, named, sentence))
        self.warnings.append(sentence)

    def unreadable(self, path: Path, reason: object) -> None:
        """Name a file that could not be read, in whole or in part, and why."""
        self.defect(Trouble.UNREADABLE, path, f"{path.name}: unreadable ({reason})")

    def conflict(self, files: Path | Sequence[Path], sentence: str) -> None:
        self.defect(Trouble.CONFLICT, files, sentence)

    def counts(
        self, dataset: str, found: dict[str, int], published: dict[str, int], *, what: str = "images"
    ) -> None:
        """One warning a class whose number differs from the published one; never an error, sets get
        repaired."""
        for sentence in count_sentences(dataset, found, published, what=what):
            self.defect(Trouble.COUNT, (), sentence)


def count_sentences(
    dataset: str, found: dict[str, int], published: dict[str, int], *, what: str = "images"
) -> list[str]:
    """`busi: 344 benign images, 437 are published` for each class whose number differs."""
    return [
        f"{dataset}: {found.get(label, 0)} {label} {what}, {number} are published"
        for label, number in published.items()
        if found.get(label, 0) != number
    ]

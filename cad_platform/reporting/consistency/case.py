"""What the rules look at: a report and the case that it is of, as plain data. `snapshot` takes it from the database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from cad_platform.reporting.consistency.claims import Claim, Size, claims_of, sizes_of
from cad_platform.reporting.consistency.lexicon import IMAGING, PATHOLOGY

Side = Literal["L", "R"]
SIDES: tuple[Side, Side] = ("R", "L")
#: The field that holds the category of a breast.
FIELD_OF: Mapping[str, str] = {"R": "right", "L": "left"}
OTHER: Mapping[str, Side] = {"R": "L", "L": "R"}

PlaceKind = Literal["field", "line", "finding", "image", "result", "study"]
#: What a text is written as: a conclusion, a description of one mark, the patient's history, a remark.
Role = Literal["conclusion", "description", "history", "remark"]


@dataclass(frozen=True)
class Place:
    """Where one half of a contradiction stands: a field of the form by its name, the line or the mark of a finding by
    its id (a line without a finding by its number), an image or a result by its id, or the study as a whole."""

    kind: PlaceKind
    name: str = ""


@dataclass(frozen=True)
class Text:
    """Something a person wrote. `side` is that of the image whose mark it describes, else empty."""

    place: Place
    value: str
    role: Role
    side: str = ""
    mark: str = ""

    @cached_property
    def imaging(self) -> list[Claim]:
        """What it claims of the breasts."""
        return claims_of(self.value, IMAGING)

    @cached_property
    def pathology(self) -> list[Claim]:
        """What it claims of the tissue."""
        return claims_of(self.value, PATHOLOGY, of_tissue=True)

    @cached_property
    def sizes(self) -> list[Size]:
        return sizes_of(self.value)


@dataclass(frozen=True)
class Mark:
    """A mark that counts. `verdict` is accepted, edited, rejected, own (drawn by a reader), or empty: undecided.
    `malignancy` is a model's probability of it, where the mark says that."""

    id: str
    number: int
    label: str
    verdict: str
    side: str = ""
    size_mm: tuple[float, float] | None = None
    malignancy: float | None = None

    @property
    def is_reported(self) -> bool:
        return self.verdict in ("accepted", "edited", "own")

    @property
    def place(self) -> Place:
        """Its line in the report, where it has one."""
        return Place("line" if self.is_reported else "finding", self.id)


@dataclass(frozen=True)
class Picture:
    """An image that hangs."""

    id: str
    name: str
    side: str = ""
    side_is_unsure: bool = False

    @property
    def place(self) -> Place:
        return Place("image", self.id)


@dataclass(frozen=True)
class Result:
    """What became of a model's look at the case."""

    id: str
    title: str
    state: Literal["open", "failed", "ended"]

    @property
    def place(self) -> Place:
        return Place("result", self.id)


@dataclass(frozen=True)
class Arrival:
    """What came, or was put right, after the report was last looked at together with its case."""

    what: Literal["image", "result", "correction"]
    place: Place
    name: str


@dataclass(frozen=True)
class Case:
    """A report with its case.

    Attributes
    ----------
    kind
        Of the report, or of what an addendum amends: `imaging`, `histopathology`.
    codes
        The coded values that stand: those of an addendum over those of what it amends.
    changed
        For an addendum the names of those that it gives anew; None for a report, which gives all.
    has_categories
        Whether reports of this modality give BI-RADS categories.
    unseen
        Images that do not hang and that nobody has opened.
    settled
        Keys of contradictions under which somebody has signed before, with a reason.
    """

    kind: str
    codes: Mapping[str, Any] = field(default_factory=dict)
    texts: tuple[Text, ...] = ()
    marks: tuple[Mark, ...] = ()
    pictures: tuple[Picture, ...] = ()
    results: tuple[Result, ...] = ()
    arrivals: tuple[Arrival, ...] = ()
    quarantined: tuple[str, ...] = ()
    unseen: tuple[Picture, ...] = ()
    changed: frozenset[str] | None = None
    has_categories: bool = True
    settled: frozenset[str] = frozenset()

    @property
    def is_addendum(self) -> bool:
        return self.changed is not None

    def code(self, name: str) -> str:
        """A coded value, empty where it is not given."""
        value = self.codes.get(name)
        return "" if value is None else str(value)

    def number(self, name: str) -> float | None:
        value = self.codes.get(name)
        return None if value in (None, "") else float(value)

    def category(self, side: str) -> str:
        """Of a breast: its own, else that of the exam where it is the only one that was imaged."""
        own = self.code(FIELD_OF[side])
        return own or (self.code("assessment") if self.imaged == {side} else "")

    @property
    def category_places(self) -> Mapping[str, Place]:
        """The field in which a breast's category stands."""
        return {
            side: Place("field", FIELD_OF[side] if self.code(FIELD_OF[side]) else "assessment")
            for side in SIDES
        }

    @property
    def imaged(self) -> set[str]:
        """The breasts of which an image hangs."""
        return {picture.side for picture in self.pictures if picture.side}

    @property
    def reported(self) -> list[Mark]:
        """By their numbers: in which order the marks come changes nothing that is said of them."""
        return self._in_order(mark for mark in self.marks if mark.is_reported)

    @property
    def undecided(self) -> list[Mark]:
        return self._in_order(mark for mark in self.marks if not mark.verdict)

    @staticmethod
    def _in_order(marks: Iterable[Mark]) -> list[Mark]:
        return sorted(marks, key=lambda mark: (mark.number, mark.id))

    def written(self, *roles: Role) -> Iterator[Text]:
        """The texts of these roles that say something."""
        for text in self.texts:
            if text.role in roles and text.value.strip():
                yield text

"""How a field of a report is declared: once, beside its type, in the content class of its kind.

    margins: Annotated[
        words.Margins | Literal[""],
        Choice(label=_("Margins"), group=TUMOUR, prints=Row(TUMOUR_FACTS, _("Margins")), wide=False),
    ] = ""

All that the platform does with a field follows from this: the editor's form (`editor`), reading what the form posts
(`forms`), joining two writers' versions (`merging`), what is missing for a signature and how messages call the field
(`content`), and the printed document (`document`). Which groups and sections there are, and in which order, the content
class says in `FORM` and `DOCUMENT`; within each, fields stand in the order of their declaration.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from django.utils.functional import Promise

if TYPE_CHECKING:
    from cad_platform.modalities.modality import ReportProfile
    from cad_platform.reporting.content import ReportContent

Words = str | Promise


# --- places -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Group:
    """A heading of the form. `closing` is a template shown below its fields."""

    title: Words
    closing: str = ""


@dataclass(frozen=True, eq=False)
class Section:
    """A heading of the printed document. What is left empty is not printed."""

    title: Words


class TextSection(Section):
    """Running text: the words of its fields, one below the other."""


class FactSection(Section):
    """Rows with a name and a value; its fields name their `Row`."""


class FindingSection(Section):
    """The finding lines, each with its heading."""


class ChangeSection(Section):
    """What an addendum changes: each field before and after."""


class AssessmentSection(Section):
    """The category of the whole exam in large letters, then a row for each breast."""


@dataclass(frozen=True, eq=False)
class Row:
    """A row of a section. Fields that name the same row are joined in it, unless `words` says it otherwise."""

    section: FactSection | AssessmentSection
    title: Words
    words: Callable[[Any], str] | None = None


def always(report: ReportProfile) -> bool:
    """A field that every modality of the kind has."""
    return True


# --- declarations -----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, eq=False)
class ReportField:
    """What every declared field says.

    Parameters
    ----------
    label
        What the form and messages call it.
    group
        Where it stands in the form.
    prints
        Where it stands in the document: a section, or a row of one.
    required
        The sentence that asks for it where it is empty at signing; blank where it may stay empty or where only other
        fields tell (`ReportContent.further_problems`).
    applies_to
        Whether reports of a modality have it.
    refused
        The sentence that refuses a value where they do not.
    """

    label: Words
    group: Group
    prints: Section | Row
    required: Words = ""
    applies_to: Callable[[ReportProfile], bool] = always
    refused: Words = ""

    def words(self, value: Any) -> str:
        """The value as it is printed; empty where nothing was said."""
        return "" if value is None else str(value).strip()


@dataclass(frozen=True, kw_only=True, eq=False)
class FreeText(ReportField):
    """Sentences, in an area of `rows` lines."""

    rows: int = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class ShortText(ReportField):
    """Words on one line."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Number(ReportField):
    """A number with its unit; `step` as HTML has it."""

    unit: str
    step: str = "any"

    def words(self, value: Any) -> str:
        return "" if value is None else f"{value:g} {self.unit}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Choice(ReportField):
    """One of the values of its type, a `TextChoices` or numbers.

    Parameters
    ----------
    wide
        Whether it spans the form.
    blank
        What the form calls no choice.
    before
        Printed before its words.
    unprinted
        A value that prints nothing, because another field says it.
    attributes
        HTML attributes of the control, for the editor's script.
    """

    wide: bool = True
    blank: Words = "—"
    before: Words = ""
    unprinted: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)

    def words(self, value: Any) -> str:
        if value in (None, "", self.unprinted):
            return ""
        return f"{self.before}" + str(getattr(value, "label", value))


@dataclass(frozen=True, kw_only=True, eq=False)
class FindingLines(ReportField):
    """The list of finding lines."""


# --- what a content class declares ------------------------------------------------------------------------


@dataclass(frozen=True)
class DeclaredField:
    """A field of a content class with its declaration and what its type allows."""

    name: str
    declaration: ReportField
    choices: tuple[tuple[str, Words], ...]
    is_number: bool

    @property
    def section(self) -> Section:
        prints = self.declaration.prints
        return prints.section if isinstance(prints, Row) else prints

    @property
    def row(self) -> Row | None:
        prints = self.declaration.prints
        return prints if isinstance(prints, Row) else None

    @property
    def is_control(self) -> bool:
        """Whether one control of the form holds it; finding lines have many."""
        return not isinstance(self.declaration, FindingLines)

    @property
    def is_text(self) -> bool:
        """Whether it holds a person's own words, of which two versions can be kept."""
        return isinstance(self.declaration, (FreeText, ShortText))


@cache
def declared(content: type[ReportContent]) -> tuple[DeclaredField, ...]:
    """The declared fields of a content class, in order.

    Raises
    ------
    TypeError
        A field has no declaration or two, or stands in a group or section that the class does not list.
    """
    found = []
    for name, info in content.model_fields.items():
        if name == "kind":
            continue
        declarations = [item for item in info.metadata if isinstance(item, ReportField)]
        if len(declarations) != 1:
            raise TypeError(f"{content.__name__}.{name} needs one declaration and has {len(declarations)}.")
        types = list(_types(info.annotation))
        item = DeclaredField(
            name,
            declarations[0],
            choices=tuple(choice for kind in types for choice in _choices(kind)),
            is_number=bool(types) and not any(_holds_text(kind) for kind in types),
        )
        if item.declaration.group not in content.FORM:
            raise TypeError(f"{content.__name__}.{name} stands in a group that FORM does not list.")
        if item.section not in content.DOCUMENT:
            raise TypeError(f"{content.__name__}.{name} stands in a section that DOCUMENT does not list.")
        found.append(item)
    return tuple(found)


def _types(annotation: Any) -> Iterator[Any]:
    """The alternatives of a type, without `None` and the empty text."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _types(get_args(annotation)[0])
    elif origin is Union or str(origin) == "<class 'types.UnionType'>":
        for part in get_args(annotation):
            yield from _types(part)
    elif annotation is not type(None) and not (origin is Literal and get_args(annotation) == ("",)):
        yield annotation


def _choices(kind: Any) -> list[tuple[str, Words]]:
    if get_origin(kind) is Literal:
        return [(str(value), str(value)) for value in get_args(kind)]
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return [(str(member.value), getattr(member, "label", str(member.value))) for member in kind]
    return []


def _holds_text(kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return any(isinstance(value, str) for value in get_args(kind))
    return not (isinstance(kind, type) and issubclass(kind, (int, float)))

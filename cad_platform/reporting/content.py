"""What a report says, as typed content of one of several kinds. A draft may be incomplete; `problems` says what signing
still needs.

Stored as JSON in `Report.content`. An unknown field is an error; an empty text and None mean "not said". A kind is a
class below `reporting.kinds`, registered by its name; a modality says which one its reports are of. Each field is
declared once, see `reporting.fields`.
"""

from __future__ import annotations

import uuid
from typing import Annotated, Any, ClassVar, TypeVar

from django.utils.translation import gettext as _
from django.utils.translation import pgettext_lazy
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from cad_platform import modalities
from cad_platform.core.errors import FieldError, Invalid
from cad_platform.modalities.modality import ReportProfile
from cad_platform.reporting.fields import (
    DeclaredField,
    FindingLines,
    FindingSection,
    Group,
    Section,
    declared,
)
from cad_platform.studies.typed_text import cleaned

#: The most characters of a free text and of a line.
TEXT_LENGTH = 20_000
LINE_LENGTH = 500

_CLEAN = BeforeValidator(lambda value: cleaned(value) if isinstance(value, str) else value)
Text = Annotated[str, _CLEAN, Field(max_length=TEXT_LENGTH)]
TextLine = Annotated[str, _CLEAN, Field(max_length=LINE_LENGTH)]

FINDINGS = Group(pgettext_lazy("report", "Findings"))
FINDINGS_PRINTED = FindingSection(pgettext_lazy("report", "Findings"))


class FindingLine(BaseModel):
    """One line of the findings section: of a decided finding, or the reader's own words (`finding` None)."""

    model_config = ConfigDict(extra="forbid")

    finding: uuid.UUID | None = None
    heading: TextLine = Field("", description="number, place, label and size, written by the platform")
    text: Text = ""


class ReportContent(BaseModel):
    """The content of one kind of report. A subclass gives `kind` its name, lists the groups of its form (`FORM`) and
    the sections of its document (`DOCUMENT`) in order, and declares its fields."""

    model_config = ConfigDict(extra="forbid")
    FORM: ClassVar[tuple[Group, ...]]
    DOCUMENT: ClassVar[tuple[Section, ...]]

    kind: str

    def further_problems(self, report: ReportProfile) -> list[FieldError]:
        """What a signature needs beyond what the fields' declarations say. What contradicts itself:
        `reporting.consistency`."""
        return []


class StudyContent(ReportContent):
    """The report of a study, with a line for each finding that readers accepted, edited or drew."""

    findings: Annotated[
        list[FindingLine],
        FindingLines(label=pgettext_lazy("report", "Findings"), group=FINDINGS, prints=FINDINGS_PRINTED),
    ] = Field(default_factory=list, max_length=200)


_KINDS: dict[str, type[ReportContent]] = {}
_Content = TypeVar("_Content", bound=ReportContent)


def report_kind(content: type[_Content]) -> type[_Content]:
    """Register a content class by the name of its kind. A class decorator.

    Raises
    ------
    TypeError
        A field is not declared (`reporting.fields.declared`).
    ValueError
        Another class has the name.
    """
    name = content.model_fields["kind"].default
    if _KINDS.setdefault(name, content) is not content:
        raise ValueError(f"Two kinds of report are called {name!r}.")
    declared(content)
    return content


def kinds() -> dict[str, type[ReportContent]]:
    """Every registered kind by its name."""
    return dict(_KINDS)


def profile_of(modality: str) -> ReportProfile:
    """What a modality says of its reports."""
    return modalities.get(modality).report


def empty(modality: str) -> ReportContent:
    """The blank report of a modality."""
    return _KINDS[profile_of(modality).kind].model_validate({})


def parse(stored: dict[str, Any]) -> ReportContent:
    """Content from JSON.

    Raises
    ------
    Invalid
        It cannot be kept; each field at fault is named.
    """
    refusal = _("Something in the report cannot be saved.")
    content = _KINDS.get(stored.get("kind", ""))
    if content is None:
        raise Invalid(refusal, errors=(FieldError(_("There is no such kind of report."), "kind"),))
    try:
        return content.model_validate(stored)
    except ValidationError as error:
        found = [_field_error(item) for item in error.errors(include_url=False, include_input=False)]
        # A choice that may be empty fails as a choice and as an empty text: one message is enough.
        first = {error.field: error for error in reversed(found)}
        raise Invalid(refusal, errors=tuple(first[name] for name in sorted(first))) from error


def _field_error(item: Any) -> FieldError:
    # Pydantic names each alternative of a choice last.
    path = [str(part) for part in item["loc"] if not str(part).startswith(("literal", "str-enum", "enum"))]
    return FieldError(reason=str(item["msg"]), field=".".join(path))


def dump(content: ReportContent) -> dict[str, Any]:
    """Content as JSON values for `Report.content`."""
    stored: dict[str, Any] = content.model_dump(mode="json")
    return stored


def fields_for(content: ReportContent, modality: str) -> list[DeclaredField]:
    """The fields that a report of this kind has for this modality, in the order of the form."""
    report = profile_of(modality)
    order = type(content).FORM.index
    fields = [item for item in declared(type(content)) if item.declaration.applies_to(report)]
    return sorted(fields, key=lambda item: order(item.declaration.group))


def problems(content: ReportContent, modality: str) -> tuple[FieldError, ...]:
    """What still stands between this content and a signature, in the order of the form."""
    report = profile_of(modality)
    found = []
    for item in declared(type(content)):
        is_said = bool(item.declaration.words(getattr(content, item.name)))
        if not item.declaration.applies_to(report):
            if is_said:
                found.append(FieldError(str(item.declaration.refused), item.name))
        elif item.declaration.required and not is_said:
            found.append(FieldError(str(item.declaration.required), item.name))
    found += content.further_problems(report)
    place = {item.name: number for number, item in enumerate(fields_for(content, modality))}
    return tuple(sorted(found, key=lambda error: place.get(error.field, -1)))


def field_label(kind: str, path: str) -> str:
    """What the form of a kind calls a field, for messages about it. `path` may lead into it: `findings.0.text`."""
    content = _KINDS.get(kind)
    name = path.split(".")[0]
    labels = {item.name: item.declaration.label for item in declared(content)} if content else {}
    return str(labels.get(name, path))

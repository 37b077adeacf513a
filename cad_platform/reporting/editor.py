"""The editor's form as groups of fields, from the declarations of a report's kind: labels, kinds of control and
choices, for one template to draw."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cad_platform.reporting.content import (
    LINE_LENGTH,
    TEXT_LENGTH,
    FindingLine,
    ReportContent,
    StudyContent,
    fields_for,
)
from cad_platform.reporting.fields import Choice, DeclaredField, FindingLines, FreeText, Number


@dataclass(frozen=True)
class FormField:
    """One control. `control` is line, text, number or choice; `wide` spans the form."""

    name: str
    label: str
    control: str
    value: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    unit: str = ""
    step: str = "1"
    rows: int = 2
    wide: bool = True
    max_length: int = LINE_LENGTH
    now: str = ""
    """Of an addendum: what the field says as long as it is left unchanged."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    named_by: str = ""
    """The id of the group's heading where that is the field's name too: it is not said twice."""


@dataclass(frozen=True)
class FormGroup:
    """Fields under one heading, whose element has the id; `lines` are finding lines instead. `closing` is a template
    below them."""

    id: str
    title: str
    fields: tuple[FormField, ...] = ()
    lines: tuple[FindingLine, ...] | None = None
    closing: str = ""


def form_groups(
    content: ReportContent,
    modality: str,
    headings: Mapping[uuid.UUID | None, str] | None = None,
    standing: ReportContent | None = None,
) -> list[FormGroup]:
    """The form of a content for a modality, in reading order, filled in. `headings` as in `document.sections_of`;
    `standing` is what counts before an addendum."""
    fields = fields_for(content, modality)
    groups = []
    for number, group in enumerate(type(content).FORM, start=1):
        heading = f"report-group-{number}"
        members = [item for item in fields if item.declaration.group is group]
        has_lines = any(isinstance(item.declaration, FindingLines) for item in members)
        if members:
            groups.append(
                FormGroup(
                    heading,
                    str(group.title),
                    tuple(
                        replace(
                            _under(str(group.title), heading, _control(item, getattr(content, item.name))),
                            now=_now(item, standing),
                        )
                        for item in members
                        if item.is_control
                    ),
                    lines=_lines(content, headings or {}) if has_lines else None,
                    closing=group.closing,
                )
            )
    return groups


def _lines(
    content: ReportContent, headings: Mapping[uuid.UUID | None, str]
) -> tuple[FindingLine, ...] | None:
    if not isinstance(content, StudyContent):
        return None
    return tuple(
        line.model_copy(update={"heading": headings.get(line.finding, line.heading)})
        for line in content.findings
    )


def _under(title: str, heading: str, control: FormField) -> FormField:
    return replace(control, named_by=heading) if control.label == title else control


def _now(item: DeclaredField, standing: ReportContent | None) -> str:
    """What a field of the same name says already."""
    if standing is None or item.name not in type(standing).model_fields:
        return ""
    return item.declaration.words(getattr(standing, item.name)) or "—"


def _control(item: DeclaredField, value: Any) -> FormField:
    name, declaration = item.name, item.declaration
    label = str(declaration.label)
    if isinstance(declaration, Choice):
        options = (("", declaration.blank), *item.choices)
        return FormField(
            name,
            label,
            "choice",
            "" if value is None else str(value),
            tuple((code, str(words)) for code, words in options),
            wide=declaration.wide,
            attributes=declaration.attributes,
        )
    if isinstance(declaration, Number):
        shown = "" if value is None else f"{value:g}"
        return FormField(
            name, label, "number", shown, unit=declaration.unit, step=declaration.step, wide=False
        )
    if isinstance(declaration, FreeText):
        return FormField(name, label, "text", value, rows=declaration.rows, max_length=TEXT_LENGTH)
    return FormField(name, label, "line", value)

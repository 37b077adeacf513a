"""The editor's form as groups of fields: labels, kinds of control and choices, for one template to draw."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from cad_platform.reporting import content as contents
from cad_platform.reporting import vocabulary as words


@dataclass(frozen=True)
class FormField:
    """One control. `control` is line, text, number or choice; `wide` spans the form."""

    name: str
    label: str
    control: str
    value: Any = ""
    choices: tuple[tuple[str, str], ...] = ()
    unit: str = ""
    step: str = "1"
    rows: int = 2
    wide: bool = True
    help: str = ""
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FormGroup:
    """Fields under one heading; `lines` asks for the finding lines instead."""

    title: str
    fields: tuple[FormField, ...] = ()
    lines: tuple[contents.FindingLine, ...] | None = None


def form_groups(content: contents.Content, modality: str) -> list[FormGroup]:
    """The form of a content, in reading order."""
    if isinstance(content, contents.AddendumContent):
        return _addendum(content, modality)
    if isinstance(content, contents.ImagingContent):
        return _imaging(content, modality)
    return _histopathology(content)


def field_label(name: str) -> str:
    """What a field is called in the form, for messages about it."""
    for groups in (
        _imaging(contents.ImagingContent(), "MG"),
        _histopathology(contents.HistopathologyContent()),
        _addendum(contents.AddendumContent(), "MG"),
    ):
        for group in groups:
            for item in group.fields:
                if item.name == name:
                    return item.label
    return name


def _addendum(content: contents.AddendumContent, modality: str) -> list[FormGroup]:
    fields = [_text(content, "text", _("Addendum"), rows=6)]
    if modality != "SM":
        fields.append(
            _choice(
                content,
                "assessment",
                _("Changed BI-RADS assessment"),
                words.Assessment,
                blank=_("Unchanged"),
            )
        )
    return [FormGroup(_("Addendum"), tuple(fields))]


def _imaging(content: contents.ImagingContent, modality: str) -> list[FormGroup]:
    examination = [
        _text(content, "indication", _("Indication")),
        _text(content, "comparison", _("Comparison")),
    ]
    if modality == "MG":
        examination.append(_choice(content, "density", _("Breast density"), words.Density))
    rank = {"data-seriousness": json.dumps(words.SERIOUSNESS)}
    fitting = {
        "data-fitting": json.dumps(
            {key: [str(v) for v in value] for key, value in words.RECOMMENDATIONS_FOR.items()}
        )
    }
    return [
        FormGroup(_("Examination"), tuple(examination)),
        FormGroup(_("Findings"), lines=tuple(content.findings)),
        FormGroup(
            _("BI-RADS assessment"),
            (
                _choice(content, "right", _("Right breast"), words.Assessment, wide=False),
                _choice(content, "left", _("Left breast"), words.Assessment, wide=False),
                _choice(content, "assessment", _("Whole exam"), words.Assessment, attributes=rank),
                _choice(
                    content,
                    "recommendation",
                    _("Recommendation"),
                    words.Recommendation,
                    attributes=fitting,
                ),
                _text(content, "recommendation_text", _("Details of the recommendation")),
            ),
        ),
        FormGroup(_("Impression"), (_text(content, "impression", _("Impression"), rows=4),)),
    ]


def _histopathology(content: contents.HistopathologyContent) -> list[FormGroup]:
    score = tuple((str(n), str(n)) for n in (1, 2, 3))
    return [
        FormGroup(
            _("Specimen"),
            (
                _text(content, "clinical", _("Clinical details")),
                _choice(content, "specimen", _("Kind of specimen"), words.Specimen, wide=False),
                _choice(content, "laterality", _("Side"), words.Laterality, wide=False),
                _line(content, "site", _("Site in the breast")),
            ),
        ),
        FormGroup(_("Findings"), lines=tuple(content.findings)),
        FormGroup(
            _("Diagnosis"),
            (
                _choice(content, "diagnosis", _("Diagnosis"), words.Diagnosis),
                _text(content, "diagnosis_text", _("Diagnosis in words"), rows=3),
                _choice(content, "invasive_type", _("Type of the invasive carcinoma"), words.InvasiveType),
            ),
        ),
        FormGroup(
            _("Nottingham grade"),
            (
                _choices(content, "tubules", _("Tubules"), score),
                _choices(content, "nuclei", _("Nuclei"), score),
                _choices(content, "mitoses", _("Mitoses"), score),
            ),
        ),
        FormGroup(
            _("Tumour"),
            (
                _number(content, "tumour_size_mm", _("Size"), "mm", "0.1"),
                _choice(
                    content,
                    "lymphovascular_invasion",
                    _("Lymphovascular invasion"),
                    words.Presence,
                    wide=False,
                ),
                _choice(content, "margins", _("Margins"), words.Margins, wide=False),
                _number(content, "closest_margin_mm", _("Closest margin"), "mm", "0.1"),
            ),
        ),
        FormGroup(
            _("Receptors"),
            (
                _choice(content, "er", _("Oestrogen receptor"), words.HormoneReceptor, wide=False),
                _number(content, "er_percent", _("Oestrogen receptor, cells"), "%", "any"),
                _choice(content, "pr", _("Progesterone receptor"), words.HormoneReceptor, wide=False),
                _number(content, "pr_percent", _("Progesterone receptor, cells"), "%", "any"),
                _choice(content, "her2_ihc", _("HER2 immunohistochemistry"), words.Her2Ihc, wide=False),
                _choice(content, "her2_ish", _("HER2 in-situ hybridisation"), words.Her2Ish, wide=False),
                _number(content, "ki67_percent", _("Ki-67"), "%", "any"),
            ),
        ),
        FormGroup(_("Comment"), (_text(content, "comment", _("Comment"), rows=3),)),
    ]


def _line(content: contents.Content, name: str, label: str) -> FormField:
    return FormField(name, label, "line", getattr(content, name))


def _text(content: contents.Content, name: str, label: str, rows: int = 2) -> FormField:
    return FormField(name, label, "text", getattr(content, name), rows=rows)


def _number(content: contents.Content, name: str, label: str, unit: str, step: str) -> FormField:
    value = getattr(content, name)
    return FormField(
        name, label, "number", "" if value is None else f"{value:g}", unit=unit, step=step, wide=False
    )


def _choices(
    content: contents.Content, name: str, label: str, choices: tuple[tuple[str, str], ...]
) -> FormField:
    value = getattr(content, name)
    return FormField(
        name, label, "choice", "" if value is None else str(value), (("", "—"), *choices), wide=False
    )


def _choice(
    content: contents.Content,
    name: str,
    label: str,
    choices: Any,
    *,
    wide: bool = True,
    blank: str = "—",
    attributes: dict[str, str] | None = None,
) -> FormField:
    options = (("", blank), *((str(value), str(text)) for value, text in choices.choices))
    return FormField(
        name,
        label,
        "choice",
        str(getattr(content, name)),
        options,
        wide=wide,
        attributes=attributes or {},
    )

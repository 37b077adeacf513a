"""What is added to a signed report, whatever its kind, and what of it is changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

from django.utils.translation import gettext_lazy as _

from cad_platform.modalities.modality import ReportProfile
from cad_platform.reporting import vocabulary as words
from cad_platform.reporting.content import ReportContent, Text, report_kind
from cad_platform.reporting.fields import (
    AssessmentSection,
    ChangeSection,
    Choice,
    FreeText,
    Group,
    ReportField,
    Row,
    Section,
    TextSection,
    declared,
)
from cad_platform.reporting.kinds.histopathology import HistopathologyContent
from cad_platform.reporting.kinds.imaging import ImagingContent

ADDENDUM = Group(_("What is added"))
CHANGES = Group(_("What changes"))

REASON_PRINTED = TextSection(_("Reason"))
ADDED = TextSection(_("Addendum"))
CHANGED_ASSESSMENT = AssessmentSection(_("Changed BI-RADS assessment"))
CHANGED = ChangeSection(_("What changed"))

_NO_ASSESSMENT = _("A report of this kind has no BI-RADS assessment.")
_NO_DIAGNOSIS = _("A report of this kind has no diagnosis.")
_UNCHANGED = _("Unchanged")


def _has_assessment(report: ReportProfile) -> bool:
    return report.has_assessment


def _has_diagnosis(report: ReportProfile) -> bool:
    return report.kind == "histopathology"


def _anew(content: type[ReportContent], name: str, **otherwise: Any) -> ReportField:
    """How the addendum declares a field of a report that it may change: as the report does, but for where it stands,
    and that it may be left as it is. `otherwise` is what else differs."""
    declaration = next(item.declaration for item in declared(content) if item.name == name)
    differs: dict[str, Any] = {"group": CHANGES, "prints": CHANGED, "required": ""}
    if content is ImagingContent:
        differs |= {"applies_to": _has_assessment, "refused": _NO_ASSESSMENT}
    else:
        differs |= {"applies_to": _has_diagnosis, "refused": _NO_DIAGNOSIS}
    if isinstance(declaration, Choice):
        differs |= {"blank": _UNCHANGED, "unprinted": None, "attributes": {}}
    if isinstance(declaration.prints, Row):
        differs["prints"] = Row(CHANGED_ASSESSMENT, declaration.prints.title)
    return replace(declaration, **(differs | otherwise))


@report_kind
class AddendumContent(ReportContent):
    """What changes bears the name of the amended field and is given only where it changes (`reporting.amendments`)."""

    FORM: ClassVar[tuple[Group, ...]] = (ADDENDUM, CHANGES)
    DOCUMENT: ClassVar[tuple[Section, ...]] = (REASON_PRINTED, ADDED, CHANGED_ASSESSMENT, CHANGED)

    kind: Literal["addendum"] = "addendum"
    reason: Annotated[
        Text,
        FreeText(
            label=_("Reason of the addendum"),
            group=ADDENDUM,
            prints=REASON_PRINTED,
            required=_("Say why something is added to the signed report."),
        ),
    ] = ""
    text: Annotated[
        Text,
        FreeText(
            label=_("Addendum"),
            group=ADDENDUM,
            prints=ADDED,
            rows=6,
            required=_("Write what the addendum says."),
        ),
    ] = ""
    right: Annotated[words.Assessment | Literal[""], _anew(ImagingContent, "right")] = ""
    left: Annotated[words.Assessment | Literal[""], _anew(ImagingContent, "left")] = ""
    assessment: Annotated[
        words.Assessment | Literal[""],
        _anew(ImagingContent, "assessment", label=_("Changed BI-RADS assessment"), prints=CHANGED_ASSESSMENT),
    ] = ""
    recommendation: Annotated[words.Recommendation | Literal[""], _anew(ImagingContent, "recommendation")] = (
        ""
    )
    recommendation_text: Annotated[Text, _anew(ImagingContent, "recommendation_text")] = ""
    impression: Annotated[Text, _anew(ImagingContent, "impression", rows=3)] = ""
    diagnosis: Annotated[words.Diagnosis | Literal[""], _anew(HistopathologyContent, "diagnosis")] = ""
    diagnosis_text: Annotated[Text, _anew(HistopathologyContent, "diagnosis_text")] = ""

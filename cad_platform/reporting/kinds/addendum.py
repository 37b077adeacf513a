"""What is added to a signed report, whatever its kind, and what of it is changed."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

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
    Row,
    Section,
    TextSection,
)

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
    right: Annotated[
        words.Assessment | Literal[""],
        Choice(
            label=_("Right breast"),
            group=CHANGES,
            prints=Row(CHANGED_ASSESSMENT, words.Laterality.RIGHT.label),
            wide=False,
            blank=_UNCHANGED,
            applies_to=_has_assessment,
            refused=_NO_ASSESSMENT,
        ),
    ] = ""
    left: Annotated[
        words.Assessment | Literal[""],
        Choice(
            label=_("Left breast"),
            group=CHANGES,
            prints=Row(CHANGED_ASSESSMENT, words.Laterality.LEFT.label),
            wide=False,
            blank=_UNCHANGED,
            applies_to=_has_assessment,
            refused=_NO_ASSESSMENT,
        ),
    ] = ""
    assessment: Annotated[
        words.Assessment | Literal[""],
        Choice(
            label=_("Changed BI-RADS assessment"),
            group=CHANGES,
            prints=CHANGED_ASSESSMENT,
            blank=_UNCHANGED,
            applies_to=_has_assessment,
            refused=_NO_ASSESSMENT,
        ),
    ] = ""
    recommendation: Annotated[
        words.Recommendation | Literal[""],
        Choice(
            label=_("Recommendation"),
            group=CHANGES,
            prints=CHANGED,
            blank=_UNCHANGED,
            applies_to=_has_assessment,
            refused=_NO_ASSESSMENT,
        ),
    ] = ""
    recommendation_text: Annotated[
        Text,
        FreeText(
            label=_("Details of the recommendation"),
            group=CHANGES,
            prints=CHANGED,
            applies_to=_has_assessment,
            refused=_NO_ASSESSMENT,
        ),
    ] = ""
    impression: Annotated[
        Text,
        FreeText(
            label=_("Impression"),
            group=CHANGES,
            prints=CHANGED,
            rows=3,
            applies_to=_has_assessment,
            refused=_NO_ASSESSMENT,
        ),
    ] = ""
    diagnosis: Annotated[
        words.Diagnosis | Literal[""],
        Choice(
            label=_("Diagnosis"),
            group=CHANGES,
            prints=CHANGED,
            blank=_UNCHANGED,
            applies_to=_has_diagnosis,
            refused=_NO_DIAGNOSIS,
        ),
    ] = ""
    diagnosis_text: Annotated[
        Text,
        FreeText(
            label=_("Diagnosis in words"),
            group=CHANGES,
            prints=CHANGED,
            rows=3,
            applies_to=_has_diagnosis,
            refused=_NO_DIAGNOSIS,
        ),
    ] = ""

"""What is added to a signed report, whatever its kind."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from django.utils.translation import gettext_lazy as _

from cad_platform.reporting import vocabulary as words
from cad_platform.reporting.content import ReportContent, Text, report_kind
from cad_platform.reporting.fields import AssessmentSection, Choice, FreeText, Group, Section, TextSection

ADDENDUM = Group(_("Addendum"))

ADDED = TextSection(_("Addendum"))
CHANGED_ASSESSMENT = AssessmentSection(_("Changed BI-RADS assessment"))


@report_kind
class AddendumContent(ReportContent):
    """`assessment` is given only where it changes."""

    FORM: ClassVar[tuple[Group, ...]] = (ADDENDUM,)
    DOCUMENT: ClassVar[tuple[Section, ...]] = (ADDED, CHANGED_ASSESSMENT)

    kind: Literal["addendum"] = "addendum"
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
    assessment: Annotated[
        words.Assessment | Literal[""],
        Choice(
            label=_("Changed BI-RADS assessment"),
            group=ADDENDUM,
            prints=CHANGED_ASSESSMENT,
            blank=_("Unchanged"),
            applies_to=lambda report: report.has_assessment,
            refused=_("A report of this kind has no BI-RADS assessment."),
        ),
    ] = ""

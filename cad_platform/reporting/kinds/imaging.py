"""The report of an imaging study (mammography, ultrasound), after BI-RADS."""

from __future__ import annotations

import json
from typing import Annotated, ClassVar, Literal

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from cad_platform.core.errors import FieldError
from cad_platform.modalities.modality import ReportProfile
from cad_platform.reporting import vocabulary as words
from cad_platform.reporting.content import FINDINGS, FINDINGS_PRINTED, StudyContent, Text, report_kind
from cad_platform.reporting.fields import (
    AssessmentSection,
    Choice,
    FreeText,
    Group,
    Row,
    Section,
    TextSection,
)

EXAMINATION = Group(gettext_lazy("Examination"))
ASSESSMENT = Group(gettext_lazy("BI-RADS assessment"))
IMPRESSION = Group(gettext_lazy("Impression"))

INDICATION_PRINTED = TextSection(gettext_lazy("Indication"))
COMPARISON_PRINTED = TextSection(gettext_lazy("Comparison"))
DENSITY_PRINTED = TextSection(gettext_lazy("Breast density"))
IMPRESSION_PRINTED = TextSection(gettext_lazy("Impression"))
ASSESSMENT_PRINTED = AssessmentSection(gettext_lazy("BI-RADS assessment"))
RECOMMENDATION_PRINTED = TextSection(gettext_lazy("Recommendation"))

_SERIOUSNESS = json.dumps(words.SERIOUSNESS)
_FITTING = json.dumps({key: [str(v) for v in value] for key, value in words.RECOMMENDATIONS_FOR.items()})


@report_kind
class ImagingContent(StudyContent):
    """A whole exam: each breast's assessment, the exam's, and what follows from it."""

    FORM: ClassVar[tuple[Group, ...]] = (EXAMINATION, FINDINGS, ASSESSMENT, IMPRESSION)
    DOCUMENT: ClassVar[tuple[Section, ...]] = (
        INDICATION_PRINTED,
        COMPARISON_PRINTED,
        DENSITY_PRINTED,
        FINDINGS_PRINTED,
        IMPRESSION_PRINTED,
        ASSESSMENT_PRINTED,
        RECOMMENDATION_PRINTED,
    )

    kind: Literal["imaging"] = "imaging"
    indication: Annotated[
        Text,
        FreeText(
            label=gettext_lazy("Indication"),
            group=EXAMINATION,
            prints=INDICATION_PRINTED,
            required=gettext_lazy("Say why the examination was made."),
        ),
    ] = ""
    comparison: Annotated[
        Text, FreeText(label=gettext_lazy("Comparison"), group=EXAMINATION, prints=COMPARISON_PRINTED)
    ] = ""
    density: Annotated[
        words.Density | Literal[""],
        Choice(
            label=gettext_lazy("Breast density"),
            group=EXAMINATION,
            prints=DENSITY_PRINTED,
            required=gettext_lazy("Choose the breast density."),
            applies_to=lambda report: report.has_density,
            refused=gettext_lazy("Density is not reported for a study of this kind."),
        ),
    ] = ""
    right: Annotated[
        words.Assessment | Literal[""],
        Choice(
            label=gettext_lazy("Right breast"),
            group=ASSESSMENT,
            prints=Row(ASSESSMENT_PRINTED, words.Laterality.RIGHT.label),
            wide=False,
        ),
    ] = ""
    left: Annotated[
        words.Assessment | Literal[""],
        Choice(
            label=gettext_lazy("Left breast"),
            group=ASSESSMENT,
            prints=Row(ASSESSMENT_PRINTED, words.Laterality.LEFT.label),
            wide=False,
        ),
    ] = ""
    assessment: Annotated[
        words.Assessment | Literal[""],
        Choice(
            label=gettext_lazy("Whole exam"),
            group=ASSESSMENT,
            prints=ASSESSMENT_PRINTED,
            required=gettext_lazy("Choose the BI-RADS assessment of the exam."),
            attributes={"data-seriousness": _SERIOUSNESS},
        ),
    ] = ""
    recommendation: Annotated[
        words.Recommendation | Literal[""],
        Choice(
            label=gettext_lazy("Recommendation"),
            group=ASSESSMENT,
            prints=RECOMMENDATION_PRINTED,
            unprinted=words.Recommendation.OTHER,  # the details say what
            attributes={"data-fitting": _FITTING},
        ),
    ] = ""
    recommendation_text: Annotated[
        Text,
        FreeText(
            label=gettext_lazy("Details of the recommendation"),
            group=ASSESSMENT,
            prints=RECOMMENDATION_PRINTED,
        ),
    ] = ""
    impression: Annotated[
        Text,
        FreeText(
            label=gettext_lazy("Impression"),
            group=IMPRESSION,
            prints=IMPRESSION_PRINTED,
            rows=4,
            required=gettext_lazy("Write the impression."),
        ),
    ] = ""

    def further_problems(self, report: ReportProfile) -> list[FieldError]:
        """What the assessment asks for: a recommendation, and words for one that is not linked to it."""
        if not self.assessment:
            return []
        if not self.recommendation:
            return [FieldError(_("Choose the recommendation."), "recommendation")]
        if self.recommendation == words.Recommendation.OTHER and not self.recommendation_text.strip():
            return [FieldError(_("Say what you recommend instead, and why."), "recommendation_text")]
        return []

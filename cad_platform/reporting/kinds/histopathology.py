"""The synoptic report of a histopathology study: specimen, diagnosis, Nottingham grade, tumour and receptors."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy
from pydantic import Field

from cad_platform.core.errors import FieldError
from cad_platform.modalities.modality import ReportProfile
from cad_platform.reporting import vocabulary as words
from cad_platform.reporting.content import (
    FINDINGS,
    FINDINGS_PRINTED,
    StudyContent,
    Text,
    TextLine,
    report_kind,
)
from cad_platform.reporting.fields import (
    Choice,
    FactSection,
    FreeText,
    Group,
    Number,
    Row,
    Section,
    ShortText,
    TextSection,
)

Score = Literal[1, 2, 3]
Percent = Annotated[float, Field(ge=0, le=100)]
Millimetres = Annotated[float, Field(ge=0, le=1000)]

SPECIMEN = Group(gettext_lazy("Specimen"))
DIAGNOSIS = Group(gettext_lazy("Diagnosis"))
NOTTINGHAM = Group(gettext_lazy("Nottingham grade"), closing="reporting/nottingham_grade.html")
TUMOUR = Group(gettext_lazy("Tumour"))
RECEPTORS = Group(gettext_lazy("Receptors"))
COMMENT = Group(gettext_lazy("Comment"))

CLINICAL_PRINTED = TextSection(gettext_lazy("Clinical details"))
SPECIMEN_PRINTED = FactSection(gettext_lazy("Specimen"))
DIAGNOSIS_PRINTED = TextSection(gettext_lazy("Diagnosis"))
TUMOUR_PRINTED = FactSection(gettext_lazy("Tumour"))
COMMENT_PRINTED = TextSection(gettext_lazy("Comment"))


def _grade_words(content: HistopathologyContent) -> str:
    if content.nottingham_grade is None:
        return ""
    return _("%(grade)s (tubules %(tubules)s + nuclei %(nuclei)s + mitoses %(mitoses)s = %(total)s of 9)") % {
        "grade": content.nottingham_grade,
        "tubules": content.tubules,
        "nuclei": content.nuclei,
        "mitoses": content.mitoses,
        "total": content.nottingham_total,
    }


GRADE_ROW = Row(TUMOUR_PRINTED, gettext_lazy("Nottingham grade"), words=_grade_words)
MARGINS_ROW = Row(TUMOUR_PRINTED, gettext_lazy("Margins"))
ER_ROW = Row(TUMOUR_PRINTED, gettext_lazy("Oestrogen receptor"))
PR_ROW = Row(TUMOUR_PRINTED, gettext_lazy("Progesterone receptor"))
HER2_ROW = Row(TUMOUR_PRINTED, "HER2")


@report_kind
class HistopathologyContent(StudyContent):
    """One specimen."""

    FORM: ClassVar[tuple[Group, ...]] = (
        SPECIMEN,
        FINDINGS,
        DIAGNOSIS,
        NOTTINGHAM,
        TUMOUR,
        RECEPTORS,
        COMMENT,
    )
    DOCUMENT: ClassVar[tuple[Section, ...]] = (
        CLINICAL_PRINTED,
        SPECIMEN_PRINTED,
        FINDINGS_PRINTED,
        DIAGNOSIS_PRINTED,
        TUMOUR_PRINTED,
        COMMENT_PRINTED,
    )

    kind: Literal["histopathology"] = "histopathology"
    clinical: Annotated[
        Text, FreeText(label=gettext_lazy("Clinical details"), group=SPECIMEN, prints=CLINICAL_PRINTED)
    ] = ""
    specimen: Annotated[
        words.Specimen | Literal[""],
        Choice(
            label=gettext_lazy("Kind of specimen"),
            group=SPECIMEN,
            prints=Row(SPECIMEN_PRINTED, gettext_lazy("Specimen")),
            wide=False,
            required=gettext_lazy("Choose the kind of specimen."),
        ),
    ] = ""
    laterality: Annotated[
        words.Laterality | Literal[""],
        Choice(
            label=gettext_lazy("Side"),
            group=SPECIMEN,
            prints=Row(SPECIMEN_PRINTED, gettext_lazy("Side")),
            wide=False,
            required=gettext_lazy("Choose the side."),
        ),
    ] = ""
    site: Annotated[
        TextLine,
        ShortText(
            label=gettext_lazy("Site in the breast"),
            group=SPECIMEN,
            prints=Row(SPECIMEN_PRINTED, pgettext_lazy("in the breast", "Site")),
        ),
    ] = ""
    diagnosis: Annotated[
        words.Diagnosis | Literal[""],
        Choice(
            label=gettext_lazy("Diagnosis"),
            group=DIAGNOSIS,
            prints=DIAGNOSIS_PRINTED,
            required=gettext_lazy("Choose the diagnosis."),
        ),
    ] = ""
    diagnosis_text: Annotated[
        Text,
        FreeText(
            label=gettext_lazy("Diagnosis in words"),
            group=DIAGNOSIS,
            prints=DIAGNOSIS_PRINTED,
            rows=3,
            required=gettext_lazy("Write the diagnosis in words."),
        ),
    ] = ""
    invasive_type: Annotated[
        words.InvasiveType | Literal[""],
        Choice(
            label=gettext_lazy("Type of the invasive carcinoma"),
            group=DIAGNOSIS,
            prints=Row(TUMOUR_PRINTED, gettext_lazy("Type")),
        ),
    ] = ""
    tubules: Annotated[
        Score | None, Choice(label=gettext_lazy("Tubules"), group=NOTTINGHAM, prints=GRADE_ROW, wide=False)
    ] = None
    nuclei: Annotated[
        Score | None, Choice(label=gettext_lazy("Nuclei"), group=NOTTINGHAM, prints=GRADE_ROW, wide=False)
    ] = None
    mitoses: Annotated[
        Score | None, Choice(label=gettext_lazy("Mitoses"), group=NOTTINGHAM, prints=GRADE_ROW, wide=False)
    ] = None
    tumour_size_mm: Annotated[
        Millimetres | None,
        Number(
            label=gettext_lazy("Size"),
            group=TUMOUR,
            prints=Row(TUMOUR_PRINTED, gettext_lazy("Size")),
            unit="mm",
            step="0.1",
        ),
    ] = None
    lymphovascular_invasion: Annotated[
        words.Presence | Literal[""],
        Choice(
            label=gettext_lazy("Lymphovascular invasion"),
            group=TUMOUR,
            prints=Row(TUMOUR_PRINTED, gettext_lazy("Lymphovascular invasion")),
            wide=False,
        ),
    ] = ""
    margins: Annotated[
        words.Margins | Literal[""],
        Choice(label=gettext_lazy("Margins"), group=TUMOUR, prints=MARGINS_ROW, wide=False),
    ] = ""
    closest_margin_mm: Annotated[
        Millimetres | None,
        Number(label=gettext_lazy("Closest margin"), group=TUMOUR, prints=MARGINS_ROW, unit="mm", step="0.1"),
    ] = None
    er: Annotated[
        words.HormoneReceptor | Literal[""],
        Choice(label=gettext_lazy("Oestrogen receptor"), group=RECEPTORS, prints=ER_ROW, wide=False),
    ] = ""
    er_percent: Annotated[
        Percent | None,
        Number(label=gettext_lazy("Oestrogen receptor, cells"), group=RECEPTORS, prints=ER_ROW, unit="%"),
    ] = None
    pr: Annotated[
        words.HormoneReceptor | Literal[""],
        Choice(label=gettext_lazy("Progesterone receptor"), group=RECEPTORS, prints=PR_ROW, wide=False),
    ] = ""
    pr_percent: Annotated[
        Percent | None,
        Number(label=gettext_lazy("Progesterone receptor, cells"), group=RECEPTORS, prints=PR_ROW, unit="%"),
    ] = None
    her2_ihc: Annotated[
        words.Her2Ihc | Literal[""],
        Choice(
            label=gettext_lazy("HER2 immunohistochemistry"),
            group=RECEPTORS,
            prints=HER2_ROW,
            before=gettext_lazy("IHC "),
            wide=False,
        ),
    ] = ""
    her2_ish: Annotated[
        words.Her2Ish | Literal[""],
        Choice(
            label=gettext_lazy("HER2 in-situ hybridisation"),
            group=RECEPTORS,
            prints=HER2_ROW,
            before=gettext_lazy("ISH "),
            wide=False,
        ),
    ] = ""
    ki67_percent: Annotated[
        Percent | None,
        Number(label=gettext_lazy("Ki-67"), group=RECEPTORS, prints=Row(TUMOUR_PRINTED, "Ki-67"), unit="%"),
    ] = None
    comment: Annotated[
        Text, FreeText(label=gettext_lazy("Comment"), group=COMMENT, prints=COMMENT_PRINTED, rows=3)
    ] = ""

    @property
    def nottingham_total(self) -> int | None:
        return words.nottingham_total(self.tubules, self.nuclei, self.mitoses)

    @property
    def nottingham_grade(self) -> int | None:
        return words.nottingham_grade(self.nottingham_total)

    def further_problems(self, report: ReportProfile) -> list[FieldError]:
        """What an invasive carcinoma and an excision need."""
        found: list[FieldError] = []

        def needs(field: str, reason: str) -> None:
            if getattr(self, field) in (None, ""):
                found.append(FieldError(reason, field))

        if self.diagnosis == words.Diagnosis.INVASIVE:
            needs("invasive_type", _("Choose the type of the invasive carcinoma."))
            needs("tubules", _("Score tubule formation (1–3)."))
            needs("nuclei", _("Score nuclear pleomorphism (1–3)."))
            needs("mitoses", _("Score the mitotic count (1–3)."))
            needs("er", _("Give the oestrogen receptor, or say that it was not performed."))
            needs("pr", _("Give the progesterone receptor, or say that it was not performed."))
            needs("her2_ihc", _("Give HER2, or say that it was not performed."))
            if self.her2_ihc == words.Her2Ihc.TWO:
                needs("her2_ish", _("An equivocal HER2 (2+) needs in-situ hybridisation, done or requested."))
        if self.specimen in words.EXCISIONS and self.diagnosis in {
            words.Diagnosis.INVASIVE,
            words.Diagnosis.IN_SITU,
        }:
            needs("margins", _("Give the margins of the excision."))
        return found

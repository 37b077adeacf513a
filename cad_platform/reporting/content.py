"""What a report says, as typed content. A draft may be incomplete; `problems` says what signing still needs.

Stored as JSON in `Report.content`. An unknown field is an error; an empty text and None mean "not said".
"""

from __future__ import annotations

import unicodedata
import uuid
from typing import Annotated, Any, Literal

from django.utils.translation import gettext as _
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from cad_platform.core.errors import FieldError, Invalid
from cad_platform.reporting import vocabulary as words


def _clean(value: Any) -> Any:
    """Drop what no text needs and the database refuses (NUL, other controls, half surrogates)."""
    if not isinstance(value, str):
        return value
    text = value.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in {"Cc", "Cs"})


Text = Annotated[str, BeforeValidator(_clean), Field(max_length=20_000)]
Line = Annotated[str, BeforeValidator(_clean), Field(max_length=500)]
Score = Literal[1, 2, 3]
Percent = Annotated[float, Field(ge=0, le=100)]
Millimetres = Annotated[float, Field(ge=0, le=1000)]


class _Content(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FindingLine(_Content):
    """One line of the findings section: of a decided finding, or the reader's own words (`finding` None)."""

    finding: uuid.UUID | None = None
    heading: Line = Field("", description="number, place, label and size, written by the platform")
    text: Text = ""


class ImagingContent(_Content):
    """Mammography and ultrasound."""

    kind: Literal["imaging"] = "imaging"
    indication: Text = ""
    comparison: Text = ""
    density: words.Density | Literal[""] = Field("", description="mammography only")
    findings: list[FindingLine] = Field(default_factory=list, max_length=200)
    right: words.Assessment | Literal[""] = ""
    left: words.Assessment | Literal[""] = ""
    assessment: words.Assessment | Literal[""] = Field("", description="of the whole exam")
    recommendation: words.Recommendation | Literal[""] = ""
    recommendation_text: Text = ""
    impression: Text = ""


class HistopathologyContent(_Content):
    kind: Literal["histopathology"] = "histopathology"
    clinical: Text = ""
    specimen: words.Specimen | Literal[""] = ""
    laterality: words.Laterality | Literal[""] = ""
    site: Line = ""
    findings: list[FindingLine] = Field(default_factory=list, max_length=200)
    diagnosis: words.Diagnosis | Literal[""] = ""
    diagnosis_text: Text = ""
    invasive_type: words.InvasiveType | Literal[""] = ""
    tubules: Score | None = None
    nuclei: Score | None = None
    mitoses: Score | None = None
    tumour_size_mm: Millimetres | None = None
    lymphovascular_invasion: words.Presence | Literal[""] = ""
    margins: words.Margins | Literal[""] = ""
    closest_margin_mm: Millimetres | None = None
    er: words.HormoneReceptor | Literal[""] = ""
    er_percent: Percent | None = None
    pr: words.HormoneReceptor | Literal[""] = ""
    pr_percent: Percent | None = None
    her2_ihc: words.Her2Ihc | Literal[""] = ""
    her2_ish: words.Her2Ish | Literal[""] = ""
    ki67_percent: Percent | None = None
    comment: Text = ""

    @property
    def nottingham_total(self) -> int | None:
        return words.nottingham_total(self.tubules, self.nuclei, self.mitoses)

    @property
    def nottingham_grade(self) -> int | None:
        return words.nottingham_grade(self.nottingham_total)


class AddendumContent(_Content):
    """What is added to a signed report. `assessment` is given only where it changes."""

    kind: Literal["addendum"] = "addendum"
    text: Text = ""
    assessment: words.Assessment | Literal[""] = ""


Content = ImagingContent | HistopathologyContent | AddendumContent
_CONTENT: TypeAdapter[Content] = TypeAdapter(Annotated[Content, Field(discriminator="kind")])


def empty(modality: str) -> Content:
    """The blank report of a modality (MG, US or SM)."""
    return HistopathologyContent() if modality == "SM" else ImagingContent()


def parse(stored: dict[str, Any]) -> Content:
    """Content from JSON. Raises `Invalid` naming each field that cannot be kept."""
    try:
        return _CONTENT.validate_python(stored)
    except ValidationError as error:
        found = [_field_error(item) for item in error.errors(include_url=False, include_input=False)]
        # A choice that may be empty fails as a choice and as an empty text: one message is enough.
        first = {error.field: error for error in reversed(found)}
        raise Invalid(
            _("Something in the report cannot be saved."), errors=tuple(first[name] for name in sorted(first))
        ) from error


def _field_error(item: Any) -> FieldError:
    # Pydantic names the member of the union first, and each alternative of a choice last.
    path = [
        str(part) for part in item["loc"][1:] if not str(part).startswith(("literal", "str-enum", "enum"))
    ]
    return FieldError(reason=str(item["msg"]), field=".".join(path))


def dump(content: Content) -> dict[str, Any]:
    """Content as JSON values for `Report.content`."""
    stored: dict[str, Any] = content.model_dump(mode="json")
    return stored


def problems(content: Content, modality: str) -> tuple[FieldError, ...]:
    """What still stands between this content and a signature, in the order of the form."""
    if isinstance(content, AddendumContent):
        found = [] if content.text.strip() else [FieldError(_("Write what the addendum says."), "text")]
        if content.assessment and modality == "SM":
            found.append(FieldError(_("A histopathology report has no BI-RADS assessment."), "assessment"))
        return tuple(found)
    if isinstance(content, ImagingContent):
        return tuple(_imaging_problems(content, modality))
    return tuple(_histopathology_problems(content))


def _imaging_problems(content: ImagingContent, modality: str) -> list[FieldError]:
    found: list[FieldError] = []
    if not content.indication.strip():
        found.append(FieldError(_("Say why the examination was made."), "indication"))
    if modality == "MG" and not content.density:
        found.append(FieldError(_("Choose the breast density."), "density"))
    if modality != "MG" and content.density:
        found.append(FieldError(_("Density is reported for mammography only."), "density"))
    if not content.assessment:
        found.append(FieldError(_("Choose the BI-RADS assessment of the exam."), "assessment"))
    else:
        found += _assessment_problems(content)
    if not content.impression.strip():
        found.append(FieldError(_("Write the impression."), "impression"))
    return found


def _assessment_problems(content: ImagingContent) -> list[FieldError]:
    found: list[FieldError] = []
    breasts = [value for value in (content.right, content.left) if value]
    if breasts:
        worst = max(breasts, key=words.SERIOUSNESS.index)
        if content.assessment != worst:
            found.append(
                FieldError(
                    _("The exam's assessment must be that of its more serious breast: %(category)s.")
                    % {"category": str(worst)},
                    "assessment",
                )
            )
    if not content.recommendation:
        found.append(FieldError(_("Choose the recommendation."), "recommendation"))
    elif content.recommendation not in words.RECOMMENDATIONS_FOR[content.assessment]:
        fitting = words.RECOMMENDATIONS_FOR[content.assessment]
        found.append(
            FieldError(
                _("BI-RADS %(category)s goes with: %(recommendations)s.")
                % {
                    "category": str(content.assessment),
                    "recommendations": "; ".join(str(choice.label) for choice in fitting),
                },
                "recommendation",
            )
        )
    elif content.recommendation == words.Recommendation.OTHER and not content.recommendation_text.strip():
        found.append(FieldError(_("Say what you recommend instead, and why."), "recommendation_text"))
    return found


def _histopathology_problems(content: HistopathologyContent) -> list[FieldError]:
    found: list[FieldError] = []

    def needs(field: str, reason: str) -> None:
        value = getattr(content, field)
        if value is None or (isinstance(value, str) and not value.strip()):
            found.append(FieldError(reason, field))

    needs("specimen", _("Choose the kind of specimen."))
    needs("laterality", _("Choose the side."))
    needs("diagnosis", _("Choose the diagnosis."))
    needs("diagnosis_text", _("Write the diagnosis in words."))
    if content.diagnosis == words.Diagnosis.INVASIVE:
        needs("invasive_type", _("Choose the type of the invasive carcinoma."))
        needs("tubules", _("Score tubule formation (1–3)."))
        needs("nuclei", _("Score nuclear pleomorphism (1–3)."))
        needs("mitoses", _("Score the mitotic count (1–3)."))
        needs("er", _("Give the oestrogen receptor, or say that it was not performed."))
        needs("pr", _("Give the progesterone receptor, or say that it was not performed."))
        needs("her2_ihc", _("Give HER2, or say that it was not performed."))
        if content.her2_ihc == words.Her2Ihc.TWO:
            needs("her2_ish", _("An equivocal HER2 (2+) needs in-situ hybridisation, done or requested."))
    elif any(score is not None for score in (content.tubules, content.nuclei, content.mitoses)):
        found.append(FieldError(_("Only an invasive carcinoma has a Nottingham grade."), "tubules"))
    if content.specimen in words.EXCISIONS and content.diagnosis in {
        words.Diagnosis.INVASIVE,
        words.Diagnosis.IN_SITU,
    }:
        needs("margins", _("Give the margins of the excision."))
    found += _receptor_problems(content)
    return found


def _receptor_problems(content: HistopathologyContent) -> list[FieldError]:
    """A percentage must agree with the word beside it (ASCO/CAP 2020)."""
    found: list[FieldError] = []
    for field in ("er", "pr"):
        status, percent = getattr(content, field), getattr(content, f"{field}_percent")
        if percent is None:
            continue
        agrees = {
            words.HormoneReceptor.POSITIVE: percent >= 1,
            words.HormoneReceptor.LOW_POSITIVE: 1 <= percent <= 10,
            words.HormoneReceptor.NEGATIVE: percent < 1,
        }.get(status, False)
        if not agrees:
            found.append(
                FieldError(_("The percentage does not agree with the receptor's status."), f"{field}_percent")
            )
    return found

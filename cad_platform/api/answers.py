"""The shapes of the API's answers about studies. The OpenAPI schema is made from them, so that both cannot differ."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from cad_platform.api.image_answers import ImageAnswer
from cad_platform.core.answers import Answer, Box
from cad_platform.core.errors import FileStatus
from cad_platform.studies.post import ModalityCode, trimmed, trimmed_lines
from inference.contract import AnalysisResult

PlainText = Annotated[str, AfterValidator(trimmed)]
StudyState = Literal["receiving", "complete", "analysed", "quarantined"]


class PageAnswer(Answer):
    """One page of a list."""

    page: int = Field(description="Its number, from 1")
    pages: int = Field(description="How many there are")


class PatientLink(Answer):
    """As FHIR's `Patient.link`: another record of the same person."""

    id: str = Field(description="The other record's patient id")
    issuer: str
    type: Literal["replaces"] = Field(
        description="This record is read for the other one, which was merged into it"
    )


class PatientAnswer(Answer):
    id: str = Field(description="The hospital's patient id")
    issuer: str = Field(description="Who gave the id; empty for the site itself, where it has no name for it")
    name: str = Field(description="DICOM person name, one group: alphabetic, or the only one")
    name_ideographic: str
    name_phonetic: str
    birth_date: date | None
    birth_date_sent: str = Field(description="What was sent in place of a date: `196112`")
    sex: str
    link: list[PatientLink] = Field(
        description="Records that were merged into this one; their ids still find it"
    )


class WithdrawnAnswer(Answer):
    at: datetime
    by: str | None
    reason: str


class VerdictAnswer(Answer):
    """What a succeeded job may be said to have found. A model says nothing of images unlike those that it has learnt
    from (`out_of_distribution`): of such images alone there is no verdict, whatever numbers `result` holds for the
    laboratory. What is shown to readers, and ordered by, is this."""

    given: bool = Field(description="Whether there is a verdict; without one there is no probability")
    probability: float | None = Field(description="Calibrated probability of `probability_of`")
    probability_of: str = Field(examples=["malignant"])
    reason: Literal["", "out_of_distribution"] = Field(description="Why there is none")
    flags: list[str] = Field(description="Why to trust it less: `uncertain`, `low_quality`")
    images: list[str] = Field(description="SOP Instance UIDs of the images that it is of")
    images_left_out: list[str] = Field(description="Of those that the model cannot judge")


class JobAnswer(Answer):
    """One model version's look at the study. Exactly the succeeded ones have a `result`, the failed and the not
    applicable ones a `reason`. Those that are not `current` are history."""

    id: uuid.UUID
    model: str = Field(examples=["mammography"])
    version: str
    state: Literal["requested", "running", "succeeded", "not_applicable", "failed", "cancelled"]
    current: bool = Field(description="Whether this is the result that counts: one for each model")
    reason: str
    verdict: VerdictAnswer | None = Field(description="Of a succeeded job")
    side_unconfirmed: bool = Field(
        description="An image's side is not sure: what `result.breasts` says may be of the other breast"
    )
    result: AnalysisResult | None = Field(description="`mask` and `heatmap` are addresses of PNG images")
    attempts: int
    requested_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class FindingAnswer(Answer):
    """A place marked by a model whose result counts or by a reader, with what a reader made of it; and what a reader
    took over from an earlier result."""

    id: uuid.UUID
    number: int
    image: uuid.UUID
    sop_instance_uid: str
    frame: int | None = Field(description="Of a clip, from 0; the mark belongs to this frame only")
    source: Literal["model", "reader"]
    model: str | None
    model_version: str | None
    label: str
    score: float | None = Field(description="Calibrated probability of `score_of`, for a model's mark")
    score_of: str | None = Field(description="A class of the model, or the label", examples=["mass"])
    shown: bool = Field(
        description="Whether readers see it unasked: by the operating point that the site chose, or since it was "
        "decided on"
    )
    box: Box = Field(description="[x0, y0, x1, y1] in stored pixels, origin top left")
    polygon: list[list[float]] | None
    descriptors: dict[str, float]
    decision: str | None = Field(description="accepted, edited or rejected; none while undecided")
    decision_reason: str | None


class SignatureAnswer(Answer):
    printed_name: str
    role: str
    meaning: str
    signed_at: datetime
    content_hash: str


class AmendedField(Answer):
    """A field of a report's `content` before an addendum and after it."""

    field: str
    before: str
    after: str


class AmendmentAnswer(Answer):
    """A signed addendum, and what of the report that it amends it changed."""

    addendum: uuid.UUID
    signed_at: datetime
    printed_name: str
    reason: str
    changes: list[AmendedField]


class CountingReportAnswer(Answer):
    """What the signed report says now, with all that its addenda changed."""

    id: uuid.UUID = Field(description="Of the report, not of an addendum")
    category: str = Field(
        description="BI-RADS assessment of the exam, or diagnosis of the specimen", examples=["4C"]
    )
    content: dict[str, Any]
    signed_at: datetime
    amended_at: datetime | None
    amended_by: list[uuid.UUID] = Field(description="The signed addenda, in the order of their signing")


class ReportOverride(Answer):
    """A contradiction that a report was signed under."""

    rule: str = Field(examples=["mark_in_negative_breast"])
    sentence: str
    reason: str


class ReportAnswer(Answer):
    """A signed report or addendum; drafts are not for others."""

    id: uuid.UUID
    kind: Literal["report", "addendum"]
    amends: uuid.UUID | None
    content: dict[str, Any]
    content_hash: str
    ai_summary: dict[str, Any] = Field(description="What the models had said when it was signed")
    particulars: dict[str, Any] = Field(
        description="Patient, examination, time zone and key images as printed; empty for reports signed before 2.3"
    )
    amendments: list[AmendmentAnswer] = Field(description="The newest first")
    overrides: list[ReportOverride] = Field(
        description="Contradictions that the signer answered for, each with the reason that is printed"
    )
    signature: SignatureAnswer
    pdf: str


class QuarantinedFileAnswer(Answer):
    file: str
    sop_instance_uid: str
    sha256: str
    reason: str
    received_at: datetime


class KeptAsideAnswer(Answer):
    """A file of the study that is no image here: stored, and neither shown nor analysed."""

    file: str
    sop_instance_uid: str
    sop_class_uid: str
    modality: str
    what: str = Field(description="In words", examples=["structured report"])
    reason: Literal["no_image", "other_modality", "label", "overview", "thumbnail"] = Field(
        description="The last three are of slides: they carry names, or are shown in the slide"
    )
    sha256: str
    received_at: datetime


class ChangeAnswer(Answer):
    """One value that was put right."""

    field: str
    file: str
    old: str
    new: str


class CorrectionAnswer(Answer):
    """Something that was stored was wrong and was put right, or a withdrawn study came back."""

    kind: Literal["corrected", "brought_back"]
    version: int = Field(description="Of the study, which it made")
    changes: list[ChangeAnswer]
    reason: str
    at: datetime
    by: str | None


class DifferenceAnswer(Answer):
    """Something in a header is not used as it stands, contradicts something else, or is kept although it is not
    written as the standard asks (`used` is then the same)."""

    file: str
    field: str
    header: str = Field(description="As sent; bytes that cannot be read are escaped")
    used: str
    note: str = Field(
        "",
        exclude_if=lambda note: not note,
        description="Why, in a sentence, where the study part is not the reason",
    )


class StudySummary(Answer):
    """A study as lists show it."""

    study_instance_uid: str
    url: str
    state: StudyState
    modality: ModalityCode | Literal[""] = Field(
        description="The one that its report is of; empty while no image has come"
    )
    modalities: list[ModalityCode] = Field(description="Of all of its images")
    version: int = Field(description="One more with every image, correction or return after it was complete")
    accession_number: str
    procedure: str
    priority: Literal["routine", "urgent", "stat"]
    study_date: date | None
    received_at: datetime
    patient: PatientAnswer | None
    withdrawn: WithdrawnAnswer | None


class StudyAnswer(StudySummary):
    """The one composed answer about a study."""

    header_differences: list[DifferenceAnswer]
    images: list[ImageAnswer]
    jobs: list[JobAnswer]
    findings: list[FindingAnswer]
    report: CountingReportAnswer | None = Field(description="What counts now; none while nothing is signed")
    reports: list[ReportAnswer]
    quarantined_files: list[QuarantinedFileAnswer]
    kept_aside: list[KeptAsideAnswer]
    corrections: list[CorrectionAnswer]
    changed_after_signing: list[Literal["images", "correction"]] = Field(
        description="What came after the last report was signed, and is not in it"
    )


class StudyPage(Answer):
    next: str | None
    previous: str | None
    results: list[StudySummary]


class ReceiptImage(Answer):
    id: uuid.UUID
    file: str
    sop_instance_uid: str
    url: str


class ReceiptFile(Answer):
    """What became of one file of the post."""

    file: str
    status: FileStatus = Field(
        description="stored: an image of the study; kept_aside: stored, and no image here; duplicate: it was there; "
        "refused: not stored; quarantined: set aside, because its UID is another's"
    )
    reason: str = Field(description="Why it is not simply stored; empty where it is")
    sop_instance_uid: str
    id: uuid.UUID | None = Field(description="Of the image")
    url: str | None = Field(description="Of the image")


class ReceiptAnswer(Answer):
    """What was stored. It holds no patient data: it is kept for repeated requests."""

    study_instance_uid: str
    url: str
    state: StudyState
    created: bool = Field(description="Whether the study is new")
    version: int
    files: list[ReceiptFile] = Field(description="Every file of the post, in its order")
    images: list[ReceiptImage] = Field(description="Every image of the study")
    overridden: list[str] = Field(description="Fields in which something else is used than a header says")


class WithdrawRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, AfterValidator(trimmed_lines)] = Field(min_length=1, max_length=2000)


class SideRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    side: Literal["L", "R"]
    reason: Annotated[str, AfterValidator(trimmed_lines)] = Field(min_length=1, max_length=2000)


class SearchRequest(BaseModel):
    """By patient. In the body, because addresses are logged by every machine on the way."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    patient_id: PlainText | None = Field(None, min_length=1, max_length=256)
    issuer: PlainText | None = Field(None, max_length=256, description="Who gave the id; empty for the site")
    name: PlainText | None = Field(
        None,
        min_length=1,
        max_length=324,
        description="Every word, in any order and script, with or without accents",
    )
    birth_date: date | None = None

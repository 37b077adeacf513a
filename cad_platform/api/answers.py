"""The shapes of the API's answers. The OpenAPI schema is made from them, so that both cannot differ."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from cad_platform import modalities
from cad_platform.core.answers import Answer, Box
from cad_platform.core.errors import FileStatus
from cad_platform.studies.addresses import ImageUrls
from cad_platform.studies.post import ModalityCode, trimmed, trimmed_lines
from inference.contract import AnalysisResult

PlainText = Annotated[str, AfterValidator(trimmed)]
ReasonableDay = Annotated[date, Field(ge=date(1900, 1, 1), le=date(2999, 12, 31))]
StudyState = Literal["receiving", "complete", "analysed", "quarantined"]


class PatientAnswer(Answer):
    id: str = Field(description="The hospital's patient id")
    issuer: str = Field(description="Who gave the id; empty for the site itself, where it has no name for it")
    name: str = Field(description="DICOM person name, one group: alphabetic, or the only one")
    name_ideographic: str
    name_phonetic: str
    birth_date: date | None
    birth_date_sent: str = Field(description="What was sent in place of a date: `196112`")
    sex: str


class WithdrawnAnswer(Answer):
    at: datetime
    by: str | None
    reason: str


class RegionAnswer(Answer):
    """A part of an image with a calibration of its own (DICOM PS3.3 C.8.5.5)."""

    box: Box = Field(description="[x0, y0, x1, y1] in stored pixels, far edges exclusive")
    kind: Literal["2d", "m_mode", "doppler", "other"]
    pixel_spacing_row_um: float | None = Field(description="null where lengths mean nothing here")
    pixel_spacing_column_um: float | None


class ImageAnswer(Answer):
    """One image. Images are listed in the order in which they hang; those that are kept aside come last."""

    id: uuid.UUID
    file: str = Field(description="The file's name as posted")
    kind: Literal["dicom", "image", "slide"]
    media_type: str
    size: int
    sha256: str
    sop_instance_uid: str
    sop_instance_uid_minted: bool
    series_instance_uid: str
    roles: list[Literal["hung", "scored", "kept_aside"]] = Field(
        description="hung in the viewer's layouts, read by the models, or kept aside (it can still be opened)"
    )
    kept_aside_reason: str = Field(
        description="Why it does not hang, or is not read by the models; empty else"
    )
    laterality: str = Field(description="The side that counts: L, R or empty")
    side_stop: str = Field(description="Why the side is not sure, until a person confirms it; empty else")
    side_confirmed: bool = Field(description="Whether a person said so")
    view: str = Field(description="The plain abbreviation (CC, MLO, …); as sent where it is not understood")
    view_modifiers: list[str] = Field(description="Of DICOM PS3.16 CID 4015: ID, S, M, RL, …")
    patient_orientation: list[str] = Field(description="Where rows and columns lead; empty where not said")
    presentation_intent: str
    rows: int
    columns: int
    frames: int
    pixel_spacing_um: float | None = Field(description="null wherever one number cannot be true")
    pixel_spacing_row_um: float | None = Field(
        description="From one row to the next (down); null where regions differ"
    )
    pixel_spacing_column_um: float | None = Field(
        description="From one column to the next (to the right); null where regions differ"
    )
    pixel_spacing_source: str
    regions: list[RegionAnswer] = Field(description="Of those that overlap the first counts")
    frame_time_ms: float | None = Field(description="How long a frame of a clip is shown")
    focal_planes: list[float] = Field(description="Of a slide: heights in µm")
    urls: ImageUrls


class WindowAnswer(Answer):
    """In the units of the modality transform (PS3.3 C.11.1): after `slope` and `intercept`, or `modality_table`."""

    center: float
    width: float


class TableAnswer(Answer):
    """One entry for each stored value from `first`; values outside take the nearest entry."""

    first: int
    table: str = Field(description="Base64: 8-bit greys, or in `modality_table` 16 bits, little endian")


class OfferedWindowAnswer(Answer):
    """A way of showing the frame that its header names: a window, or a VOI table with the greys that it gives."""

    name: str
    center: float | None
    width: float | None
    function: Literal["LINEAR", "LINEAR_EXACT", "SIGMOID", "LUT"]
    display: TableAnswer | None


class SlideLevelAnswer(Answer):
    width: int
    height: int
    downsample: float


class SlideAnswer(Answer):
    width: int
    height: int
    mpp_x: float | None = Field(description="Micrometres per pixel along a row")
    mpp_y: float | None = Field(description="Micrometres per pixel along a column")
    objective_power: float | None
    tile_size: int
    overlap: int
    levels: list[SlideLevelAnswer]
    focal_planes: list[float] = Field(description="µm above the glass; `?plane=N` of a tile chooses one")
    shown_plane: int = Field(description="The one that is shown where none is asked for")
    optical_paths: list[str] = Field(
        description="Names; `?path=N` of a tile chooses one, the first by default"
    )
    remarks: list[str] = Field(
        description="Sentences: parts that have not arrived; a magnification and a scale that contradict each other"
    )


class ImageMetadata(Answer):
    """What a viewer starts from. All that concerns greys is of the frame that was asked for, and null for colour.

    `display` is how the frame is shown at opening, everything that its header says included: a stored value `v` of
    `pixels?frame=N` is the grey `table[clip(v − first, 0, len(table) − 1)]`, and `rendered?frame=N` is that picture.
    """

    id: uuid.UUID
    kind: Literal["dicom", "image", "slide"]
    sop_instance_uid: str
    file_name: str
    rows: int
    columns: int
    frames: int
    samples: int
    bits_allocated: int
    bits_stored: int
    signed: bool
    photometric: str
    slope: float
    intercept: float
    window: WindowAnswer | None
    window_function: Literal["LINEAR", "LINEAR_EXACT", "SIGMOID", "LUT"] | None = Field(
        description="How `display` uses `window`; of a VOI table it is the range that the table maps"
    )
    min: float | None = Field(description="After the modality transform, padding left out")
    max: float | None
    display: TableAnswer | None
    frames_alike: bool = Field(description="Whether `display` is that of every frame")
    windows: list[OfferedWindowAnswer]
    modality_table: TableAnswer | None = Field(description="In the place of slope and intercept")
    padding: tuple[int, int] | None = Field(description="Stored values that are no picture, both included")
    lossy: bool
    pixel_spacing_um: float | None
    pixel_spacing_source: str
    laterality: str
    view: str
    body_part: str
    slide: SlideAnswer | None
    urls: ImageUrls


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


class ReportAnswer(Answer):
    """A signed report or addendum; drafts are not for others."""

    id: uuid.UUID
    kind: Literal["report", "addendum"]
    amends: uuid.UUID | None
    content: dict[str, Any]
    content_hash: str
    ai_summary: dict[str, Any] = Field(description="What the models had said when it was signed")
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


class ServingAnswer(Answer):
    """How a model server has lately answered real predictions with a version."""

    answers: bool
    at: datetime | None = Field(description="When it last answered")
    reason: str = Field(description="Why it does not answer; begins `not served here` where no server has it")
    latency_ms: float | None


class ModelAnswer(Answer):
    """One version of a model."""

    name: str = Field(examples=["ultrasound"])
    version: str = Field(examples=["2.2.0"])
    modality: str = Field(examples=[modalities.codes()[0]])
    title: str
    is_default: bool = Field(description="Studies are analysed with it")
    in_store: bool = Field(description="The model store holds this very version")
    serving: ServingAnswer
    registered_at: datetime
    weights_sha256: str


class ModelList(Answer):
    results: list[ModelAnswer]


class RegistrationAnswer(Answer):
    """What came of reading the model store."""

    new: list[ModelAnswer] = Field(description="Not known before")
    known: int = Field(description="How many versions of the store are known now, these included")
    refused: list[str] = Field(description="A sentence about each folder of the store that cannot be used")


class DefaultRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: PlainText = Field("", max_length=2000, description="For the audit log")


class DefaultAnswer(Answer):
    model: ModelAnswer
    previous: str | None = Field(description="The version that was the default until now, if another was")


class AnalysisUnderWay(Answer):
    id: uuid.UUID
    model: str = Field(examples=["ultrasound"])
    version: str
    state: Literal["requested", "running"]


class AnalysesAnswer(Answer):
    """What looks at a study now. It says nothing of the patient."""

    study_instance_uid: str
    url: str = Field(description="Where what came of it is read")
    jobs: list[AnalysisUnderWay]


class ReanalysisRequest(BaseModel):
    """Which studies. What is left out narrows nothing, but for `state`."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    state: Literal["unread", "analysing", "ready", "draft", "signed", "all"] = Field(
        "unread", description="`unread`: not signed yet"
    )
    modality: ModalityCode | None = None
    priority: Literal["routine", "urgent", "stat"] | None = None
    received_from: ReasonableDay | None = Field(
        None, description="The first day, in the platform's time zone"
    )
    received_until: ReasonableDay | None = Field(None, description="The last day, inclusive")
    shown: Literal["any", "none", "by", "other"] = Field(
        "any",
        description="Whose result the study shows now: any or none; none (it failed or was not analysed); that `by` "
        "the named version; that of an`other` version of the named one's model",
    )
    model: PlainText | None = Field(None, max_length=100, description="With `by` and `other`")
    version: PlainText | None = Field(None, max_length=100, description="With `by` and `other`")


class ReanalysisAnswer(Answer):
    """How far a set is: each study in exactly one of the counts."""

    id: uuid.UUID
    requested_at: datetime
    requested_by: str
    site: str | None = Field(description="The site's code; none for an administrator's set of every site")
    criteria: dict[str, str] = Field(description="What was asked for")
    total: int
    waiting: int = Field(description="Not begun; after a stop these stay as they are")
    at_work: int
    done: int
    failed: int
    left_out: int = Field(description="Withdrawn or analysed meanwhile")
    open: bool
    stopped_at: datetime | None


class ReanalysisList(Answer):
    results: list[ReanalysisAnswer]

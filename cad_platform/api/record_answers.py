"""The shapes of the API's answers about patients' records as a whole, and of what is asked of them. A patient is named
in a body, never in an address."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from cad_platform.api.answers import PageAnswer, PlainText
from cad_platform.core.answers import Answer
from cad_platform.records.reasons import LONGEST
from cad_platform.records.retention import MOST_YEARS
from cad_platform.studies.post import trimmed_lines

Reason = Annotated[str, AfterValidator(trimmed_lines), Field(min_length=1, max_length=LONGEST)]
OnBehalf = Literal["patient", "representative", "retention", "authority"]
ErasureState = Literal["asked", "refused", "decided", "files", "done"]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class PatientNamed(_Asked):
    """Whose record is meant."""

    patient_id: PlainText = Field(min_length=1, max_length=256)
    issuer: PlainText = Field("", max_length=256, description="Who gave the id; empty for the site itself")


class TwoRecords(_Asked):
    """Two records of one patient: `gone` is read as `kept` once they are merged."""

    kept: PatientNamed
    gone: PatientNamed


class MergeRequest(TwoRecords):
    reason: Reason


class ReasonRequest(_Asked):
    reason: Reason


class HoldRequest(PatientNamed):
    reason: Reason


class ErasureAsked(PatientNamed):
    on_behalf: OnBehalf = Field(description="Who wants it")
    reason: Reason = Field(description="It is kept: name nobody in it")


class PolicyRequest(_Asked):
    years: int | None = Field(
        ge=1, le=MOST_YEARS, description="Years after the last visit; null: nothing falls due"
    )


class RecordAnswer(Answer):
    """A patient's record. Of an erased one nothing says any more who it was."""

    record: uuid.UUID = Field(description="The record's own id, the same for ever")
    id: str = Field(description="The hospital's patient id")
    issuer: str
    name: str = Field(description="DICOM person name, all groups")
    birth_date: date | None
    sex: str
    erased: bool


class SideAnswer(Answer):
    """One of two records, with what hangs on it."""

    patient: RecordAnswer
    studies: int
    signed_reports: int
    also: list[str] = Field(description="Ids of records that were merged into it before")


class ComparedAnswer(Answer):
    """Two records beside each other, before they become one."""

    kept: SideAnswer
    gone: SideAnswer
    differing: list[Literal["birth_date", "name", "sex"]]


class MergeAnswer(Answer):
    """Two records that became one, and perhaps two again."""

    id: uuid.UUID
    kept: RecordAnswer
    gone: RecordAnswer
    reason: str
    at: datetime
    by: str
    moved: int = Field(description="How many studies went over")
    undone_at: datetime | None
    undone_by: str | None
    undone_reason: str


class MergeDetail(MergeAnswer):
    """With the studies, by their Study Instance UIDs."""

    studies: list[str] = Field(description="Those that it moved")
    came_since: list[str] = Field(
        description="Those that the record that stays got after it: taking the merge back leaves them there"
    )


class MergePage(PageAnswer):
    results: list[MergeAnswer]


class DueAnswer(Answer):
    patient: RecordAnswer
    last_visit: date


class DuePage(PageAnswer):
    """Those that waited the longest first."""

    years: int | None = Field(description="How long the site keeps records; null: for ever, nothing is due")
    results: list[DueAnswer]


class PolicyAnswer(Answer):
    site: str = Field(description="Its code")
    years: int | None


class PolicyList(Answer):
    results: list[PolicyAnswer]


class HoldAnswer(Answer):
    """While it stands nothing of the patient is erased."""

    id: uuid.UUID
    patient: RecordAnswer
    reason: str
    placed_at: datetime
    placed_by: str
    lifted_at: datetime | None
    lifted_by: str | None
    lifted_reason: str


class HoldPage(PageAnswer):
    results: list[HoldAnswer]


class ErasureAnswer(Answer):
    """That all of a patient is to go: asked by one person, decided by another, then carried out."""

    id: uuid.UUID
    patient: RecordAnswer
    on_behalf: OnBehalf
    reason: str
    state: ErasureState
    asked_at: datetime
    asked_by: str
    decided_at: datetime | None
    decided_by: str | None
    refused_reason: str
    done_at: datetime | None


class ErasureDetail(ErasureAnswer):
    extent: dict[str, int] = Field(
        description="How many of each would go, or went: records, studies, images, files"
    )


class ErasurePage(PageAnswer):
    results: list[ErasureAnswer]

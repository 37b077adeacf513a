"""The shapes of the API's answers about consent and data sets."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from cad_platform.api.answers import PlainText
from cad_platform.core.answers import Answer
from cad_platform.studies.post import ModalityCode


class ConsentRequest(BaseModel):
    """What a patient said. It is sent in a body: no address names a patient."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    patient_id: PlainText = Field(min_length=1, max_length=256)
    issuer: PlainText = Field("", max_length=256)
    state: Literal["yes", "no", "unknown"]
    source: Literal["form", "spoken", "letter", "correction"]


class ConsentAnswer(Answer):
    """What counts from now on."""

    state: Literal["yes", "no", "unknown"]
    source: Literal["form", "spoken", "letter", "correction"]
    recorded_at: datetime


class DatasetRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    modality: ModalityCode


class DatasetAnswer(Answer):
    """One version of a site's data set. It names no patient."""

    id: uuid.UUID
    site: str
    modality: str
    number: int
    made_at: datetime
    images: int
    patients: int
    labels: dict[str, int]
    left_out: dict[str, int] = Field(description="Images that were left out, by reason")
    withdrawn: int = Field(description="Patients who no longer consent: above 0 nothing is exported any more")


class DatasetList(Answer):
    results: list[DatasetAnswer]


class TrainingRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    recipe: PlainText = Field(max_length=80, examples=["byra2021_deep_representation_scaling"])
    variant: PlainText = Field("", max_length=40)


class TrainingAnswer(Answer):
    """A recipe that learns from a version."""

    id: uuid.UUID
    dataset: uuid.UUID
    recipe: str
    variant: str
    state: Literal["waiting", "running", "succeeded", "failed", "cancelled"]
    step: str
    progress: str = Field(description="The step's last words, in English")
    said: str = Field(description="Why it failed, in English")
    asked_at: datetime
    ended_at: datetime | None
    model: str | None = Field(description="What came of it: uploaded, to be verified and approved")
    version: str | None


class TrainingList(Answer):
    results: list[TrainingAnswer]

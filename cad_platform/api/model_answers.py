"""The shapes of the API's answers about models and re-analyses, and of what is asked of them. The OpenAPI schema is
made from them, as from `api.answers`."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from cad_platform import modalities
from cad_platform.api.answers import PlainText
from cad_platform.core.answers import Answer
from cad_platform.studies.post import ModalityCode

ReasonableDay = Annotated[date, Field(ge=date(1900, 1, 1), le=date(2999, 12, 31))]


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

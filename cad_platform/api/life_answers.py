"""The shapes of the API's answers about a model version's life, and of what is asked of it."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from cad_platform.api.answers import PlainText
from cad_platform.core.answers import Answer

LifeState = Literal["uploaded", "verified", "approved", "retired"]


class CheckAnswer(Answer):
    check: str = Field(examples=["signature"])
    passed: bool
    said: str


class VerificationAnswer(Answer):
    state: Literal["waiting", "passed", "failed"]
    requested_at: datetime
    ended_at: datetime | None
    checks: list[CheckAnswer]


class ApprovalAnswer(Answer):
    by: str
    role: str
    at: datetime
    change_class: str
    modification: str
    protocol: str
    impact: str
    reason: str


class LifeAnswer(Answer):
    """Where a version stands in its life."""

    name: str
    version: str
    state: LifeState
    is_default: bool
    came_with_installation: bool = Field(description="Taken into use at the set-up, without approvals")
    verification: VerificationAnswer | None = Field(description="The latest")
    approvals: list[ApprovalAnswer]
    missing: list[str] = Field(
        description="What figures do not show yet, before it may take the default's place; sentences"
    )


class ApproveRequest(BaseModel):
    """The second person may leave out all but the reason: then they agree to what the first has written."""

    model_config = ConfigDict(extra="forbid")

    reason: PlainText = Field(max_length=2000)
    change_class: Literal["", "technical", "retrained", "inputs", "method", "outside"] = ""
    modification: PlainText = Field("", max_length=2000, description="What was changed")
    protocol: PlainText = Field("", max_length=2000, description="How it was verified and validated")
    impact: PlainText = Field("", max_length=2000, description="Benefits and risks")


class ReasonRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: PlainText = Field("", max_length=2000, description="For the audit log")


class RouteRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    kind: Literal["shadow", "canary", "default"]
    site: PlainText | None = Field(None, max_length=40, description="Its code; every site where left out")
    percent: int | None = Field(None, ge=1, le=99, description="Of the patients, of a canary")
    reason: PlainText = Field("", max_length=2000, description="For the audit log")


class RouteAnswer(Answer):
    id: int
    name: str
    version: str
    kind: Literal["shadow", "canary", "default"]
    site: str | None
    percent: int | None
    since: datetime


class RouteList(Answer):
    results: list[RouteAnswer]


class CompareRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    against: PlainText = Field(max_length=40, description="A version of the same model")


class ComparisonAnswer(Answer):
    """AUC of the version and of the other on the same known cases; `low` is the lower bound of the 95 % interval of
    their difference, which may not lie below -0.01."""

    positives: int
    negatives: int
    auc: float
    auc_against: float
    low: float
    made_at: datetime


class WithoutScoreAnswer(Answer):
    """Studies that one version gave no score of."""

    studies: int
    no_verdict: int = Field(description="Of images that are unlike what the version knows")
    not_analysed: int = Field(description="Something that it needs is missing, or they are not for it")
    failed: int


class UnscoredAnswer(Answer):
    """Studies that both have looked at and that at least one gave no score of; they are in no other figure."""

    studies: int
    by_version: WithoutScoreAnswer
    by_against: WithoutScoreAnswer
    by_both: int


class AgreementAnswer(Answer):
    place: str
    looked_at: int = Field(description="Studies that both have ended with: `studies` and `unscored`")
    studies: int = Field(description="Those that both gave a score of, which the figures are of")
    unscored: UnscoredAnswer
    mean_gap: float
    largest_gap: float
    flips: int = Field(description="Studies on two sides of the balanced operating point")
    kappa: float | None
    level: float | None = Field(
        description="Where that point lies for the version at this site: the site's own in force, else as shipped; "
        "null of all sites together, where each site's counts"
    )
    level_against: float | None = Field(description="The same of the version it is compared with")
    comparison: ComparisonAnswer | None


class AgreementList(Answer):
    against: str
    results: list[AgreementAnswer]


class TruthRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    table: str = Field(
        max_length=2_000_000, description="CSV: columns `study` (UID) and `positive` (yes or no)"
    )


class TruthAnswer(Answer):
    studies: int


class UploadRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    file_name: PlainText = Field(max_length=200)
    size: int = Field(ge=1, le=2 * 1024**3)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class UploadAnswer(Answer):
    id: uuid.UUID
    state: Literal["receiving", "imported", "refused"]
    size: int
    received: int = Field(description="The next piece begins at this byte")
    said: str = Field(description="Why it was refused")
    name: str | None
    version: str | None

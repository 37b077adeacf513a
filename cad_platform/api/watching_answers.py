"""The shapes of the API's answers about what the models do: figures, drift, calibration, subgroups, alerts."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from cad_platform.api.answers import PlainText
from cad_platform.core.answers import Answer

Days = Literal[1, 7, 30, 90]


class WatchingFilters(BaseModel):
    """Which figures."""

    model_config = ConfigDict(extra="forbid")

    model: PlainText = Field(max_length=60)
    version: PlainText = Field(max_length=60)
    site: PlainText | None = Field(None, max_length=60)
    days: int = 7


class AlertFilters(BaseModel):
    """Which alerts."""

    model_config = ConfigDict(extra="forbid")

    standing: bool | None = None


class AcknowledgeRequest(BaseModel):
    """What came of an alert; no patient is named."""

    model_config = ConfigDict(extra="forbid")

    note: PlainText = ""


class ChoiceAnswer(Answer):
    """What figures are of."""

    model: str
    version: str
    site: str | None = Field(description="None: every site")
    days: Days


class AucAnswer(Answer):
    value: float
    low: float = Field(description="Lower end of the 95 % interval (DeLong)")
    high: float


class PeriodAnswer(Answer):
    begins: datetime = Field(description="An hour where one day is asked for, else a day")
    ended: int
    verdicts: int
    signed: int


class LatencyAnswer(Answer):
    """Upper edges of the bar of the histogram that a quantile lies in; none above the last edge, 1800 s."""

    phase: str
    median_seconds: float | None
    p95_seconds: float | None


class FiguresAnswer(Answer):
    """What ended and was signed in the period."""

    choice: ChoiceAnswer
    ended: int
    states: dict[str, int]
    failures: dict[str, int] = Field(description="By kind of reason")
    refusals: dict[str, int] = Field(description="By kind of reason")
    flags: dict[str, int]
    verdicts: int
    scores: list[int] = Field(description="Verdicts by twentieths of the score, from 0")
    latencies: list[LatencyAnswer]
    signed: int
    decisions: dict[str, int] = Field(description="Of readers, on the model's marks in signed studies")
    compared: int = Field(description="Cases whose report says yes or no to the model's question")
    contradicted: int = Field(description="Those of them whose report says otherwise than the model")
    periods: list[PeriodAnswer]


class SiteDriftAnswer(Answer):
    """The latest scores against the site's first: none of the three where there are too few."""

    site: str
    population_stability_index: float | None = Field(description="Less what chance gives")
    kolmogorov_smirnov: float | None
    cases: int | None


class DeviceAnswer(Answer):
    """The latest shift test of a device's images."""

    site: str
    device: str
    tested_at: datetime
    images: int
    differs_in: list[str]


class DriftAnswer(Answer):
    choice: ChoiceAnswer
    sites: list[SiteDriftAnswer]
    devices: list[DeviceAnswer]


class TenthAnswer(Answer):
    """Cases of a tenth of the probabilities; shares in percent."""

    cases: int
    range: str = Field(examples=["30–40 %"])
    expected_percent: float
    found_percent: float


class CalibrationAnswer(Answer):
    """Against pathology, else final reports that leave nothing open; of the latest cases, not of a period."""

    choice: ChoiceAnswer
    judged: int
    auc: AucAnswer | None
    tenths: list[TenthAnswer]


class SubgroupAnswer(Answer):
    group: Literal["age_band", "vendor", "device", "density", "sides"]
    value: str = Field(description="Empty: not known")
    verdicts: int
    positive: int = Field(description="At the balanced operating point")
    judged: int
    auc: AucAnswer | None = Field(description="None of fewer than 30 judged cases, or of one kind alone")


class SubgroupList(Answer):
    choice: ChoiceAnswer
    results: list[SubgroupAnswer]


class AlertAnswer(Answer):
    id: uuid.UUID
    measure: str
    model: str
    version: str
    site: str | None
    device: str
    value: float
    threshold: float
    evidence: dict[str, float | int | str]
    raised_at: datetime
    seen_at: datetime = Field(description="When it was last beyond the threshold")
    ended_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    note: str


class AlertList(Answer):
    results: list[AlertAnswer]


class RuleRequest(BaseModel):
    """From which value on whom a rule tells."""

    model_config = ConfigDict(extra="forbid")

    threshold: float = Field(gt=0, allow_inf_nan=False)
    owner: PlainText | None = Field(
        None, max_length=150, description="An administrator's user name; every administrator if left out"
    )
    watched: bool = True


class RuleAnswer(Answer):
    measure: str
    threshold: float
    unit: str = Field(description="What the threshold is a number of")
    owner: str | None = Field(description="null: every administrator")
    watched: bool


class RuleList(Answer):
    results: list[RuleAnswer]

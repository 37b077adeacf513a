"""The shapes of the API's answers about model servers, and of what is asked of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from cad_platform.api.answers import PlainText
from cad_platform.core.answers import Answer

Workers = Annotated[int, Field(ge=1, le=32)]
Name = Annotated[PlainText, Field(min_length=1, max_length=60, pattern=r"^[A-Za-z0-9_.-]+$")]


Protocol = Literal["torchserve", "open_inference"]


class WorkerAnswer(Answer):
    """One worker process, as its host says."""

    id: str
    status: str = Field(examples=["READY"])
    since: str = Field(description="When it was started, in the host's own words")
    memory_mb: int
    gpu: bool


class HostedVersionAnswer(Answer):
    """One version on one host, as traffic, known cases and the host itself show it."""

    model: str = Field(examples=["ultrasound"])
    version: str = Field(examples=["2.2.0"])
    loaded: bool | None = Field(description="None: the host was not asked yet")
    resting: bool = Field(description="It failed, and gets work again once it has answered a known case")
    right: bool | None = Field(
        description="Its answer to the version's known case; a wrong one gets no work. None: not compared since it "
        "came (back), or there is no case to compare"
    )
    reason: str = Field(description="Of the latest failure")
    changed_at: datetime | None
    compared_at: datetime | None
    default: bool | None = Field(description="The host asks it where no version is named")
    min_workers: int | None
    max_workers: int | None
    ready_workers: int | None
    pending: int | None = Field(description="Requests that wait for a worker")
    workers: list[WorkerAnswer]
    calls: int
    failures: int
    p99_ms: float | None


class DrainedAnswer(Answer):
    """Whether a host that drains has nothing left to do."""

    done: bool
    by_counters: bool = Field(
        description="The host's counters show it; else the time in which the longest call ends"
    )
    since: datetime | None


class HostAnswer(Answer):
    """A model server."""

    id: int
    name: str
    url: str
    protocol: Protocol
    state: Literal["ready", "degraded", "draining", "down"]
    reason: str
    source: Literal["listed", "named", "added"]
    device: str
    draining_since: datetime | None
    drained: DrainedAnswer | None = Field(description="None where it does not drain")
    memory_used_mb: int | None
    memory_total_mb: int | None
    requests_total: int | None = Field(description="By its own counters")
    pending: int | None
    versions: list[HostedVersionAnswer]


class HostList(Answer):
    results: list[HostAnswer]


class HostRequest(BaseModel):
    """Files are named as the platform's processes see them; no token is sent."""

    model_config = ConfigDict(extra="forbid")

    url: PlainText = Field(max_length=300, examples=["https://gpu-2:8443"])
    name: PlainText = Field("", max_length=120, description="Its address where left out")
    management_url: PlainText = Field("", max_length=300)
    metrics_url: PlainText = Field("", max_length=300)
    key_file: PlainText = Field("", max_length=500)
    ca_file: PlainText = Field("", max_length=500)
    server_name: PlainText = Field("", max_length=255)
    protocol: Protocol = Field(
        "torchserve", description="How it is asked; `open_inference`: KServe v2, Triton"
    )


class LoadRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    model: Name
    version: Name
    workers: Workers = 1


class ScaleRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    minimum: Workers
    maximum: Workers

"""What the fleet's pages show, put together from the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from cad_platform.core.actor import Actor
from cad_platform.modelserver import selectors
from cad_platform.modelserver.models import HostedVersion, ModelHost
from cad_platform.modelserver.states import Drained, HostState, State
from cad_platform.modelserver.words import host_words

_TONES = {State.READY: "good", State.DEGRADED: "warn", State.DRAINING: "accent", State.DOWN: "danger"}


@dataclass(frozen=True)
class WorkerRow:
    """One worker process. `since`: none where its host says it in words that are no moment."""

    id: str
    status: str
    since: datetime | None
    memory_mb: int
    device: str


@dataclass(frozen=True)
class VersionRow:
    """One version on one host, in words."""

    row: HostedVersion
    words: str
    tone: str
    reason: str
    workers: Sequence[WorkerRow]

    @property
    def minimum(self) -> int:
        return self.row.min_workers or self.row.workers or 1

    @property
    def maximum(self) -> int:
        return max(self.row.max_workers or 1, self.minimum)


@dataclass(frozen=True)
class HostRow:
    """A host as the list and its own page show it."""

    host: ModelHost
    state: State
    tone: str
    reason: str
    versions: Sequence[VersionRow]
    drained: str

    @property
    def label(self) -> str:
        return str(self.state.label)

    @property
    def is_draining(self) -> bool:
        return self.host.draining_since is not None

    @property
    def may_be_removed(self) -> bool:
        return self.host.source == ModelHost.Source.ADDED

    @property
    def answering(self) -> int:
        return sum(version.tone == "good" for version in self.versions)

    @property
    def memory(self) -> str:
        """Of its device; of its workers, where the device's is not known."""
        used, total = self.host.memory_used_mb, self.host.memory_total_mb
        if used is not None and total is not None:
            return _("%(used)s of %(total)s GB") % {"used": _gigabytes(used), "total": _gigabytes(total)}
        if used is not None:
            return _("%(used)s GB") % {"used": _gigabytes(used)}
        workers = sum(worker.memory_mb for version in self.versions for worker in version.workers)
        return _("%(used)s GB of its workers") % {"used": _gigabytes(workers)} if workers else ""


def rows(actor: Actor) -> list[HostRow]:
    """Every host, by name. Raises `NotPermitted`."""
    return [_row(found) for found in selectors.fleet_of(actor)]


def row(actor: Actor, host_id: int) -> HostRow:
    """One. Raises `NotPermitted` and `NotFound`."""
    return _row(selectors.host_state(actor, host_id))


def _row(found: HostState) -> HostRow:
    versions = [_version(each) for each in found.host.versions.all()]
    words = "" if found.drained is None else _drained(found.drained)
    reason = "" if found.drained is not None else host_words(found.reason)
    return HostRow(found.host, found.state, _TONES[found.state], reason, versions, words)


def _version(found: HostedVersion) -> VersionRow:
    if found.is_right is False:
        words, tone = _("Wrong answers"), "danger"
    elif found.is_loaded is False:
        words, tone = _("Not loaded"), ""
    elif found.is_resting:
        words, tone = _("Resting"), "warn"
    elif found.is_loaded:
        words, tone = _("Answers"), "good"
    else:
        words, tone = _("Not tried yet"), ""
    workers = [_worker(each) for each in found.worker_details]
    return VersionRow(found, words, tone, host_words(found.reason), workers)


def _worker(said: dict[str, Any]) -> WorkerRow:
    try:
        since = parse_datetime(said["since"])
    except ValueError:
        since = None
    return WorkerRow(said["id"], said["status"], since, said["memory_mb"], "cuda" if said["gpu"] else "cpu")


def _drained(found: Drained) -> str:
    if found.is_done:
        if found.by_counters:
            return _("Nothing is in flight, as its counters show: it may be stopped.")
        return _("Nothing of the platform is in flight: it may be stopped. Its counters cannot be read.")
    if found.by_counters:
        return _("Something may be in flight, as its counters show.")
    return _("Calls may be in flight; its counters cannot be read.")


def _gigabytes(megabytes: int) -> str:
    return f"{megabytes / 1024:.1f}"

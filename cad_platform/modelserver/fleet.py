"""The fleet of the database: every process has the same hosts, and what one learns of them all know a second later."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now

from cad_platform.modelserver import discovery, judgements
from cad_platform.modelserver.hosts import Fleet, Host, Said, Version
from cad_platform.modelserver.models import HostedVersion, ModelHost
from cad_platform.modelserver.tokens import TokenSource
from inference.contract import ModelServerUnavailable

logger = logging.getLogger(__name__)

#: Rows are read again after so long, and successes written at most so often.
REFRESH_SECONDS, WRITE_SECONDS = 1.0, 5.0
#: What stands in a host's row and decides how it is asked.
_ASKED_BY = ("name", "url", "management_url", "metrics_url", "key_file", "ca_file", "server_name", "protocol")


@dataclass
class _Unwritten:
    """What happened since the row of a version on a host was last written, and what was known of it then."""

    calls: int = 0
    failures: int = 0
    written_at: float = float("-inf")
    is_resting: bool | None = None
    is_absent: bool | None = None
    is_right: bool | None = None
    #: The row's own, as it was last taken over.
    changed_at: datetime | None = None
    #: Threads that are about to write; one after another, so that the last one writes what holds then.
    writers: int = 0
    turn: threading.Lock = field(default_factory=threading.Lock)


class StoredFleet(Fleet):
    """Hosts and what is known of them by their rows; one a process."""

    def __init__(self) -> None:
        super().__init__()
        self._reading = threading.Lock()
        self._read_at = float("-inf")
        self._reconciled = False
        self._known: dict[int, tuple[tuple[str, ...], Host]] = {}
        self._writing = threading.Lock()
        self._unwritten: defaultdict[tuple[Host, Version], _Unwritten] = defaultdict(_Unwritten)

    def hosts(self) -> tuple[Host, ...]:
        """Those of the rows, read again when they are a second old. Without the database those that were read last."""
        if time.monotonic() - self._read_at >= REFRESH_SECONDS and self._reading.acquire(
            blocking=self._read_at < 0
        ):
            try:
                if time.monotonic() - self._read_at >= REFRESH_SECONDS:
                    self._read()
            except DatabaseError as error:
                if self._read_at < 0:
                    raise ModelServerUnavailable("the model servers' addresses cannot be read") from error
                logger.warning("model servers are those of before: %s", type(error).__name__)
                self._read_at = time.monotonic()
                if not connection.in_atomic_block:
                    connection.close()
            finally:
                self._reading.release()
        return self._hosts

    def note(self, host: Host, version: Version, said: Said, reason: str = "") -> None:
        """Write it where all processes see it: what changes at once, how often it succeeded now and then."""
        served = host.versions[version]
        with self._writing:
            unwritten = self._unwritten[host, version]
            failed = said in {Said.FAILED, Said.FAILED_FOR_CERTAIN}
            unwritten.failures += failed
            unwritten.calls += said in {Said.ANSWERED, Said.RIGHT}
            absent = unwritten.is_absent if failed else said is Said.ABSENT
            now = (served.is_resting, absent, served.is_right)
            changed = now != (unwritten.is_resting, unwritten.is_absent, unwritten.is_right)
            # That a worker is there is said every few seconds and is news only where it was thought otherwise.
            if not changed and (
                said is Said.THERE or time.monotonic() - unwritten.written_at < WRITE_SECONDS
            ):
                return
            calls, failures = unwritten.calls, unwritten.failures
            unwritten.calls = unwritten.failures = 0
            unwritten.is_resting, unwritten.is_absent, unwritten.is_right = now
            unwritten.written_at = time.monotonic()
            unwritten.writers += 1
        try:
            with unwritten.turn:
                self._write(host, version, said, reason, changed=changed, calls=calls, failures=failures)
        except DatabaseError as error:
            logger.warning("what %s says is not written down: %s", host.name, type(error).__name__)
            with self._writing:
                unwritten.calls += calls
                unwritten.failures += failures
                unwritten.is_resting = None  # with the next call
        finally:
            with self._writing:
                unwritten.writers -= 1
            # This thread ends with its call.
            connection.close()
        if changed and served.is_resting:
            logger.warning("%s rests on %s: %s", version, host.name, reason)

    def _write(
        self,
        host: Host,
        version: Version,
        said: Said,
        reason: str,
        *,
        changed: bool,
        calls: int,
        failures: int,
    ) -> None:
        row = {"host_id": host.key, "name": version.name, "version": version.version}
        values: dict[str, object] = {"calls": F("calls") + calls, "failures": F("failures") + failures}
        if said in {Said.FAILED, Said.FAILED_FOR_CERTAIN}:
            values |= {"failed_at": Now(), "reason": reason[:300]}
        elif said is Said.ABSENT:
            values |= {"is_loaded": False, "reason": ""}
        elif said is Said.WRONG:
            values |= {"is_loaded": True, "failed_at": Now(), "compared_at": Now(), "reason": reason[:300]}
        elif host.versions[version].is_wrong:
            values |= {"is_loaded": True}  # a call that began before that was known proves nothing
        else:
            values |= {"is_loaded": True, "succeeded_at": Now(), "reason": ""}
        p99 = self.pace(version).measured_p99
        if p99 is not None:
            values["p99_ms"] = round(p99 * 1000, 1)
        if said is Said.RIGHT:
            values |= {"compared_at": Now()}
        served = host.versions[version]
        if changed:
            values |= {"is_resting": served.is_resting, "changed_at": Now()}
            if said in {Said.RIGHT, Said.WRONG}:
                judgements.judge(host.key, version, is_right=said is Said.RIGHT, why=reason)
            elif served.is_right is None:
                # Not compared since it came back; a wrong one stays so until a comparison says otherwise.
                HostedVersion.objects.filter(**row, is_right=True).update(is_right=None)
        if not HostedVersion.objects.filter(**row).update(**values):
            if not ModelHost.objects.filter(pk=host.key).exists():
                return  # it was taken out of the fleet
            HostedVersion.objects.bulk_create([HostedVersion(**row)], ignore_conflicts=True)
            HostedVersion.objects.filter(**row).update(**values)

    def _read(self) -> None:
        if not self._reconciled:
            # The first process of a new fleet need not wait for housekeeping.
            discovery.reconcile()
            self._reconciled = True
        hosts = []
        for row in ModelHost.objects.all():
            asked_by = tuple(getattr(row, name) for name in _ASKED_BY)
            known = self._known.get(row.pk)
            host = known[1] if known is not None and known[0] == asked_by else host_of(row)
            host.is_draining = row.draining_since is not None
            self._known[row.pk] = asked_by, host
            hosts.append(host)
        by_key = {host.key: host for host in hosts}
        p99: dict[Version, float] = {}
        for found in HostedVersion.objects.annotate(ago=Now() - F("succeeded_at")):
            if found.host_id in by_key:
                version = Version(found.name, found.version)
                self._take_over(by_key[found.host_id], version, found)
                succeeded_at, failed_at = found.succeeded_at, found.failed_at
                if succeeded_at is not None and (failed_at is None or failed_at < succeeded_at):
                    by_key[found.host_id].versions[version].computed(found.ago.total_seconds())
                if found.p99_ms is not None:
                    p99[version] = max(p99.get(version, 0.0), found.p99_ms / 1000)
        for version, seconds in p99.items():
            self.pace(version).learn(seconds)
        self._known = {key: known for key, known in self._known.items() if key in by_key}
        self._hosts = tuple(hosts)
        self._read_at = time.monotonic()

    def _take_over(self, host: Host, version: Version, row: HostedVersion) -> None:
        """What another process has learnt."""
        with self._writing:
            unwritten = self._unwritten[host, version]
            if row.changed_at is None or row.changed_at == unwritten.changed_at:
                return
            mine = host.versions[version]
            seen = (mine.is_resting, mine.is_right)
            if unwritten.writers or seen != (bool(unwritten.is_resting), unwritten.is_right):
                return  # this process has just seen it change, and is about to write that
            unwritten.changed_at = row.changed_at
            unwritten.is_resting, unwritten.is_absent = row.is_resting, row.is_loaded is False
            unwritten.is_right = row.is_right
        served = host.versions[version]
        served.learn(row.is_right)
        if row.is_resting:
            served.breaker.open()
        elif served.is_resting:
            served.breaker.succeeded()


def host_of(row: ModelHost) -> Host:
    """How a row's host is asked."""
    return Host(
        name=row.name,
        url=row.url,
        management_url=row.management_url,
        metrics_url=row.metrics_url,
        tokens=TokenSource(row.key_file, "" if row.key_file else settings.TORCHSERVE_TOKEN),
        ca_file=row.ca_file,
        server_name=row.server_name,
        speaks_open_inference=row.protocol == ModelHost.Protocol.OPEN_INFERENCE,
        key=row.pk,
    )

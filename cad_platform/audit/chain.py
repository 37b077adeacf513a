"""The chain over the audit log: each link hashes the one before it and the canonical bytes of one event.

Events commit unchained, so that readers never queue for one another; one sealer links them within seconds.
The order of the chain is the order of sealing. Who alters, removes or inserts a row afterwards would have to
recompute every later link; who cuts off the end is found by a link noted elsewhere (`anchor`).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from cad_platform.audit import months
from cad_platform.audit.models import AuditEvent, AuditSeal

GENESIS = "0" * 64
BATCH = 500
#: Any number that nothing else locks: one sealer at a time in the whole database.
_SEALER_LOCK = 0x5EA1_AD17
#: The same for who closes months (`audit.roots`).
CLOSER_LOCK = 0x5EA1_AD18
#: An event older than this without a link says that the sealer stands still, or that a link was removed.
UNSEALED_LIMIT = timedelta(seconds=60)
#: No transaction of the platform lives longer; older gaps are looked for at the start and once an hour.
_LONGEST_TRANSACTION = timedelta(minutes=15)
_FULL_SCAN_EVERY_S = 3600.0
#: Seconds between two turns: far below `UNSEALED_LIMIT`.
_PAUSE, _IDLE_PAUSE = 1.0, 3.0

_last_full_scan: float | None = None
#: Every event up to this one had its link at the last full scan; a link that is taken away is for `verify` to find.
_sealed_up_to = 0


def canonical_bytes(event: AuditEvent) -> bytes:
    """The bytes that a link covers: every column, as JSON with sorted keys, UTC times and no white space."""
    record = {
        "id": event.pk,
        "at": event.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor": event.actor_id,
        "actor_label": event.actor_label,
        "token": str(event.token_id) if event.token_id else None,
        "site": event.site_id,
        "action": event.action,
        "object_type": event.object_type,
        "object_id": event.object_id,
        "outcome": event.outcome,
        "request_id": event.request_id,
        "address": event.address,
        "detail": event.detail,
    }
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def link(sequence: int, previous_hash: str, event: AuditEvent) -> str:
    """The hash of one link (64 hex digits)."""
    digest = hashlib.sha256(f"{sequence}\n{previous_hash}\n".encode())
    digest.update(canonical_bytes(event))
    return digest.hexdigest()


def take_turn() -> float:
    """Seal what is there; the seconds until the next turn, more where nothing was."""
    return _PAUSE if seal_pending() else _IDLE_PAUSE


def seal_pending() -> int:
    """Link every event that has no link yet, oldest first; return how many. Another sealer at work: 0."""
    global _last_full_scan, _sealed_up_to
    now = time.monotonic()
    if _last_full_scan is None:
        _sealed_up_to = 0
    full = _last_full_scan is None or now - _last_full_scan > _FULL_SCAN_EVERY_S
    since = None if full else timezone.now() - _LONGEST_TRANSACTION
    settled = _settled() if full else 0
    if not full and not _pending(since).exists():
        return 0  # mostly: one look, without a transaction
    sealed = 0
    while True:
        batch = _seal_batch(since)
        if batch is None:
            return sealed
        sealed += batch
        if batch < BATCH:
            break
    if full:
        _last_full_scan, _sealed_up_to = now, settled
    return sealed


def _settled() -> int:
    """An event before which no transaction can still write one; 0 where there is none."""
    old = AuditEvent.objects.filter(at__lt=timezone.now() - _LONGEST_TRANSACTION).order_by("-at")
    return old.values_list("pk", flat=True).first() or 0


def _pending(since: datetime | None) -> QuerySet[AuditEvent]:
    pending = AuditEvent.objects.filter(seal__isnull=True)
    if since is None:
        return pending.filter(pk__gt=_sealed_up_to)
    return pending.filter(months.lately(since), at__gte=since)


@transaction.atomic
def _seal_batch(since: datetime | None) -> int | None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_SEALER_LOCK])
        if not cursor.fetchone()[0]:
            return None
    events = list(_pending(since).order_by("pk")[:BATCH])
    if not events:
        return 0
    last = AuditSeal.objects.order_by("-sequence").first()
    sequence, previous = (last.sequence, last.hash) if last else (0, GENESIS)
    seals = []
    for event in events:
        sequence += 1
        digest = link(sequence, previous, event)
        seals.append(AuditSeal(sequence=sequence, event=event, previous_hash=previous, hash=digest))
        previous = digest
    AuditSeal.objects.bulk_create(seals)
    return len(seals)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with the log. `kind`: altered, missing, broken, unsealed or anchor."""

    kind: str
    message: str
    sequence: int | None = None
    event_id: int | None = None


@dataclass
class Verification:
    """What a walk along the whole chain found. `head` is worth writing down elsewhere: it is the anchor that
    shows later whether the end was cut off."""

    events: int = 0
    head_sequence: int = 0
    head_hash: str = GENESIS
    unsealed: int = 0
    problems: list[Problem] = field(default_factory=list)
    problem_count: int = 0

    @property
    def intact(self) -> bool:
        return self.problem_count == 0

    def add(self, problem: Problem) -> None:
        """Count a problem; the first thousand are kept, so that a ruined log still fits in memory."""
        self.problem_count += 1
        if len(self.problems) < 1000:
            self.problems.append(problem)


def verify(
    *,
    anchor: tuple[int, str] | None = None,
    unsealed_limit: timedelta = UNSEALED_LIMIT,
    after: tuple[int, str] = (0, GENESIS),
    until: int | None = None,
) -> Verification:
    """Recompute every link, a thousand rows at a time.

    Parameters
    ----------
    anchor
        Sequence and hash of a link that was noted earlier, outside this database.
    after
        Sequence and hash of the link to begin after, which is believed: the last of a closed month (`audit.roots`).
    until
        The last link to be looked at; then nothing is said of events without one.
    """
    found = Verification()
    expected, previous = after[0] + 1, after[1]
    anchored = anchor is None or _stands(anchor, before=expected)
    for seal, event in _links(after[0], until):
        if seal.sequence != expected:
            found.add(
                Problem("missing", f"links {expected} to {seal.sequence - 1} are missing", sequence=expected)
            )
        elif seal.previous_hash != previous:
            found.add(
                Problem("broken", f"link {seal.sequence} does not follow the one before it", seal.sequence)
            )
        if event is None:
            message = f"event {seal.event_id} is missing (link {seal.sequence})"
            found.add(Problem("missing", message, seal.sequence, seal.event_id))
        elif link(seal.sequence, seal.previous_hash, event) != seal.hash:
            message = f"event {event.pk} was altered after it was sealed (link {seal.sequence})"
            found.add(Problem("altered", message, seal.sequence, event.pk))
        if anchor is not None and seal.sequence == anchor[0]:
            anchored = seal.hash == anchor[1]
        expected, previous = seal.sequence + 1, seal.hash
        found.events += 1
    found.head_sequence, found.head_hash = expected - 1, previous
    if not anchored and anchor is not None:
        found.add(Problem("anchor", f"link {anchor[0]} is not the one that was noted", anchor[0]))
    if until is None:
        _look_for_unsealed(found, unsealed_limit)
    return found


def _stands(anchor: tuple[int, str], *, before: int) -> bool:
    """Whether a link that is not walked is the one that was noted."""
    return anchor[0] < before and AuditSeal.objects.filter(sequence=anchor[0], hash=anchor[1]).exists()


def _links(position: int, until: int | None) -> Iterator[tuple[AuditSeal, AuditEvent | None]]:
    wanted = AuditSeal.objects.order_by("sequence")
    if until is not None:
        wanted = wanted.filter(sequence__lte=until)
    while seals := list(wanted.filter(sequence__gt=position)[:1000]):
        events = AuditEvent.objects.in_bulk([seal.event_id for seal in seals])
        for seal in seals:
            yield seal, events.get(seal.event_id)
        position = seals[-1].sequence


def _look_for_unsealed(found: Verification, limit: timedelta) -> None:
    pending = AuditEvent.objects.filter(seal__isnull=True)
    found.unsealed = pending.count()
    overdue = pending.filter(at__lt=timezone.now() - limit).order_by("pk")
    for event_id in overdue.values_list("pk", flat=True).iterator(chunk_size=1000):
        message = f"event {event_id} has had no link for more than {int(limit.total_seconds())} s"
        found.add(Problem("unsealed", message, event_id=event_id))

"""What an administrator does to many jobs at once: try again, or cancel. Which jobs is fixed when it is asked for; the
maintenance worker does it job by job, in that person's name, and how far it is, is read from the members.

Analysing many studies again is a set of its own (`again.reanalyse_set`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.utils.translation import gettext as _

from cad_platform.accounts.rules import require
from cad_platform.analysis import again
from cad_platform.analysis.models import AnalysisJob, BulkAction, BulkMember
from cad_platform.audit.services import record
from cad_platform.core import outbox
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, NotFound

#: Something waits to be done; the relay hands it to `analysis.act`.
BULK_TOPIC = "analysis.bulk"
_AT_A_TIME = 200
_BATCH = 2000
_Kind, _Member = BulkAction.Kind, BulkMember.State
_ACTIONS: Mapping[str, str] = {_Kind.RETRY: "job.bulk_retry", _Kind.CANCEL: "job.bulk_cancel"}
_PERMISSIONS: Mapping[str, str] = {_Kind.RETRY: "job.retry", _Kind.CANCEL: "job.cancel"}


@dataclass(frozen=True)
class Progress:
    """How far it is: each job in exactly one of the counts."""

    action: BulkAction
    total: int
    waiting: int
    done: int
    left: int

    @property
    def percent(self) -> int:
        """Of the jobs, how many need nothing more."""
        return 100 * (self.total - self.waiting) // self.total if self.total else 100

    @property
    def is_open(self) -> bool:
        return self.waiting > 0


def fitting(jobs: QuerySet[AnalysisJob], kind: str) -> QuerySet[AnalysisJob]:
    """Those of the jobs that it can be done to."""
    states = [AnalysisJob.State.FAILED] if kind == _Kind.RETRY else list(AnalysisJob.OPEN)
    return jobs.filter(state__in=states, study__withdrawn_at__isnull=True)


@transaction.atomic
def ask(actor: Actor, kind: str, jobs: QuerySet[AnalysisJob], criteria: Mapping[str, str]) -> BulkAction:
    """Have it done to every one of `jobs` that it can be done to.

    Parameters
    ----------
    criteria
        What was asked for, to be shown; names no patient.

    Raises
    ------
    NotPermitted
        The actor may not.
    Conflict
        There is no such job among them.
    """
    require(actor, _PERMISSIONS[_Kind(kind)])
    keys = list(fitting(jobs, kind).order_by("requested_at", "pk").values_list("pk", flat=True))
    if not keys:
        raise Conflict(_("No job of this choice is one that this can be done to."))
    made = BulkAction.objects.create(kind=kind, requested_by=actor.user, criteria=dict(criteria))
    members = (BulkMember(action=made, job_id=key) for key in keys)
    BulkMember.objects.bulk_create(members, batch_size=_BATCH)
    record(actor, _ACTIONS[kind], object_type="bulk_action", object_id=made.pk, jobs=len(keys))
    outbox.publish(BULK_TOPIC, action_id=str(made.pk))
    return made


def go_on(limit: int = _AT_A_TIME) -> int:
    """Do the next of what was asked for; returns how many. Called when it is asked for, and by the sweeper until
    nothing waits; idempotent, and safe beside another."""
    waiting = BulkMember.objects.filter(state=_Member.WAITING).order_by("pk")
    return sum(_do(key) for key in list(waiting.values_list("pk", flat=True)[:limit]))


def progress(actor: Actor, action_id: object) -> Progress:
    """How far one is. Raises `NotPermitted` or `NotFound`."""
    require(actor, "job.view_all")
    found = _counted().filter(pk=action_id).first()
    if found is None:
        raise NotFound(_("There is no such object."))
    return _progress_of(found)


def latest(actor: Actor, limit: int = 5) -> list[Progress]:
    """The latest, newest first. Raises `NotPermitted`."""
    require(actor, "job.view_all")
    return [_progress_of(each) for each in _counted()[:limit]]


def _counted() -> QuerySet[Any]:
    counts = {state: Count("members", filter=Q(members__state=state)) for state in _Member.values}
    return BulkAction.objects.select_related("requested_by").annotate(
        total=Count("members"), **{f"n_{state}": count for state, count in counts.items()}
    ).order_by("-requested_at", "pk")  # fmt: skip


def _progress_of(row: Any) -> Progress:
    return Progress(row, row.total, row.n_waiting, row.n_done, row.n_left)


@transaction.atomic
def _do(member_id: int) -> bool:
    member = (
        BulkMember.objects.select_for_update(skip_locked=True, of=("self",))
        .select_related("action__requested_by", "job__study")
        .filter(pk=member_id, state=_Member.WAITING)
        .first()
    )
    if member is None:
        return False
    actor = Actor.of_user(member.action.requested_by)
    step = again.retry if member.action.kind == _Kind.RETRY else again.cancel
    try:
        with transaction.atomic():
            step(actor, member.job)
    except Conflict:
        # It has ended, or begun anew, since it was asked for.
        member.state = _Member.LEFT
    else:
        member.state = _Member.DONE
    member.save(update_fields=["state"])
    return True

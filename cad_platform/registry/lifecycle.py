"""A version's life: uploaded, verified, approved by two people, retired. Each step is one transaction under the
version's row, permitted, audited, and kept from going wrong by the table's constraints as well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from cad_platform.accounts.rules import require
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, FieldError, Invalid, NotFound
from cad_platform.registry.history import LONGEST_REASON, record_of
from cad_platform.registry.models import Approval, ModelRoute, ModelVersion
from cad_platform.studies.typed_text import reason_of

State = ModelVersion.State
TRANSITIONS: Mapping[str, frozenset[str]] = {
    State.UPLOADED: frozenset({State.VERIFIED, State.RETIRED}),
    State.VERIFIED: frozenset({State.UPLOADED, State.APPROVED, State.RETIRED}),
    State.APPROVED: frozenset({State.RETIRED}),
    State.RETIRED: frozenset(),
}
#: What a predetermined change control plan asks of a change, each in words.
PLAN_FIELDS = ("modification", "protocol", "impact")


@transaction.atomic
def approve(
    actor: Actor, version: ModelVersion, *, reason: str, change_class: str = "", **plan: str
) -> ModelVersion:
    """One person's yes to a verified version; the second one's makes it an approved one. Nothing runs by it yet.

    Parameters
    ----------
    change_class, **plan
        Kind of the change, and of `PLAN_FIELDS` what was changed, how it was shown to be right, and what it may do. The
        second person may leave them out: then they agree to what the first has written.

    Raises
    ------
    NotPermitted
        Neither administrator nor clinical lead, or nobody: a command of the platform approves nothing.
    Conflict
        It is not verified, is approved or retired, or the actor has approved it already.
    Invalid
        No reason, no such class, or a field of the plan is empty.
    """
    require(actor, "model.approve")
    row = locked(version)
    if row.state != State.VERIFIED:
        raise Conflict(_why_not_approved(row), code="wrong_state")
    first = row.approvals.first() if row.first_approver_id else None
    if first is not None and first.by_id == actor.user.pk:
        raise Conflict(_("You have approved it already: another person has to as well."), code="same_person")
    said = {name: reason_of(plan.get(name, ""), longest=LONGEST_REASON) for name in PLAN_FIELDS}
    said |= {"reason": reason_of(reason, longest=LONGEST_REASON), "change_class": change_class}
    if first is not None:
        said |= {name: getattr(first, name) for name in (*PLAN_FIELDS, "change_class") if not said[name]}
    _refuse_incomplete(said)
    Approval.objects.create(version=row, by=actor.user, role=actor.role, **said)
    if first is None:
        row.first_approver = actor.user
    else:
        row.second_approver = actor.user
        move(row, State.APPROVED)
    row.save(update_fields=["first_approver", "second_approver", "state"])
    record_of(
        actor, "model.approve", row, state=row.state, change_class=said["change_class"], reason=said["reason"]
    )
    return row


@transaction.atomic
def retire(actor: Actor, version: ModelVersion, reason: str) -> ModelVersion:
    """Take a version out of service for good. Its results stay, with its name.

    Raises
    ------
    NotPermitted
        The actor does not manage models.
    Conflict
        It is in use, or retired already.
    Invalid
        No reason.
    """
    require(actor, "model.manage")
    row = locked(version)
    said = reason_of(reason, longest=LONGEST_REASON)
    if not said:
        raise _required("reason")
    if row.is_default or ModelRoute.objects.filter(version=row).exists():
        raise Conflict(
            _("%(version)s is in use: make another the default and end its routes first.") % {"version": row}
        )
    if row.state == State.RETIRED:
        raise Conflict(_("%(version)s is retired already.") % {"version": row}, code="wrong_state")
    before = row.state
    move(row, State.RETIRED)
    row.save(update_fields=["state"])
    record_of(actor, "model.retire", row, before=before, reason=said)
    return row


def move(row: ModelVersion, state: str) -> None:
    """To a state that the table knows; the caller holds the row and saves it."""
    if state not in TRANSITIONS[row.state]:
        raise RuntimeError(f"a version goes not from {row.state} to {state}")
    row.state = state


def locked(version: ModelVersion) -> ModelVersion:
    """The version's row until the transaction ends. Raises `NotFound`."""
    row = ModelVersion.objects.select_for_update(of=("self",)).filter(pk=version.pk).first()
    if row is None:
        raise NotFound(_("There is no such model."))
    return row


def _refuse_incomplete(said: Mapping[str, Any]) -> None:
    empty = [name for name in ("reason", "change_class", *PLAN_FIELDS) if not said[name]]
    if empty:
        raise _required(*empty)
    if said["change_class"] not in Approval.ChangeClass.values:
        raise Invalid(
            _("The version was not approved."), errors=(FieldError(_("unknown value"), "change_class"),)
        )


def _required(*fields: str) -> Invalid:
    return Invalid(
        _("Something is missing."),
        errors=tuple(FieldError(_("This field is required."), name) for name in fields),
    )


def _why_not_approved(row: ModelVersion) -> str:
    if row.state == State.UPLOADED:
        return _("%(version)s cannot be approved before it is verified.") % {"version": row}
    if row.state == State.APPROVED:
        return _("%(version)s is approved already.") % {"version": row}
    return _("%(version)s is retired.") % {"version": row}

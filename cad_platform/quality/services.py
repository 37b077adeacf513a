"""What administrators do about alerts: rules with threshold and owner, acknowledging, a note."""

from __future__ import annotations

import math
import uuid

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from cad_platform.accounts.models import User
from cad_platform.accounts.rules import require
from cad_platform.audit.services import record
from cad_platform.core.actor import Actor
from cad_platform.core.errors import FieldError, Invalid, NotFound
from cad_platform.quality.models import Alert, AlertRule

NOTE_LENGTH = 2000


@transaction.atomic
def change_rule(
    actor: Actor, measure: str, *, threshold: float, owner: User | None, is_on: bool
) -> AlertRule:
    """From which value on who is told.

    Raises
    ------
    NotPermitted, NotFound
        The actor is no administrator; there is no such rule.
    Invalid
        The threshold is no positive number, or the owner is no administrator.
    """
    require(actor, "quality.manage")
    rule = AlertRule.objects.select_for_update(no_key=True).filter(measure=measure).first()
    if rule is None:
        raise NotFound(_("There is no such rule."))
    if not math.isfinite(threshold) or threshold <= 0:
        raise Invalid(
            _("The rule was not changed."),
            errors=(FieldError(_("The threshold is a number above 0."), "threshold"),),
        )
    if owner is not None and not (owner.is_active and owner.site_id is None):
        raise Invalid(
            _("The rule was not changed."),
            errors=(FieldError(_("The owner is an administrator whose account is active."), "owner"),),
        )
    if (rule.threshold, rule.owner_id, rule.is_on) != (threshold, owner.pk if owner else None, is_on):
        rule.threshold, rule.owner, rule.is_on = threshold, owner, is_on
        rule.changed_at = timezone.now()
        rule.save()
        record(
            actor,
            "alert.change_rule",
            object_type="alert_rule",
            object_id=rule.pk,
            measure=measure,
            threshold=threshold,
            owner=owner.pk if owner else None,
            is_on=is_on,
        )
    return rule


@transaction.atomic
def acknowledge(actor: Actor, alert_id: uuid.UUID, note: str = "") -> Alert:
    """Take an alert on, with a note of what came of it; or change the note of one that was taken on.

    Raises
    ------
    NotPermitted, NotFound
        The actor is no administrator; there is no such alert.
    Invalid
        The note is too long.
    """
    require(actor, "quality.manage")
    alert = Alert.objects.select_for_update(no_key=True, of=("self",)).filter(pk=alert_id).first()
    if alert is None or actor.user is None:
        raise NotFound(_("There is no such alert."))
    note = note.replace("\0", "").strip()
    if len(note) > NOTE_LENGTH:
        raise Invalid(
            _("The note was not kept."),
            errors=(FieldError(_("At most %(count)d characters.") % {"count": NOTE_LENGTH}, "note"),),
        )
    if alert.acknowledged_at is None:
        alert.acknowledged_at, alert.acknowledged_by = timezone.now(), actor.user
    elif alert.note == note:
        return alert
    alert.note = note
    alert.save(update_fields=["acknowledged_at", "acknowledged_by", "note"])
    record(
        actor,
        "alert.acknowledge",
        object_type="alert",
        object_id=alert.pk,
        site_id=alert.site_id,
        measure=alert.rule.measure,
    )
    return alert

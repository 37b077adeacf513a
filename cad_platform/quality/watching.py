"""Measuring what the rules watch, raising alerts and ending them. Called by the clock; may run twice at once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from cad_platform.audit.services import record
from cad_platform.core import outbox
from cad_platform.core.actor import Actor
from cad_platform.quality.measures import MEASURES, Measured, Watched
from cad_platform.quality.models import Alert, AlertRule, HourlyFigures
from cad_platform.registry.models import ModelVersion

#: An alert was raised. Payload: `alert_id`.
RAISED_TOPIC = "quality.alert"
#: What has shown nothing for so long is not watched any more: its alerts end.
_WATCHED_FOR = timedelta(days=7)


def watch(at: datetime | None = None) -> int:
    """Measure every site and version that has lately worked by every rule that is on; returns how many alerts were
    raised."""
    at = at or timezone.now()
    rules = list(AlertRule.objects.filter(is_on=True, measure__in=MEASURES))
    raised = 0
    for watched in lately(at):
        for rule in rules:
            found = MEASURES[rule.measure](watched, rule.threshold)
            raised += sum(settle(rule, watched.site_id, watched.model_version_id, one, at) for one in found)
    _end_what_is_not_watched(at)
    return raised


def lately(at: datetime) -> Iterator[Watched]:
    """Each site and version that something ended or was signed of within a week."""
    rows = HourlyFigures.objects.filter(hour__gt=at - _WATCHED_FOR, hour__lte=at)
    keys = rows.order_by().values_list("site_id", "model_version_id", "modality").distinct()
    classes = dict(
        ModelVersion.objects.filter(pk__in={version for _site, version, _modality in keys}).values_list(
            "pk", "manifest__positive_class"
        )
    )
    for site, version, modality in sorted(keys):
        yield Watched(site, version, modality, classes.get(version) or "", at)


@transaction.atomic
def settle(rule: AlertRule, site_id: int | None, version_id: int, measured: Measured, at: datetime) -> bool:
    """Raise an alert, go on with the one that there is, or end it. True where one was raised."""
    # One at a time for a rule: the constraint would refuse the second, here it finds the first.
    AlertRule.objects.select_for_update(no_key=True).get(pk=rule.pk)
    alert = Alert.objects.filter(
        rule=rule,
        site=site_id,
        model_version=version_id,
        device=measured.device,
        ended_at__isnull=True,
    ).first()
    if alert is not None:
        alert.value, alert.evidence = measured.value, dict(measured.evidence)
        if measured.is_beyond:
            alert.seen_at = at
        else:
            alert.ended_at = at
        alert.save(update_fields=["value", "evidence", "seen_at", "ended_at"])
        return False
    if not measured.is_beyond:
        return False
    alert = Alert.objects.create(
        rule=rule,
        site_id=site_id,
        model_version_id=version_id,
        device=measured.device,
        value=measured.value,
        threshold=rule.threshold,
        evidence=dict(measured.evidence),
        raised_at=at,
        seen_at=at,
    )
    record(
        Actor.system("quality"),
        "alert.raise",
        object_type="alert",
        object_id=alert.pk,
        site_id=site_id,
        measure=rule.measure,
        value=measured.value,
        threshold=rule.threshold,
    )
    outbox.publish(RAISED_TOPIC, alert_id=str(alert.pk))
    return True


@transaction.atomic
def _end_what_is_not_watched(at: datetime) -> None:
    """Rules that were switched off, and versions that no longer work anywhere."""
    standing = Alert.objects.filter(ended_at__isnull=True, rule__measure__in=MEASURES)
    standing.filter(rule__is_on=False).update(ended_at=at)
    standing.filter(seen_at__lt=at - _WATCHED_FOR).update(ended_at=at)

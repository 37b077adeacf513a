"""What may happen to webhooks: administrators add, pause, resume and remove them and have events sent again; what
happens to studies makes deliveries."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Collection

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from cad_platform.accounts.models import Site
from cad_platform.accounts.rules import require
from cad_platform.audit.services import record
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, FieldError, Invalid, NotFound
from cad_platform.delivery import destination, mailing
from cad_platform.delivery.models import WITHOUT_STUDY, Delivery, Event, Webhook
from cad_platform.delivery.signature import secret_of
from cad_platform.quality.models import Alert
from cad_platform.reading.case_state import current_jobs, have_ended
from cad_platform.reporting.models import Report
from cad_platform.studies.models import Study


@transaction.atomic
def add_webhook(actor: Actor, *, site: Site, url: str, events: Collection[str]) -> tuple[Webhook, str]:
    """A place to tell a site's events. Returns it with its secret, which is shown this once.

    Raises
    ------
    NotPermitted
        The actor is no administrator.
    Invalid
        The address is not allowed, or there is no such event.
    """
    require(actor, "webhook.manage")
    wanted = [event for event in Event.values if event in events]
    _check(url, wanted)
    webhook = Webhook.objects.create(site=site, url=url, topics=wanted, created_by=actor.user)
    record(
        actor, "webhook.create", object_type="webhook", object_id=webhook.pk, site_id=site.pk, events=wanted
    )
    return webhook, secret_of(webhook.pk)


def _check(url: str, wanted: Collection[str]) -> None:
    refusal = _("The webhook was not added.")
    try:
        if mailing.is_mail(url):
            mailing.mailbox_of(url)
        else:
            destination.destination_of(url)
    except destination.NotAllowed as reason:
        raise Invalid(refusal, errors=(FieldError(str(reason), "url"),)) from None
    if not wanted:
        raise Invalid(refusal, errors=(FieldError(_("Choose at least one event."), "events"),))
    if mailing.is_mail(url) and not set(wanted) <= set(WITHOUT_STUDY):
        raise Invalid(
            refusal,
            errors=(FieldError(_("By e-mail only alerts are told: they name no study."), "events"),),
        )


@transaction.atomic
def set_paused(actor: Actor, webhook_id: uuid.UUID, *, paused: bool) -> Webhook:
    """Stop or go on sending. What happens meanwhile waits. Raises `NotPermitted` or `NotFound`."""
    webhook = _locked(actor, webhook_id)
    if (webhook.paused_at is not None) != paused:
        webhook.paused_at = timezone.now() if paused else None
        webhook.save(update_fields=["paused_at"])
        record(
            actor,
            "webhook.pause" if paused else "webhook.resume",
            object_type="webhook",
            object_id=webhook.pk,
            site_id=webhook.site_id,
        )
    return webhook


@transaction.atomic
def remove(actor: Actor, webhook_id: uuid.UUID) -> None:
    """Tell it nothing any more, also not what waits. What was sent stays on record. Raises `NotPermitted` or
    `NotFound`."""
    webhook = _locked(actor, webhook_id)
    webhook.removed_at = timezone.now()
    webhook.paused_at = webhook.paused_at or webhook.removed_at
    webhook.save(update_fields=["paused_at", "removed_at"])
    record(
        actor,
        "webhook.remove",
        object_type="webhook",
        object_id=webhook.pk,
        site_id=webhook.site_id,
        waiting=webhook.deliveries.filter(state=Delivery.State.WAITING).count(),
    )


@transaction.atomic
def send_again(actor: Actor, webhook_id: uuid.UUID, delivery_id: uuid.UUID | None = None) -> int:
    """Send one event again, or all that were given up: the same messages with the same ids. Returns how many.

    Raises
    ------
    NotPermitted, NotFound
        The actor is no administrator; there is no such webhook or event.
    Conflict
        The event waits to be sent already.
    """
    webhook = _locked(actor, webhook_id)
    chosen = Delivery.objects.select_for_update().filter(webhook=webhook)
    if delivery_id is None:
        chosen = chosen.filter(state=Delivery.State.DEAD)
    else:
        chosen = chosen.filter(pk=delivery_id)
        if not chosen.exists():
            raise NotFound(_("There is no such event."))
        chosen = chosen.exclude(state=Delivery.State.WAITING)
        if not chosen.exists():
            raise Conflict(_("The event waits to be sent already."))
    count = 0
    for delivery in chosen:
        delivery.state, delivery.attempts, delivery.due_at = Delivery.State.WAITING, 0, timezone.now()
        delivery.delivered_at = None
        delivery.save(update_fields=["state", "attempts", "due_at", "delivered_at"])
        count += 1
    record(
        actor,
        "webhook.replay",
        object_type="webhook",
        object_id=webhook.pk,
        site_id=webhook.site_id,
        deliveries=count,
    )
    return count


def _locked(actor: Actor, webhook_id: uuid.UUID) -> Webhook:
    require(actor, "webhook.manage")
    webhook = (
        Webhook.objects.select_for_update(no_key=True).filter(pk=webhook_id, removed_at__isnull=True).first()
    )
    if webhook is None:
        raise NotFound(_("There is no such webhook."))
    return webhook


def _told_of(event: Event) -> QuerySet[Webhook]:
    return Webhook.objects.filter(topics__contains=[event], removed_at__isnull=True)


@transaction.atomic
def announce(study: Study, event: Event, occurrence: str) -> int:
    """Have every webhook of the study's site that wants such events told of this one, once however often it is
    announced. Returns how many are."""
    wanted = _told_of(event).filter(site_id=study.site_id)
    made = 0
    for webhook in wanted:
        _delivery, created = Delivery.objects.get_or_create(
            webhook=webhook, event=event, occurrence=occurrence, defaults={"study": study}
        )
        made += created
    return made


def announce_analysed(study_id: str) -> int:
    """Where every job that counts has ended; once for these jobs."""
    study = Study.objects.filter(pk=study_id).first()
    if study is None:
        return 0
    counting = current_jobs(study)
    if not counting or not have_ended(counting):
        return 0
    ended = sorted(f"{job.pk} {job.finished_at}" for job in counting)
    occurrence = hashlib.sha256("\n".join([study.content_hash, *ended]).encode()).hexdigest()
    return announce(study, Event.STUDY_ANALYSED, occurrence)


def announce_signed(report_id: str) -> int:
    """A signed report or addendum, once."""
    report = Report.objects.select_related("study").filter(pk=report_id).first()
    return announce(report.study, Event.REPORT_SIGNED, str(report.pk)) if report is not None else 0


@transaction.atomic
def announce_alert(alert_id: str) -> int:
    """An alert, once, to who asks for alerts at its site; one of no site to all who do."""
    alert = Alert.objects.filter(pk=alert_id).first()
    if alert is None:
        return 0
    wanted = _told_of(Event.ALERT_RAISED)
    if alert.site_id is not None:
        wanted = wanted.filter(site_id=alert.site_id)
    made = 0
    for webhook in wanted:
        _delivery, created = Delivery.objects.get_or_create(
            webhook=webhook,
            event=Event.ALERT_RAISED,
            occurrence=str(alert.pk),
            defaults={"alert": alert, "occurred_at": alert.raised_at},
        )
        made += created
    return made


def announce_corrections(study_id: str) -> int:
    """Each correction of a study, and each time that it was brought back, that was not told yet."""
    study = Study.objects.filter(pk=study_id).first()
    if study is None:
        return 0
    return sum(
        announce(study, Event.STUDY_CORRECTED, str(pk))
        for pk in study.corrections.order_by("version").values_list("pk", flat=True)
    )

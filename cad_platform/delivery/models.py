"""Webhooks, what is to be sent to them, and every attempt."""

from __future__ import annotations

import uuid

import pghistory
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from cad_platform.core.declarations import DatabaseRights


class Event(models.TextChoices):
    """What a site's other systems may be told of."""

    STUDY_ANALYSED = "study.analysed", _("A study is analysed")
    REPORT_SIGNED = "report.signed", _("A report is signed")
    STUDY_CORRECTED = "study.corrected", _("A study is corrected")
    ALERT_RAISED = "quality.alert", _("An alert about a model is raised")


#: What says nothing of any study: the only events that may go by e-mail.
WITHOUT_STUDY = (Event.ALERT_RAISED,)


@pghistory.track()
class Webhook(models.Model):
    """Where a site wants to be told: an address that is called, or one of e-mail (`mailto:`). Its secret is derived,
    never stored (`delivery.signature`)."""

    database_rights = DatabaseRights.UPDATABLE

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    site = models.ForeignKey("accounts.Site", on_delete=models.PROTECT, related_name="webhooks")
    url = models.CharField(max_length=500)
    topics = ArrayField(models.CharField(max_length=40, choices=Event))
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT)
    paused_at = models.DateTimeField(null=True)
    removed_at = models.DateTimeField(null=True, help_text="since then nobody is told, and no page shows it")

    class Meta:
        ordering = ["site__name", "created_at"]
        constraints = [
            models.CheckConstraint(condition=models.Q(topics__len__gt=0), name="webhook_of_some_event"),
            # A process of the release before, which knows no removal, sends nothing to it either.
            models.CheckConstraint(
                condition=models.Q(removed_at__isnull=True) | models.Q(paused_at__isnull=False),
                name="webhook_removed_is_paused",
            ),
        ]


class Delivery(models.Model):
    """One event for one webhook, until it was taken or given up."""

    database_rights = DatabaseRights.UPDATABLE

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        DELIVERED = "delivered", _("Delivered")
        DEAD = "dead", _("Given up")

    id = models.UUIDField(
        primary_key=True, default=uuid.uuid4, editable=False, help_text="the same however often it is sent"
    )
    webhook = models.ForeignKey(Webhook, on_delete=models.PROTECT, related_name="deliveries")
    event = models.CharField(max_length=40, choices=Event)
    occurrence = models.CharField(
        max_length=64, help_text="which one: tasks come at least once, an event is told once"
    )
    study = models.ForeignKey("studies.Study", null=True, on_delete=models.PROTECT, related_name="+")
    alert = models.ForeignKey("quality.Alert", null=True, on_delete=models.PROTECT, related_name="+")
    occurred_at = models.DateTimeField(default=timezone.now)
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    attempts = models.PositiveIntegerField(default=0, help_text="since it was made or sent again by a person")
    due_at = models.DateTimeField(default=timezone.now)
    delivered_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "deliveries"
        ordering = ["-occurred_at", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["webhook", "event", "occurrence"], name="delivery_once_for_an_occurrence"
            ),
            models.CheckConstraint(
                condition=models.Q(event="quality.alert", alert__isnull=False, study__isnull=True)
                | (~models.Q(event="quality.alert") & models.Q(alert__isnull=True, study__isnull=False)),
                name="delivery_of_a_study_or_an_alert",
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=models.Q(state="waiting"), name="delivery_due"),
        ]


class DeliveryAttempt(models.Model):
    """What came of sending one once."""

    database_rights = DatabaseRights.APPEND_ONLY

    delivery = models.ForeignKey(Delivery, on_delete=models.PROTECT, related_name="tries")
    at = models.DateTimeField(default=timezone.now)
    status = models.PositiveSmallIntegerField(null=True, help_text="HTTP status; none without an answer")
    error = models.CharField(max_length=200, blank=True, help_text="a sentence, where it was not taken")
    seconds = models.FloatField()

    class Meta:
        ordering = ["-at"]

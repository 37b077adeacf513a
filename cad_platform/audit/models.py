"""Who read or wrote what, and the chain that shows whether anything was altered."""

from __future__ import annotations

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models.fields.json import KeyTextTransform
from django.utils import timezone

from cad_platform.core.declarations import DatabaseRights
from cad_platform.core.triggers import no_truncate

_APPEND_ONLY = pgtrigger.Update | pgtrigger.Delete


class AuditEvent(models.Model):
    """One action. Committed with what it records; names objects by their ids, never a patient by name.

    The table is one of months: the database gives the ids, which begin with the month (`audit.months`)."""

    database_rights = DatabaseRights.APPEND_ONLY

    at = models.DateTimeField(default=timezone.now, db_index=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="audit_events"
    )
    actor_label = models.CharField(max_length=150, help_text="username, or the name of a system process")
    token_id = models.UUIDField(null=True)
    site = models.ForeignKey(
        "accounts.Site", null=True, on_delete=models.PROTECT, related_name="audit_events"
    )
    action = models.CharField(max_length=60, help_text="studies.receive, study.view, report.sign, …")
    object_type = models.CharField(max_length=40, blank=True)
    object_id = models.CharField(max_length=100, blank=True)
    outcome = models.CharField(max_length=20, default="success")
    request_id = models.CharField(max_length=64, blank=True)
    address = models.GenericIPAddressField(null=True)
    detail = models.JSONField(default=dict)

    class Meta:
        indexes = [
            models.Index(fields=["object_type", "object_id"], name="audit_object"),
            models.Index(fields=["site", "-at"], name="audit_site_at"),
            models.Index(fields=["action", "-id"], name="audit_action"),
            models.Index(KeyTextTransform("study", "detail"), name="audit_study"),
        ]
        triggers = [
            pgtrigger.Protect(name="append_only", operation=_APPEND_ONLY),
            no_truncate(),
        ]

    def __str__(self) -> str:
        return f"{self.action} by {self.actor_label}"


class AuditSeal(models.Model):
    """A link of the chain: hash(previous hash, canonical bytes of the event). Written by one sealer."""

    database_rights = DatabaseRights.APPEND_ONLY

    sequence = models.BigIntegerField(primary_key=True)
    event = models.OneToOneField(AuditEvent, on_delete=models.PROTECT, related_name="seal")
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64, unique=True)
    sealed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        triggers = [
            pgtrigger.Protect(name="append_only", operation=_APPEND_ONLY),
            no_truncate(),
        ]

    def __str__(self) -> str:
        return f"link {self.sequence}"


class AuditRoot(models.Model):
    """A month that is over: its links, recomputed once, and the hash of the last, which stands for all before it."""

    database_rights = DatabaseRights.APPEND_ONLY

    month = models.DateField(primary_key=True, help_text="its first day, UTC; by when the links were sealed")
    first_sequence = models.BigIntegerField()
    last_sequence = models.BigIntegerField(unique=True)
    hash = models.CharField(max_length=64)
    closed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(last_sequence__gte=models.F("first_sequence")), name="audit_root_has_links"
            )
        ]
        triggers = [
            pgtrigger.Protect(name="append_only", operation=_APPEND_ONLY),
            no_truncate(),
        ]

    def __str__(self) -> str:
        return f"audit log of {self.month:%Y-%m}"

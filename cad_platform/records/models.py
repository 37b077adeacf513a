"""What was done to a patient's record as a whole, and why."""

from __future__ import annotations

import uuid

import pghistory
from django.conf import settings
from django.db import models
from django.utils import timezone

from cad_platform.core.declarations import DatabaseRights


@pghistory.track()
class PatientMerge(models.Model):
    """Two records of one patient became one: `gone` is read as `kept` until the merge is taken back."""

    database_rights = DatabaseRights.UPDATABLE

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    site = models.ForeignKey("accounts.Site", on_delete=models.PROTECT, related_name="+")
    kept = models.ForeignKey("patients.Patient", on_delete=models.PROTECT, related_name="merges_into")
    gone = models.ForeignKey("patients.Patient", on_delete=models.PROTECT, related_name="merges_away")
    reason = models.TextField()
    moved = models.JSONField(help_text="ids of what went over: studies, reviews, and records merged before")
    at = models.DateTimeField(default=timezone.now)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    undone_at = models.DateTimeField(null=True)
    undone_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    undone_reason = models.TextField(blank=True)

    class Meta:
        ordering = ["-at", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["gone"], condition=models.Q(undone_at__isnull=True), name="patient_gone_once"
            ),
            models.CheckConstraint(
                condition=~models.Q(kept=models.F("gone")) & ~models.Q(reason=""), name="patient_merge_of_two"
            ),
            models.CheckConstraint(
                condition=models.Q(undone_at__isnull=True, undone_by__isnull=True, undone_reason="")
                | models.Q(undone_at__isnull=False, undone_by__isnull=False) & ~models.Q(undone_reason=""),
                name="patient_merge_undone_with_reason",
            ),
        ]
        indexes = [models.Index(fields=["site", "-at"], name="patient_merge_site_at")]

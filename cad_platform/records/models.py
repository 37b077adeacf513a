"""What was done to a patient's record as a whole, and why."""

from __future__ import annotations

import uuid

import pghistory
from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

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


@pghistory.track()
class RetentionPolicy(models.Model):
    """How many years after the last visit a site keeps a patient's record. A site without one keeps everything."""

    database_rights = DatabaseRights.UPDATABLE

    site = models.OneToOneField(
        "accounts.Site", primary_key=True, on_delete=models.PROTECT, related_name="retention_policy"
    )
    years = models.PositiveSmallIntegerField(null=True, help_text="none: nothing falls due")
    changed_at = models.DateTimeField(default=timezone.now)
    changed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")

    class Meta:
        verbose_name_plural = "retention policies"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(years__isnull=True) | models.Q(years__gte=1, years__lte=100),
                name="retention_years",
            ),
        ]


@pghistory.track()
class Hold(models.Model):
    """Why a patient's record is kept, whatever the policy and whoever asks: a court case, a trial. Until it is lifted
    nothing of her is erased."""

    database_rights = DatabaseRights.UPDATABLE

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    patient = models.ForeignKey("patients.Patient", on_delete=models.PROTECT, related_name="holds")
    reason = models.TextField()
    placed_at = models.DateTimeField(default=timezone.now)
    placed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    lifted_at = models.DateTimeField(null=True)
    lifted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    lifted_reason = models.TextField(blank=True)

    class Meta:
        ordering = ["-placed_at", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["patient"], condition=models.Q(lifted_at__isnull=True), name="one_hold_of_a_patient"
            ),
            models.CheckConstraint(
                condition=models.Q(lifted_at__isnull=True)
                | models.Q(lifted_by__isnull=False) & ~models.Q(lifted_reason=""),
                name="hold_lifted_with_reason",
            ),
        ]


@pghistory.track()
class ErasureRequest(models.Model):
    """That all of a patient is to go: asked for by one person, decided by another, carried out by housekeeping, and
    proven. The row stays; it says whom by the id of a record that names nobody any more."""

    database_rights = DatabaseRights.UPDATABLE

    class State(models.TextChoices):
        ASKED = "asked", _("Waits for a second person")
        REFUSED = "refused", _("Refused")
        DECIDED = "decided", _("Decided, to be carried out")
        FILES = "files", _("Erased; files are being removed")
        DONE = "done", _("Erased")

    OPEN = (State.ASKED, State.DECIDED, State.FILES)

    class OnBehalf(models.TextChoices):
        PATIENT = "patient", _("The patient")
        REPRESENTATIVE = "representative", _("Somebody who speaks for the patient")
        RETENTION = "retention", _("The site's retention period is over")
        AUTHORITY = "authority", _("A court or an authority")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    site = models.ForeignKey("accounts.Site", on_delete=models.PROTECT, related_name="+")
    patient = models.ForeignKey("patients.Patient", on_delete=models.PROTECT, related_name="erasures")
    on_behalf = models.CharField(max_length=16, choices=OnBehalf)
    reason = models.TextField(help_text="names nobody: it is kept")
    state = models.CharField(max_length=8, choices=State, default=State.ASKED)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(default=timezone.now)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    decided_at = models.DateTimeField(null=True)
    refused_reason = models.TextField(blank=True)
    files = models.JSONField(default=list, help_text="hashes of what is still to be removed")
    proof = models.JSONField(default=dict, help_text="how many of each went and what stays")
    done_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-asked_at", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["patient"],
                condition=models.Q(state__in=["asked", "decided", "files"]),
                name="one_open_erasure_of_a_patient",
            ),
            models.CheckConstraint(
                condition=models.Q(state="asked", decided_by__isnull=True)
                | models.Q(state="refused", decided_by__isnull=False) & ~models.Q(refused_reason="")
                | models.Q(state__in=["decided", "files", "done"], decided_by__isnull=False)
                & ~models.Q(decided_by=models.F("asked_by")),
                name="erasure_decided_by_two",
            ),
            models.CheckConstraint(condition=~models.Q(reason=""), name="erasure_with_reason"),
        ]
        indexes = [
            models.Index(
                fields=["decided_at"],
                condition=models.Q(state__in=["decided", "files"]),
                name="erasure_to_carry_out",
            ),
            models.Index(fields=["site", "-asked_at"], name="erasure_site_at"),
        ]

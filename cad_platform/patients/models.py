"""A patient is known within one site by the id that the hospital gives."""

from __future__ import annotations

import uuid

import pghistory
from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from cad_platform.core.declarations import DatabaseRights


class Sex(models.TextChoices):
    """DICOM Patient's Sex (0010,0040)."""

    FEMALE = "F", _("Female")
    MALE = "M", _("Male")
    OTHER = "O", _("Other")
    UNKNOWN = "", _("Unknown")


@pghistory.track()
class Patient(models.Model):
    database_rights = DatabaseRights.UPDATABLE

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    site = models.ForeignKey("accounts.Site", on_delete=models.PROTECT, related_name="patients")
    #: DICOM allows 64 characters; anonymisers exceed it.
    patient_id = models.CharField(max_length=256, help_text="the hospital's identifier (0010,0020)")
    name = models.CharField(
        max_length=324, blank=True, help_text="DICOM PN: Family^Given^Middle^Prefix^Suffix"
    )
    birth_date = models.DateField(null=True, blank=True)
    sex = models.CharField(max_length=1, choices=Sex, blank=True, default=Sex.UNKNOWN)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["site", "patient_id"], name="patient_unique_in_site"),
        ]


@pghistory.track()
class DemographicsReview(models.Model):
    """A study arrived for a known patient id with another name, birth date or sex. The study is accepted;
    a person decides which is right."""

    database_rights = DatabaseRights.UPDATABLE

    class Outcome(models.TextChoices):
        OPEN = "open", _("To be reviewed")
        KEPT = "kept", _("Stored demographics kept")
        UPDATED = "updated", _("Reported demographics taken over")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="demographics_reviews")
    study_instance_uid = models.CharField(max_length=64)
    reported = models.JSONField(help_text="the fields that differ: name, birth_date, sex")
    outcome = models.CharField(max_length=10, choices=Outcome, default=Outcome.OPEN)
    created_at = models.DateTimeField(default=timezone.now)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT)
    decided_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at"]

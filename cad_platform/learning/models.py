"""Consent, and versions of the data sets that are made of it. No row carries a name."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from cad_platform.core.declarations import DatabaseRights


class Consent(models.Model):
    """What a patient said to the use of her images for learning. Appended: the latest word of a person counts, and who
    never said anything has not consented."""

    database_rights = DatabaseRights.APPEND_ONLY

    class State(models.TextChoices):
        YES = "yes", _("Consents")
        NO = "no", _("Does not consent")
        UNKNOWN = "unknown", _("Not known")

    class Source(models.TextChoices):
        """No free words: what is typed about a person would have to be forgotten with her."""

        FORM = "form", _("Signed form")
        SPOKEN = "spoken", _("Said in person")
        LETTER = "letter", _("Letter or message")
        CORRECTION = "correction", _("An earlier entry was wrong")

    site = models.ForeignKey("accounts.Site", on_delete=models.PROTECT, related_name="+")
    patient = models.ForeignKey("patients.Patient", on_delete=models.PROTECT, related_name="consents")
    state = models.CharField(max_length=8, choices=State)
    source = models.CharField(max_length=12, choices=Source)
    recorded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+",
        help_text="none: by a command of the platform",
    )  # fmt: skip
    recorded_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-pk"]
        indexes = [models.Index(fields=["patient", "-id"], name="consent_latest")]


class DatasetVersion(models.Model):
    """The images of one modality that a site's signed reports and its patients' consent allowed to learn from at one
    moment. Whether somebody has withdrawn since is asked of `Consent`, never stored."""

    database_rights = DatabaseRights.APPEND_ONLY

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    site = models.ForeignKey("accounts.Site", on_delete=models.PROTECT, related_name="+")
    modality = models.CharField(max_length=16)
    number = models.PositiveIntegerField(help_text="1, 2, … of the site and modality")
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+",
        help_text="none: by a command of the platform",
    )  # fmt: skip
    made_at = models.DateTimeField(default=timezone.now)
    left_out = models.JSONField(default=dict, help_text="reason → images")

    if TYPE_CHECKING:  # counted by `versions.versions`
        images: int
        patients: int

    class Meta:
        ordering = ["-made_at", "id"]
        constraints = [
            models.UniqueConstraint(fields=["site", "modality", "number"], name="dataset_version_number"),
        ]

    def __str__(self) -> str:
        return f"{self.site.code} {self.modality} {self.number}"


class DatasetItem(models.Model):
    """One image of a version: what it is called outside, what is true of it, and where that comes from."""

    database_rights = DatabaseRights.APPEND_ONLY

    version = models.ForeignKey(DatasetVersion, on_delete=models.PROTECT, related_name="items")
    patient = models.ForeignKey("patients.Patient", on_delete=models.PROTECT, related_name="+")
    study = models.ForeignKey("studies.Study", on_delete=models.PROTECT, related_name="+")
    instance = models.ForeignKey("studies.Instance", on_delete=models.PROTECT, related_name="+")
    file_sha256 = models.CharField(max_length=64, help_text="of the stored file, as it was")
    report = models.ForeignKey(
        "reporting.Report",
        on_delete=models.PROTECT,
        related_name="+",
        help_text="signed last: it or an addendum",
    )
    report_version = models.PositiveIntegerField(help_text="1 for the report, one more with each addendum")
    reader_role = models.CharField(max_length=20, help_text="of whoever signed")
    subject = models.CharField(max_length=16, help_text="the patient's pseudonym, the same in all versions")
    name = models.CharField(max_length=24, help_text="of the exported image")
    label = models.CharField(max_length=12)
    label_from = models.CharField(max_length=12, help_text="pathology or report")
    side = models.CharField(max_length=1, blank=True)
    view = models.CharField(max_length=16, blank=True)
    assessment = models.CharField(max_length=8, blank=True, help_text="BI-RADS of the report")
    findings = models.JSONField(default=list, help_text="box, label, and who marked it: model or reader")

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["version", "instance"], name="dataset_item_once"),
            models.UniqueConstraint(fields=["version", "name"], name="dataset_item_name"),
        ]


class Training(models.Model):
    """A recipe of the laboratory that is to learn from a version: a job of its own queue. What it writes lies in a
    folder of its own; whoever goes on with it goes on from what was written."""

    database_rights = DatabaseRights.UPDATABLE

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        RUNNING = "running", _("Running")
        SUCCEEDED = "succeeded", _("Succeeded")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")

    class Step(models.TextChoices):
        EXPORTING = "exporting", _("Writing the images")
        LEARNING = "learning", _("Learning")
        PACKING = "packing", _("Measuring and packing the version")
        IMPORTING = "importing", _("Importing the version")

    OPEN = (State.WAITING, State.RUNNING)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    dataset = models.ForeignKey(DatasetVersion, on_delete=models.PROTECT, related_name="trainings")
    recipe = models.CharField(max_length=80)
    variant = models.CharField(max_length=40, blank=True)
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+",
        help_text="none: by a command of the platform",
    )  # fmt: skip
    asked_at = models.DateTimeField(default=timezone.now)
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    step = models.CharField(max_length=10, choices=Step, blank=True)
    progress = models.CharField(max_length=200, blank=True, help_text="the step's last words")
    holder = models.UUIDField(null=True, editable=False, help_text="of the process that runs it")
    seen_at = models.DateTimeField(null=True, help_text="when that was last alive")
    ended_at = models.DateTimeField(null=True)
    is_cancelled = models.BooleanField(default=False, help_text="a person wants it to end")
    said = models.TextField(blank=True, help_text="why it failed")
    candidate = models.ForeignKey(
        "registry.ModelVersion",
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="what came of it",
    )

    class Meta:
        ordering = ["-asked_at", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["dataset", "recipe", "variant"],
                condition=models.Q(state__in=["waiting", "running"]),
                name="training_open_once",
            ),
            models.CheckConstraint(
                condition=models.Q(state="succeeded", candidate__isnull=False)
                | ~models.Q(state="succeeded") & models.Q(candidate__isnull=True),
                name="training_succeeds_with_a_candidate",
            ),
        ]

"""Study, series, instance and slide, with DICOM's names; and the files that hold them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pghistory
import pgtrigger
from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from cad_platform.core.declarations import DatabaseRights
from imaging.description import ImageFacts

if TYPE_CHECKING:
    from cad_platform.studies.slides import StudySlide


class StoredFile(models.Model):
    """A file in content-addressed storage. The bytes are on disk before the row commits; a file that no row
    names is collected."""

    database_rights = DatabaseRights.DELETABLE  # the collector; foreign keys keep what is named

    sha256 = models.CharField(max_length=64, primary_key=True)
    size = models.BigIntegerField()
    media_type = models.CharField(max_length=100)
    created_at = models.DateTimeField(default=timezone.now)
    stored_at = models.DateTimeField(default=timezone.now, help_text="last time; the collector goes by it")


@pghistory.track()
class Study(models.Model):
    database_rights = DatabaseRights.UPDATABLE

    class State(models.TextChoices):
        RECEIVING = "receiving", _("Still arriving")
        COMPLETE = "complete", _("Complete")
        QUARANTINED = "quarantined", _("Quarantined")

    class Priority(models.TextChoices):
        """DICOM Requested Procedure Priority (0040,1003), the three in use."""

        ROUTINE = "routine", _("Routine")
        URGENT = "urgent", _("Urgent")
        STAT = "stat", _("Stat")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    site = models.ForeignKey("accounts.Site", on_delete=models.PROTECT, related_name="studies")
    patient = models.ForeignKey(
        "patients.Patient",
        null=True,
        on_delete=models.PROTECT,
        related_name="studies",
        help_text="none while nothing of the study could be accepted",
    )
    study_instance_uid = models.CharField(max_length=64)
    accession_number = models.CharField(max_length=256, blank=True)
    modality = models.CharField(
        max_length=16,
        help_text="code of a registered modality: the first of the study's, which its report is of",
    )
    modalities = models.JSONField(default=list, help_text="codes of all of its images' modalities, in order")
    procedure = models.CharField(max_length=200, blank=True)
    priority = models.CharField(max_length=10, choices=Priority, default=Priority.ROUTINE)
    study_date = models.DateField(null=True)
    state = models.CharField(max_length=12, choices=State)
    content_hash = models.CharField(
        max_length=64, blank=True, help_text="over the sorted file hashes and the number of corrections"
    )
    version = models.PositiveIntegerField(
        default=1, help_text="one more with every change after it was complete"
    )
    changed_at = models.DateTimeField(
        null=True, help_text="when images were last added, or something corrected, after it was complete"
    )
    quiet_at = models.DateTimeField(
        null=True, help_text="when a study that is still arriving is complete if nothing more comes"
    )
    header_differences = models.JSONField(
        default=list, help_text="where the post overrode a header: file, field, header, used"
    )
    received_at = models.DateTimeField(default=timezone.now)
    completed_at = models.DateTimeField(null=True)
    received_from = models.ForeignKey(
        "accounts.ApiToken", null=True, on_delete=models.PROTECT, related_name="studies"
    )
    erased_at = models.DateTimeField(
        null=True, help_text="since when its images are gone, and nobody at the site is shown it"
    )
    withdrawn_at = models.DateTimeField(null=True)
    withdrawn_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT)
    withdrawn_reason = models.TextField(blank=True)

    class Meta:
        constraints = [
            # A withdrawn study makes room: the hospital posts it again, for the right patient.
            models.UniqueConstraint(
                fields=["site", "study_instance_uid"],
                condition=models.Q(withdrawn_at__isnull=True),
                name="study_uid_unique_in_site",
            ),
            models.CheckConstraint(
                condition=models.Q(state="quarantined") | models.Q(patient__isnull=False),
                name="study_has_patient",
            ),
            models.CheckConstraint(
                condition=models.Q(withdrawn_at__isnull=True) | ~models.Q(withdrawn_reason=""),
                name="study_withdrawn_with_reason",
            ),
        ]
        indexes = [
            models.Index(fields=["site", "-received_at"], name="study_site_received"),
            models.Index(fields=["site", "accession_number"], name="study_accession"),
            # Each post asks whether it brings one back.
            models.Index(
                fields=["site", "study_instance_uid"],
                condition=models.Q(withdrawn_at__isnull=False),
                name="study_withdrawn_uid",
            ),
            models.Index(
                fields=["quiet_at"], condition=models.Q(state="receiving"), name="study_still_arriving"
            ),
            models.Index(
                fields=["completed_at"],
                condition=models.Q(state="complete", withdrawn_at__isnull=True),
                name="study_completed",
            ),
        ]
        triggers = [pgtrigger.Protect(name="never_deleted", operation=pgtrigger.Delete)]

    @property
    def has_images(self) -> bool:
        """False as long as only a report or another object of it has come: nobody can read it yet."""
        return bool(self.modality)


class Series(models.Model):
    database_rights = DatabaseRights.UPDATABLE

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="series")
    series_instance_uid = models.CharField(max_length=64)
    modality = models.CharField(max_length=16)
    number = models.IntegerField(null=True)
    body_part = models.CharField(max_length=32, blank=True)
    description = models.CharField(max_length=200, blank=True)

    class Meta:
        verbose_name_plural = "series"
        constraints = [
            models.UniqueConstraint(
                fields=["study", "series_instance_uid", "modality"], name="series_unique_in_study"
            ),
        ]


@pghistory.track()
class Instance(models.Model):
    """One image of a study: a DICOM object, a plain picture or a whole-slide file."""

    database_rights = DatabaseRights.UPDATABLE

    class Kind(models.TextChoices):
        DICOM = "dicom", "DICOM"
        IMAGE = "image", _("Picture")
        SLIDE = "slide", _("Slide")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    site = models.ForeignKey("accounts.Site", on_delete=models.PROTECT, related_name="+")
    series = models.ForeignKey(Series, on_delete=models.PROTECT, related_name="instances")
    sop_instance_uid = models.CharField(max_length=64)
    sop_instance_uid_minted = models.BooleanField(default=False, help_text="the file brought none")
    active = models.BooleanField(default=True, help_text="false once its study was withdrawn")
    received_at = models.DateTimeField(
        null=True, default=timezone.now, help_text="none of those that came before it was kept"
    )
    sop_class_uid = models.CharField(max_length=64, blank=True)
    number = models.IntegerField(default=1)
    kind = models.CharField(max_length=8, choices=Kind)
    file = models.ForeignKey(StoredFile, on_delete=models.PROTECT, related_name="instances")
    file_name = models.CharField(max_length=255, help_text="as posted")
    laterality = models.CharField(max_length=1, blank=True, choices=[("L", _("Left")), ("R", _("Right"))])
    view_position = models.CharField(max_length=16, blank=True)
    body_part = models.CharField(max_length=32, blank=True)
    presentation_intent = models.CharField(max_length=32, blank=True)
    photometric_interpretation = models.CharField(max_length=24, blank=True)
    transfer_syntax_uid = models.CharField(max_length=64, blank=True)
    rows = models.PositiveIntegerField()
    columns = models.PositiveIntegerField()
    frames = models.PositiveIntegerField(default=1)
    bits_stored = models.PositiveSmallIntegerField(default=8)
    samples = models.PositiveSmallIntegerField(default=1)
    pixel_spacing_um = models.FloatField(null=True, help_text="µm per stored pixel along a row")
    pixel_spacing_source = models.CharField(max_length=40, blank=True)
    facts = models.JSONField(default=dict, help_text="imaging.description.ImageFacts")
    described_by = models.PositiveSmallIntegerField(
        default=0, help_text="imaging.description.RULES; 0 of those that a version before 2.3 took in"
    )

    class Meta:
        ordering = ["number", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["site", "sop_instance_uid"],
                condition=models.Q(active=True),
                name="sop_uid_unique_in_site",
            ),
        ]
        indexes = [
            models.Index(
                fields=["site", "sop_instance_uid"],
                condition=models.Q(active=False),
                name="instance_withdrawn_uid",
            ),
        ]
        triggers = [pgtrigger.Protect(name="never_deleted", operation=pgtrigger.Delete)]

    #: The slide that its file belongs to (`studies.slides`), where that was asked.
    whole_slide: StudySlide | None = None

    @property
    def image_facts(self) -> ImageFacts:
        """What decides how it hangs, whether it is scored and how it is measured."""
        return ImageFacts.model_validate(self.facts)

    @property
    def spacing_um(self) -> tuple[float, float] | None:
        """µm per stored pixel (x, y) of the whole picture; None where regions differ or nobody knows. Rows of earlier
        versions have one number."""
        facts = self.image_facts
        if facts.spacing_um or facts.regions or self.pixel_spacing_um is None:
            return facts.spacing_um
        return self.pixel_spacing_um, self.pixel_spacing_um

    @property
    def has_scale(self) -> bool:
        """Whether any length in the picture has millimetres."""
        return self.spacing_um is not None or any(each.spacing_um for each in self.image_facts.regions)

    def spacing_in(self, box: Sequence[float]) -> tuple[float, float] | None:
        """µm per stored pixel (x, y) that holds for all of a box `(x0, y0, x1, y1)`; None where it lies across regions,
        or outside all of them."""
        regions = self.image_facts.regions
        if not regions:
            return self.spacing_um
        x0, y0, x1, y1 = box
        over: tuple[float, float] | None = None
        for region in regions:
            if x0 >= region.x1 or x1 <= region.x0 or y0 >= region.y1 or y1 <= region.y0:
                continue
            if over is not None and over != region.spacing_um:
                return None
            if region.x0 <= x0 and x1 <= region.x1 and region.y0 <= y0 and y1 <= region.y1:
                return region.spacing_um
            # It hides a part of what lies below it.
            over = region.spacing_um
            if over is None:
                return None
        return None


class SideConfirmation(models.Model):
    """A person's word on which breast an image shows: appended, never changed; the newest counts as long as nothing
    else is said of the side than it answered (`studies.sides`)."""

    database_rights = DatabaseRights.APPEND_ONLY

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    instance = models.ForeignKey(Instance, on_delete=models.PROTECT, related_name="side_confirmations")
    side = models.CharField(max_length=1, choices=[("L", _("Left")), ("R", _("Right"))])
    said = models.TextField(help_text="what was said by whom: studies.sides.Side.said")
    reason = models.TextField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["at", "id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(side__in=["L", "R"]) & ~models.Q(reason=""),
                name="side_confirmed_with_reason",
            ),
        ]
        triggers = [
            pgtrigger.Protect(name="immutable", operation=pgtrigger.Update | pgtrigger.Delete),
        ]

    @property
    def by_whom(self) -> str:
        return self.by.printed_name


class Slide(models.Model):
    """What only a whole-slide instance has. Levels: list of {width, height, downsample}."""

    database_rights = DatabaseRights.UPDATABLE

    instance = models.OneToOneField(
        Instance, primary_key=True, on_delete=models.PROTECT, related_name="slide"
    )
    mpp_x = models.FloatField(null=True)
    mpp_y = models.FloatField(null=True)
    objective_power = models.FloatField(null=True)
    levels = models.JSONField(default=list)


class QuarantinedFile(models.Model):
    """A file that claims the SOP Instance UID of another with other bytes. Nothing is overwritten."""

    database_rights = DatabaseRights.UPDATABLE

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    site = models.ForeignKey("accounts.Site", on_delete=models.PROTECT, related_name="+")
    study = models.ForeignKey(Study, null=True, on_delete=models.PROTECT, related_name="quarantined_files")
    existing = models.ForeignKey(Instance, on_delete=models.PROTECT, related_name="+")
    sop_instance_uid = models.CharField(max_length=64)
    file = models.ForeignKey(StoredFile, on_delete=models.PROTECT, related_name="+")
    file_name = models.CharField(max_length=255)
    reason = models.TextField()
    received_at = models.DateTimeField(default=timezone.now)
    received_from = models.ForeignKey("accounts.ApiToken", null=True, on_delete=models.PROTECT)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["site", "sop_instance_uid", "file"], name="quarantined_once_in_site"
            ),
        ]


class KeptAside(models.Model):
    """A file of a study that is no image here: a report, a presentation state, raw data, another modality's image. It
    is neither shown nor analysed, and changes nothing of what is."""

    database_rights = DatabaseRights.UPDATABLE

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="kept_aside")
    sop_instance_uid = models.CharField(max_length=64, blank=True)
    sop_class_uid = models.CharField(max_length=64, blank=True)
    modality = models.CharField(max_length=16, blank=True)
    what = models.CharField(max_length=100, help_text="in words")
    reason = models.CharField(max_length=40, help_text="a word for programs: no_image, other_modality")
    file = models.ForeignKey(StoredFile, on_delete=models.PROTECT, related_name="+")
    file_name = models.CharField(max_length=255, help_text="as posted")
    received_at = models.DateTimeField(default=timezone.now)
    received_from = models.ForeignKey("accounts.ApiToken", null=True, on_delete=models.PROTECT)

    class Meta:
        verbose_name_plural = "files kept aside"
        ordering = ["received_at", "id"]
        constraints = [
            models.UniqueConstraint(fields=["study", "file"], name="kept_aside_once_in_study"),
        ]
        triggers = [pgtrigger.Protect(name="never_deleted", operation=pgtrigger.Delete)]


class StudyCorrection(models.Model):
    """Something that was stored of a study was wrong and was put right, or a withdrawn study came back: appended, never
    changed."""

    database_rights = DatabaseRights.APPEND_ONLY

    class Kind(models.TextChoices):
        CORRECTED = "corrected", _("Corrected")
        BROUGHT_BACK = "brought_back", _("Brought back")
        MOVED = "moved", _("Moved to another record of the patient")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="corrections")
    kind = models.CharField(max_length=12, choices=Kind)
    version = models.PositiveIntegerField(help_text="of the study, which it made")
    changes = models.JSONField(help_text="list of {field, file, old, new}")
    reason = models.TextField()
    at = models.DateTimeField(default=timezone.now)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    received_from = models.ForeignKey(
        "accounts.ApiToken", null=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        ordering = ["at", "id"]
        triggers = [
            pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete),
        ]

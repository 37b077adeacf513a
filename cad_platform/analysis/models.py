"""Jobs, their attempts, what they produced and the findings that readers decide on."""

from __future__ import annotations

import uuid
from datetime import datetime

import pghistory
import pgtrigger
from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from cad_platform.core import request_ids
from cad_platform.core.declarations import DatabaseRights
from cad_platform.core.queues import SHORT, SLIDE


@pghistory.track(exclude=["lease_expires_at", "queued_at", "checkpoint"])
class AnalysisJob(models.Model):
    """One model version looks at one content of one study. Failed never looks like "no finding"."""

    database_rights = DatabaseRights.UPDATABLE

    class State(models.TextChoices):
        REQUESTED = "requested", _("Waiting")
        RUNNING = "running", _("Running")
        SUCCEEDED = "succeeded", _("Succeeded")
        NOT_APPLICABLE = "not_applicable", _("Not analysed")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")

    class Queue(models.TextChoices):
        """Kinds of work, each with workers of its own."""

        SHORT = SHORT, _("Images")
        SLIDE = SLIDE, _("Slides")

    #: Somebody has to work on it, or does.
    OPEN = (State.REQUESTED, State.RUNNING)
    ENDED = (State.SUCCEEDED, State.NOT_APPLICABLE, State.FAILED, State.CANCELLED)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    study = models.ForeignKey("studies.Study", on_delete=models.PROTECT, related_name="jobs")
    model_version = models.ForeignKey("registry.ModelVersion", on_delete=models.PROTECT, related_name="jobs")
    content_hash = models.CharField(max_length=64)
    queue = models.CharField(
        max_length=8, choices=Queue, default=Queue.SHORT, help_text="by what it reads; never changes"
    )
    state = models.CharField(max_length=16, choices=State, default=State.REQUESTED)
    reason = models.TextField(blank=True, help_text="why there is no result, for a person")
    retryable = models.BooleanField(default=False)
    attempt = models.PositiveIntegerField(default=0, help_text="number of the latest claim")
    request_id = models.CharField(
        max_length=request_ids.LONGEST, blank=True, default=request_ids.current, db_default="",
        help_text="of the request that led to it",
    )  # fmt: skip
    requested_at = models.DateTimeField(
        default=timezone.now, help_text="first; trying again does not move it"
    )
    restarted_at = models.DateTimeField(
        null=True, help_text="when a person had it tried again; attempts count anew"
    )
    available_at = models.DateTimeField(default=timezone.now, help_text="not before; moves with each retry")
    queued_at = models.DateTimeField(null=True, help_text="when a message for the present wait was last sent")
    lease_expires_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    checkpoint = models.ForeignKey(
        "studies.StoredFile",
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="what there is of it while it waits or runs; the next attempt goes on from there",
    )
    result = models.JSONField(null=True, help_text="inference.contract.AnalysisResult")
    score = models.FloatField(
        null=True,
        help_text="calibrated probability of the positive class; none where the result is no verdict",
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["study", "content_hash", "model_version"], name="job_unique_for_content"
            ),
            models.CheckConstraint(
                condition=models.Q(state="succeeded", result__isnull=False)
                | (~models.Q(state="succeeded") & models.Q(result__isnull=True)),
                name="job_result_iff_succeeded",
            ),
            models.CheckConstraint(
                condition=~models.Q(state__in=["failed", "not_applicable"]) | ~models.Q(reason=""),
                name="job_without_result_says_why",
            ),
        ]
        indexes = [
            models.Index(
                fields=["available_at"],
                condition=models.Q(state__in=["requested", "running"]),
                name="job_open",
            ),
            models.Index(
                fields=["queue", "requested_at"],
                condition=models.Q(state__in=["requested", "running"]),
                name="job_open_by_queue",
            ),
            models.Index(fields=["-requested_at", "id"], name="job_requested"),
        ]

    @property
    def waiting_since(self) -> datetime:
        """Since when its attempts, its patience and its age in the queue count."""
        return self.restarted_at or self.requested_at


class JobAttempt(models.Model):
    """One claim of a job by a worker; append-only history of what happened to it."""

    database_rights = DatabaseRights.UPDATABLE

    class Outcome(models.TextChoices):
        RUNNING = "running", _("Running")
        SUCCEEDED = "succeeded", _("Succeeded")
        FAILED = "failed", _("Failed")
        AWAY = "away", _("Not counted: the model server or the storage did not answer")
        GAVE_WAY = "gave_way", _("Gave way to something more urgent, and goes on from there")
        CANCELLED = "cancelled", _("Cancelled")
        LOST = "lost", _("Lost: the worker stopped answering")

    job = models.ForeignKey(AnalysisJob, on_delete=models.PROTECT, related_name="attempts")
    number = models.PositiveIntegerField()
    worker = models.CharField(max_length=100)
    queue = models.CharField(max_length=8, choices=AnalysisJob.Queue, default=AnalysisJob.Queue.SHORT)
    by_age = models.BooleanField(
        default=False, help_text="taken since it had waited the longest, before what is more urgent"
    )
    started_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=10, choices=Outcome, default=Outcome.RUNNING)
    error = models.TextField(blank=True)

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["job", "number"], name="attempt_number_of_job")]
        indexes = [models.Index(fields=["queue", "-id"], name="attempt_latest_of_queue")]


class Artefact(models.Model):
    """A mask or heat map that a job produced."""

    database_rights = DatabaseRights.UPDATABLE

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    job = models.ForeignKey(AnalysisJob, on_delete=models.PROTECT, related_name="artefacts")
    instance = models.ForeignKey("studies.Instance", on_delete=models.PROTECT, related_name="artefacts")
    kind = models.CharField(max_length=10, choices=[("mask", _("Outline")), ("heatmap", _("Heat map"))])
    file = models.ForeignKey("studies.StoredFile", on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "instance", "kind"], name="artefact_unique"),
        ]


class Finding(models.Model):
    """A place in an image: marked by a model (`job` set) or by a reader (`author` set). Never changed; what a
    reader made of it is a `reading.FindingDecision`."""

    database_rights = DatabaseRights.APPEND_ONLY

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    study = models.ForeignKey("studies.Study", on_delete=models.PROTECT, related_name="findings")
    instance = models.ForeignKey("studies.Instance", on_delete=models.PROTECT, related_name="findings")
    job = models.ForeignKey(AnalysisJob, null=True, on_delete=models.PROTECT, related_name="findings")
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    number = models.PositiveIntegerField(help_text="1, 2, … within the study, as shown")
    label = models.CharField(max_length=60)
    score = models.FloatField(null=True)
    box = models.JSONField(help_text="[x0, y0, x1, y1] in stored pixels, level 0 for slides")
    polygon = models.JSONField(null=True)
    frame = models.PositiveIntegerField(null=True, help_text="of a clip, from 0")
    descriptors = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now)
    request_key = models.UUIDField(
        null=True,
        unique=True,
        editable=False,
        help_text="names the reader's request: what comes twice is done once",
    )

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["study", "number"], name="finding_number_in_study"),
            models.CheckConstraint(
                condition=models.Q(job__isnull=False, author__isnull=True)
                | models.Q(job__isnull=True, author__isnull=False),
                name="finding_has_one_source",
            ),
        ]
        triggers = [
            pgtrigger.Protect(name="immutable", operation=pgtrigger.Update | pgtrigger.Delete),
        ]


class Reanalysis(models.Model):
    """A set of studies that a person has analysed again with the versions in use. The members are fixed when it is
    asked for; how far it is, is read from them."""

    database_rights = DatabaseRights.UPDATABLE

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    site = models.ForeignKey(
        "accounts.Site",
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="none: of every site",
    )
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    requested_at = models.DateTimeField(default=timezone.now)
    criteria = models.JSONField(default=dict, help_text="what was asked for; names no patient")
    stopped_at = models.DateTimeField(null=True, help_text="by a person: what had not begun is left alone")

    class Meta:
        ordering = ["-requested_at", "id"]


class ReanalysedStudy(models.Model):
    """One study of a set."""

    database_rights = DatabaseRights.UPDATABLE

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        REQUESTED = "requested", _("Asked for")
        UNNEEDED = "unneeded", _("Analysed by this version already")
        GONE = "gone", _("Withdrawn or incomplete")

    reanalysis = models.ForeignKey(Reanalysis, on_delete=models.PROTECT, related_name="members")
    study = models.ForeignKey("studies.Study", on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    jobs = models.ManyToManyField(AnalysisJob, related_name="+")

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["reanalysis", "study"], name="reanalysed_once_in_set"),
        ]
        indexes = [
            models.Index(
                fields=["reanalysis"], condition=models.Q(state="waiting"), name="reanalysed_waiting"
            ),
        ]


class BulkAction(models.Model):
    """Something that an administrator has done to many jobs at once. Which jobs is fixed when it is asked for."""

    database_rights = DatabaseRights.UPDATABLE

    class Kind(models.TextChoices):
        RETRY = "retry", _("Try again")
        CANCEL = "cancel", _("Cancel")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=10, choices=Kind)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    requested_at = models.DateTimeField(default=timezone.now)
    criteria = models.JSONField(default=dict, help_text="what was asked for; names no patient")

    class Meta:
        ordering = ["-requested_at", "id"]


class BulkMember(models.Model):
    """One job of it."""

    database_rights = DatabaseRights.UPDATABLE

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        DONE = "done", _("Done")
        LEFT = "left", _("Left as it was: it had gone on meanwhile")

    action = models.ForeignKey(BulkAction, on_delete=models.PROTECT, related_name="members")
    job = models.ForeignKey(AnalysisJob, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["action", "job"], name="job_once_in_bulk_action")]
        indexes = [
            models.Index(fields=["action"], condition=models.Q(state="waiting"), name="bulk_waiting"),
        ]


class ShadowResult(models.Model):
    """What a version that runs in shadow says of one content of one study. It is no job and brings no finding, so
    nothing that composes what a reader sees can come across it."""

    database_rights = DatabaseRights.UPDATABLE

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        SUCCEEDED = "succeeded", _("Succeeded")
        NOT_APPLICABLE = "not_applicable", _("Not analysed")
        FAILED = "failed", _("Failed")

    study = models.ForeignKey("studies.Study", on_delete=models.PROTECT, related_name="+")
    model_version = models.ForeignKey("registry.ModelVersion", on_delete=models.PROTECT, related_name="+")
    content_hash = models.CharField(max_length=64)
    state = models.CharField(max_length=16, choices=State, default=State.WAITING)
    reason = models.TextField(blank=True)
    attempts = models.PositiveIntegerField(default=0)
    requested_at = models.DateTimeField(default=timezone.now)
    available_at = models.DateTimeField(default=timezone.now, help_text="not before; moves with each attempt")
    finished_at = models.DateTimeField(null=True)
    result = models.JSONField(null=True, help_text="inference.contract.AnalysisResult, without its pictures")
    score = models.FloatField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["study", "content_hash", "model_version"], name="shadow_unique_for_content"
            ),
            models.CheckConstraint(
                condition=models.Q(state="succeeded", result__isnull=False)
                | (~models.Q(state="succeeded") & models.Q(result__isnull=True)),
                name="shadow_result_iff_succeeded",
            ),
        ]
        indexes = [
            models.Index(fields=["available_at"], condition=models.Q(state="waiting"), name="shadow_waiting"),
        ]


class KnownTruth(models.Model):
    """What is known to be true of a study, for comparing what versions say of it. The latest entry counts."""

    database_rights = DatabaseRights.APPEND_ONLY

    study = models.ForeignKey("studies.Study", on_delete=models.PROTECT, related_name="+")
    positive = models.BooleanField()
    source = models.CharField(
        max_length=10, choices=[("table", _("Table")), ("pathology", _("Signed pathology"))]
    )
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["at", "pk"]
        indexes = [models.Index(fields=["study", "-at"], name="truth_latest")]

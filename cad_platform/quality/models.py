"""What is measured of analyses, their figures by the hour, and alerts. No row names a patient."""

from __future__ import annotations

import uuid

import pghistory
from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from cad_platform.core.declarations import DatabaseRights


class AnalysisFact(models.Model):
    """What is measured of one analysis that ended, and what readers and pathology made of it. Made of the case's own
    rows by `quality.facts`, which may make it again at any time."""

    database_rights = DatabaseRights.DELETABLE  # an analysis that is tried again has not ended

    job = models.OneToOneField(
        "analysis.AnalysisJob", primary_key=True, on_delete=models.PROTECT, related_name="+"
    )
    study = models.ForeignKey("studies.Study", on_delete=models.PROTECT, related_name="+")
    site = models.ForeignKey("accounts.Site", on_delete=models.PROTECT, related_name="+")
    model_version = models.ForeignKey("registry.ModelVersion", on_delete=models.PROTECT, related_name="+")
    modality = models.CharField(max_length=16)
    ended_at = models.DateTimeField()
    state = models.CharField(max_length=16, help_text="of the job")
    reason = models.CharField(
        max_length=300, blank=True, help_text="the kind of reason, without what differs"
    )
    score = models.FloatField(null=True, help_text="none where there is no verdict")
    is_positive = models.BooleanField(null=True, help_text="the score reaches the balanced operating point")
    flags = models.JSONField(default=list)
    seconds = models.JSONField(default=dict, help_text="phase → seconds")
    age_band = models.CharField(max_length=8, blank=True)
    vendor = models.CharField(max_length=64, blank=True)
    device = models.CharField(max_length=128, blank=True, help_text="vendor and model")
    density = models.CharField(max_length=4, blank=True, help_text="as signed")
    sides = models.CharField(max_length=2, blank=True, help_text="L, R or LR")

    signed_at = models.DateTimeField(null=True, help_text="when the report was first signed")
    conclusion = models.CharField(max_length=16, blank=True, help_text="of the report, with its addenda")
    accepted = models.PositiveIntegerField(default=0)
    edited = models.PositiveIntegerField(default=0)
    rejected = models.PositiveIntegerField(default=0)
    undecided = models.PositiveIntegerField(default=0, help_text="of the marks that were shown unasked")
    said_positive = models.BooleanField(null=True, help_text="by the report; none where it leaves it open")
    proven_positive = models.BooleanField(null=True, help_text="by pathology; none where there is none")

    class Meta:
        indexes = [
            models.Index(
                fields=["site", "model_version", "modality", "ended_at"], name="fact_site_version_ended"
            ),
            models.Index(fields=["site", "model_version", "modality", "signed_at"], name="fact_signed"),
            models.Index(fields=["ended_at"], name="fact_ended"),
        ]


class HourlyFigures(models.Model):
    """What happened in one hour at a site with one version and modality: counts that can be added up. What ended in it
    and what was signed in it."""

    database_rights = DatabaseRights.UPDATABLE

    site = models.ForeignKey("accounts.Site", on_delete=models.PROTECT, related_name="+")
    model_version = models.ForeignKey("registry.ModelVersion", on_delete=models.PROTECT, related_name="+")
    modality = models.CharField(max_length=16)
    hour = models.DateTimeField(help_text="when it began, UTC")
    counts = models.JSONField(default=dict, help_text="quality.counting.Counts")

    class Meta:
        verbose_name_plural = "hourly figures"
        constraints = [
            models.UniqueConstraint(
                fields=["site", "model_version", "modality", "hour"], name="figures_once_an_hour"
            ),
        ]
        indexes = [models.Index(fields=["hour"], name="figures_hour")]


class Measure(models.TextChoices):
    """What a rule watches."""

    DRIFT = "drift", _("Scores drift (PSI)")
    DEVICE = "device", _("A device's images are unlike the model's own")
    CALIBRATION = "calibration", _("Probabilities do not fit what was found")
    AUC = "auc", _("The model tells cases apart worse (AUC)")
    OVERRIDES = "overrides", _("Readers contradict the model")
    FAILURES = "failures", _("Analyses fail")
    REFUSALS = "refusals", _("Studies are refused")
    UNLIKE = "unlike", _("Images get no verdict")
    LATENCY = "latency", _("Results come late")
    KNOWN_CASE = "known_case", _("A known case is answered otherwise")
    ACCEPTANCE = "acceptance", _("A site's known cases are told apart worse than when they were signed")


@pghistory.track()
class AlertRule(models.Model):
    """From which value on somebody is told, and who."""

    database_rights = DatabaseRights.UPDATABLE

    measure = models.CharField(max_length=16, choices=Measure, unique=True)
    threshold = models.FloatField()
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    is_on = models.BooleanField(default=True)
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["pk"]


@pghistory.track(exclude=["value", "seen_at"])
class Alert(models.Model):
    """Something was beyond its rule's threshold. While it goes on it is one alert, however often it is measured."""

    database_rights = DatabaseRights.UPDATABLE

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    rule = models.ForeignKey(AlertRule, on_delete=models.PROTECT, related_name="alerts")
    site = models.ForeignKey("accounts.Site", null=True, on_delete=models.PROTECT, related_name="+")
    model_version = models.ForeignKey("registry.ModelVersion", on_delete=models.PROTECT, related_name="+")
    device = models.CharField(max_length=128, blank=True)
    value = models.FloatField(help_text="as measured last")
    threshold = models.FloatField(help_text="of the rule, when it was raised")
    evidence = models.JSONField(default=dict, help_text="what else was measured; names no patient")
    raised_at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(default=timezone.now, help_text="when it was last beyond the threshold")
    ended_at = models.DateTimeField(null=True, help_text="when it was no longer")
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    note = models.TextField(blank=True, help_text="what came of it, by who acknowledged it")

    class Meta:
        ordering = ["-raised_at", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["rule", "site", "model_version", "device"],
                condition=models.Q(ended_at__isnull=True),
                nulls_distinct=False,
                name="alert_one_at_a_time",
            ),
            models.CheckConstraint(
                condition=models.Q(acknowledged_at__isnull=True, acknowledged_by__isnull=True)
                | models.Q(acknowledged_at__isnull=False, acknowledged_by__isnull=False),
                name="alert_acknowledged_by_somebody",
            ),
        ]


class DeviceTest(models.Model):
    """What the shift test said of a set of images of one device."""

    database_rights = DatabaseRights.APPEND_ONLY

    site = models.ForeignKey("accounts.Site", on_delete=models.PROTECT, related_name="+")
    model_version = models.ForeignKey("registry.ModelVersion", on_delete=models.PROTECT, related_name="+")
    device = models.CharField(max_length=128)
    up_to = models.DateTimeField(help_text="when the last of its analyses ended")
    tested_at = models.DateTimeField(default=timezone.now)
    images = models.PositiveIntegerField()
    named = models.JSONField(help_text="features that differ")
    result = models.JSONField(help_text="inference.evaluation.shift.Shift")

    class Meta:
        ordering = ["-up_to"]
        indexes = [models.Index(fields=["site", "model_version", "device", "-up_to"], name="device_tested")]


class KnownCaseRun(models.Model):
    """A known case on its way through the whole platform, under a study of its own."""

    database_rights = DatabaseRights.UPDATABLE

    study = models.OneToOneField(
        "studies.Study", primary_key=True, on_delete=models.PROTECT, related_name="+"
    )
    case = models.CharField(max_length=40)
    modality = models.CharField(max_length=16)
    posted_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, help_text="when every version had answered")

    class Meta:
        ordering = ["-posted_at"]
        indexes = [models.Index(fields=["case", "-posted_at"], name="known_case_latest")]


class KnownCaseAnswer(models.Model):
    """What a version said of a known case. The first of a version is what the others are compared with."""

    database_rights = DatabaseRights.APPEND_ONLY

    job = models.OneToOneField(
        "analysis.AnalysisJob", primary_key=True, on_delete=models.PROTECT, related_name="+"
    )
    run = models.ForeignKey(KnownCaseRun, on_delete=models.PROTECT, related_name="answers")
    model_version = models.ForeignKey("registry.ModelVersion", on_delete=models.PROTECT, related_name="+")
    answered_at = models.DateTimeField()
    state = models.CharField(max_length=16)
    said = models.JSONField(help_text="probabilities, flags and marks")
    difference = models.FloatField(help_text="from the version's first answer: the largest of a probability")
    change = models.CharField(max_length=300, blank=True, help_text="what else is otherwise")

    class Meta:
        ordering = ["-answered_at"]
        indexes = [models.Index(fields=["model_version", "-answered_at"], name="known_answer_latest")]


@pghistory.track(exclude=["report", "done", "whole", "told_at"])
class Acceptance(models.Model):
    """A version measured on a site's own known cases, and the verdict that the laboratory's rules come to
    (`inference.evaluation.acceptance`). It counts for the site once a second person has signed it."""

    database_rights = DatabaseRights.UPDATABLE

    class State(models.TextChoices):
        WAITING = "waiting", _("Being measured")
        MEASURED = "measured", _("Measured")
        FAILED = "failed", _("Not measured")

    class Verdict(models.TextChoices):
        """From the best to the worst."""

        ON = "switch_on", _("Switch on")
        WITH = "switch_on_with", _("Switch on with conditions")
        TOO_FEW = "too_few_cases", _("Too few cases")
        DO_NOT = "do_not_switch_on", _("Do not switch on")

    class Source(models.TextChoices):
        TABLE = "table", _("A table of known cases")
        PLATFORM = "platform", _("What the platform knows: tables taken up before, and signed pathology")
        PICKED = "picked", _("Studies that a person picked")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    model_version = models.ForeignKey("registry.ModelVersion", on_delete=models.PROTECT, related_name="+")
    site = models.ForeignKey("accounts.Site", on_delete=models.PROTECT, related_name="+")
    source = models.CharField(max_length=8, choices=Source)
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+", help_text="none: the clock"
    )  # fmt: skip
    asked_at = models.DateTimeField(default=timezone.now)
    state = models.CharField(max_length=8, choices=State, default=State.WAITING)
    done = models.PositiveIntegerField(default=0, help_text="images measured so far")
    whole = models.PositiveIntegerField(default=0, help_text="images to measure")
    told_at = models.DateTimeField(null=True, help_text="when the worker last said how far it is")
    ended_at = models.DateTimeField(null=True)
    said = models.TextField(blank=True, help_text="why it was not measured; names no patient")
    verdict = models.CharField(max_length=20, choices=Verdict, blank=True)
    report = models.JSONField(null=True, help_text="inference.evaluation.acceptance.Acceptance, with curves")
    signed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    signed_at = models.DateTimeField(null=True)
    note = models.TextField(blank=True, help_text="by who signed")

    class Meta:
        ordering = ["-asked_at", "id"]
        indexes = [models.Index(fields=["model_version", "site", "-asked_at"], name="acceptance_latest")]
        constraints = [
            models.UniqueConstraint(
                fields=["model_version", "site"],
                condition=models.Q(state="waiting"),
                name="accepted_once_at_a_time",
            ),
            models.CheckConstraint(
                condition=models.Q(state="measured", report__isnull=False) & ~models.Q(verdict="")
                | ~models.Q(state="measured") & models.Q(report__isnull=True, verdict=""),
                name="acceptance_verdict_iff_measured",
            ),
            models.CheckConstraint(
                condition=models.Q(signed_by__isnull=True, signed_at__isnull=True)
                | models.Q(
                    signed_by__isnull=False,
                    signed_at__isnull=False,
                    asked_by__isnull=False,
                    state="measured",
                )
                & ~models.Q(signed_by=models.F("asked_by")),
                name="acceptance_signed_by_another",
            ),
        ]


class AcceptanceCase(models.Model):
    """One study of an acceptance, and what is known of it."""

    database_rights = DatabaseRights.APPEND_ONLY

    acceptance = models.ForeignKey(Acceptance, on_delete=models.PROTECT, related_name="cases")
    study = models.ForeignKey("studies.Study", on_delete=models.PROTECT, related_name="+")
    label = models.CharField(max_length=40, help_text="a class of the model, or positive or negative")
    side = models.CharField(
        max_length=1, blank=True, help_text="L or R, the breast that it tells of; none: both"
    )

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["acceptance", "study", "side"], name="acceptance_case_once")
        ]


class ReaderStudy(models.Model):
    """Several readers' scores of several cases with several modalities, and what the laboratory's analysis of them came
    to (`inference.challenges.mrmc`). Cases are called as the table calls them; no image and no patient is kept. A table
    that the platform made of signed reports (`quality.signed_readings`) is kept: nobody else has it."""

    database_rights = DatabaseRights.APPEND_ONLY

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=120)
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    made_at = models.DateTimeField(default=timezone.now)
    table_sha256 = models.CharField(max_length=64, help_text="of the table")
    table = models.TextField(
        blank=True, db_default="", help_text="made of signed reports; a person's is not kept"
    )
    source = models.JSONField(null=True, help_text="what such a table was made of")
    is_nested = models.BooleanField(
        db_default=False, help_text="each case has one reader; otherwise every reader has read every case"
    )
    readings = models.PositiveIntegerField()
    report = models.JSONField(help_text="inference.challenges.report.Report")
    text = models.TextField(help_text="the same for people, as the command writes it")
    curves = models.JSONField(help_text="reader → modality → corners of the ROC curve")

    class Meta:
        ordering = ["-made_at", "id"]

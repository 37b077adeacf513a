"""What readers decide of findings, what they measure and how they left the images, how far the report of a study is,
and the worklist's projection (ADR 55)."""

from __future__ import annotations

import uuid

import pghistory
import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from cad_platform.core.declarations import DatabaseRights
from cad_platform.core.parts import parts_index


class FindingDecision(models.Model):
    """Appended, never changed: the newest decision of a finding counts."""

    database_rights = DatabaseRights.APPEND_ONLY

    class Verdict(models.TextChoices):
        ACCEPTED = "accepted", _("Accepted")
        EDITED = "edited", _("Edited")
        REJECTED = "rejected", _("Rejected")
        UNDECIDED = "undecided", _("Undecided")  # an undo is a decision too

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    finding = models.ForeignKey("analysis.Finding", on_delete=models.PROTECT, related_name="decisions")
    reader = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    verdict = models.CharField(max_length=10, choices=Verdict)
    reason = models.CharField(max_length=500, blank=True)
    box = models.JSONField(null=True, help_text="the reader's geometry, when edited")
    label = models.CharField(max_length=60, blank=True, help_text="the reader's label, when edited")
    decided_at = models.DateTimeField(default=timezone.now)
    request_key = models.UUIDField(
        null=True, unique=True, editable=False, help_text="names the request: what comes twice is done once"
    )

    class Meta:
        ordering = ["decided_at"]
        get_latest_by = "decided_at"
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(verdict__in=["edited", "rejected"]) | ~models.Q(reason=""),
                name="decision_says_why",
            ),
        ]
        triggers = [
            pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete),
        ]


class ReportStanding(models.Model):
    """How far the report of a study is. `reporting`, one floor up, says so through `reading.report_standing` in the
    transaction that changes it; whether a case is open, and where it stands on the worklist, is asked here."""

    database_rights = DatabaseRights.UPDATABLE

    study = models.OneToOneField(
        "studies.Study", primary_key=True, on_delete=models.PROTECT, related_name="report_standing"
    )
    has_draft = models.BooleanField(help_text="a report or an addendum is being written")
    signed_at = models.DateTimeField(null=True, help_text="when the latest report or addendum was signed")
    signed_jobs = models.JSONField(
        null=True, help_text="id → state, of the jobs that the latest signed record holds"
    )
    category = models.CharField(
        max_length=8,
        blank=True,
        db_default="",
        help_text="BI-RADS assessment that counts after all that was signed",
    )
    is_amended = models.BooleanField(db_default=False, help_text="an addendum was signed")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(signed_at__isnull=True, signed_jobs__isnull=True)
                | models.Q(signed_at__isnull=False, signed_jobs__isnull=False),
                name="standing_signed_holds_jobs",
            ),
        ]

    def __str__(self) -> str:
        return f"report of study {self.study_id}"


@pghistory.track()
class Annotation(models.Model):
    """What a reader measured or pointed at in an image. It is the reader's own until it is put into the report; taken
    away it stays, so that an undo brings it back. The row's key is the browser's: what comes twice is one."""

    database_rights = DatabaseRights.UPDATABLE

    class Kind(models.TextChoices):
        LENGTH = "length", _("Length")
        ARROW = "arrow", _("Arrow")

    id = models.UUIDField(primary_key=True, editable=False)
    study = models.ForeignKey("studies.Study", on_delete=models.PROTECT, related_name="annotations")
    instance = models.ForeignKey("studies.Instance", on_delete=models.PROTECT, related_name="annotations")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    frame = models.PositiveIntegerField(null=True, help_text="of a clip, from 0")
    kind = models.CharField(max_length=8, choices=Kind)
    points = models.JSONField(
        help_text="[[x, y], [x, y]] in stored pixels, level 0 for slides; an arrow's tip is last"
    )
    note = models.CharField(max_length=200, blank=True)
    revision = models.PositiveIntegerField(help_text="counted by the browser: an older state never wins")
    made_at = models.DateTimeField(default=timezone.now)
    changed_at = models.DateTimeField(default=timezone.now)
    withdrawn_at = models.DateTimeField(null=True, help_text="when the reader took it away")
    reported_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="who put it into the report; none: it is not in the report",
    )

    class Meta:
        ordering = ["made_at", "id"]
        indexes = [models.Index(fields=["study", "author"], name="annotation_study_author")]
        triggers = [pgtrigger.Protect(name="never_deleted", operation=pgtrigger.Delete)]

    @property
    def in_report(self) -> bool:
        return self.reported_by_id is not None and self.withdrawn_at is None


class ReadingView(models.Model):
    """How a reader left an image (window, zoom, place, frame), or with no image the stage of a study (layout, tool).
    The newest counts; nothing clinical hangs on it."""

    database_rights = DatabaseRights.UPDATABLE

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    study = models.ForeignKey("studies.Study", on_delete=models.PROTECT, related_name="+")
    instance = models.ForeignKey("studies.Instance", null=True, on_delete=models.PROTECT, related_name="+")
    state = models.JSONField(help_text="reading.view_answers.ImageView or StageView")
    kept_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "study", "instance"], nulls_distinct=False, name="view_once_of_a_reader"
            ),
        ]


# --- the worklist's projection (`reading.projection` writes it, ADR 55) -----------------------------------


class _Place(models.Model):
    """Where a study with images stands in its site's worklist. Without constraints to the tables that it is made from:
    who writes those is kept waiting by nobody who writes these."""

    study = models.OneToOneField(
        "studies.Study", primary_key=True, on_delete=models.PROTECT, related_name="+", db_constraint=False
    )
    site = models.ForeignKey(
        "accounts.Site", on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    reading_state = models.CharField(max_length=12, help_text="reading.states.ReadingState")
    is_unread = models.BooleanField(help_text="somebody has to look at it")
    priority_rank = models.PositiveSmallIntegerField()
    received_at = models.DateTimeField()

    class Meta:
        abstract = True


class WorklistEntry(_Place):
    """What the worklist needs to know of a study that no model has said."""

    database_rights = DatabaseRights.DELETABLE

    generation = models.CharField(max_length=40, help_text="of the routing that it was worked out with")

    class Meta:
        verbose_name_plural = "worklist entries"
        indexes = [
            models.Index(
                fields=["site", "received_at", "study"],
                condition=models.Q(is_unread=True),
                name="entry_unread",
            ),
            models.Index(
                fields=["site", "-received_at", "study"],
                condition=models.Q(is_unread=True),
                name="entry_newest",
            ),
            models.Index(fields=["site", "reading_state", "received_at", "study"], name="entry_state"),
            models.Index(
                fields=["site", "reading_state", "-received_at", "study"], name="entry_state_newest"
            ),
            models.Index(fields=["site", "received_at", "study"], name="entry_all"),
            models.Index(fields=["site", "-received_at", "study"], name="entry_all_newest"),
            models.Index(fields=["site", "is_unread", "generation"], name="entry_generation"),
        ]

    def __str__(self) -> str:
        return f"worklist entry of study {self.study_id}"


class WorklistSearch(models.Model):
    """What a search of the worklist looks through, in a table that no page without a search reads."""

    database_rights = DatabaseRights.DELETABLE

    study = models.OneToOneField(
        "studies.Study", primary_key=True, on_delete=models.PROTECT, related_name="+", db_constraint=False
    )
    site = models.ForeignKey(
        "accounts.Site", on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    names = models.TextField(blank=True, help_text="as `Patient.search_name`")
    text = models.TextField(blank=True, help_text="names and numbers")

    class Meta:
        verbose_name_plural = "worklist searches"
        indexes = [parts_index("text", "worklist_search_parts")]

    def __str__(self) -> str:
        return f"search of study {self.study_id}"


_LIKELIEST_FIRST = models.F("ai_score").desc(nulls_last=True)


class WorklistAi(_Place):
    """What the results that count amount to: apart, so that it can be kept from a reader who has not read yet. With its
    own copy of a study's place, by which it is sorted."""

    database_rights = DatabaseRights.DELETABLE

    ai_score = models.FloatField(null=True)
    has_open_job = models.BooleanField()
    awaits_job = models.BooleanField()

    class Meta:
        verbose_name_plural = "worklist AI columns"
        indexes = [
            models.Index(
                "site", *among, *order, "received_at", "study", condition=only, name=f"ai_{those}_{so}"
            )
            for those, (among, only) in {
                "unread": ((), models.Q(is_unread=True)),
                "state": (("reading_state",), None),
                "all": ((), None),
            }.items()
            for so, order in {
                "suggested": ("priority_rank", _LIKELIEST_FIRST),
                "score": (_LIKELIEST_FIRST,),
            }.items()
        ]

    def __str__(self) -> str:
        return f"AI columns of study {self.study_id}"


class WorklistChange(models.Model):
    """Something that the worklist shows of a study has changed: written by triggers in the transaction that changed it
    (`reading/worklist_triggers.py`), taken away by who brings the projection up to date. Only ever inserted by those
    who write, so none of them waits for another."""

    database_rights = DatabaseRights.DELETABLE

    site_id = models.BigIntegerField()
    study_id = models.UUIDField(null=True, help_text="none: of the site itself")

    class Meta:
        indexes = [models.Index(fields=["site_id", "id"], name="worklist_change_site")]

    def __str__(self) -> str:
        return f"change of study {self.study_id}"


class WorklistRouting(models.Model):
    """One row for each change of which versions count: their number is the routing's generation."""

    database_rights = DatabaseRights.APPEND_ONLY

    at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"routing {self.pk}"


class WorklistRevision(models.Model):
    """How often the projection of a site has changed: a page that has seen the number has seen everything."""

    database_rights = DatabaseRights.UPDATABLE

    site = models.OneToOneField(
        "accounts.Site", primary_key=True, on_delete=models.PROTECT, related_name="+", db_constraint=False
    )
    number = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"revision {self.number} of site {self.site_id}"

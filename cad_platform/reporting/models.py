"""Reports and signatures. A signed report is frozen by the database itself; an addendum is a new record."""

from __future__ import annotations

import uuid

import pghistory
import pgtrigger
from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from cad_platform.core.declarations import DatabaseRights
from cad_platform.core.triggers import no_truncate

_SIGNED = pgtrigger.Q(old__state="signed")


@pghistory.track()
class Report(models.Model):
    database_rights = DatabaseRights.DELETABLE  # drafts; a trigger keeps what is signed

    class State(models.TextChoices):
        DRAFT = "draft", _("Draft")
        SIGNED = "signed", _("Signed")

    class Kind(models.TextChoices):
        REPORT = "report", _("Report")
        ADDENDUM = "addendum", _("Addendum")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # No way back: a lower floor that wants to know asks `reading.report_standing`.
    study = models.ForeignKey("studies.Study", on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.REPORT)
    amends = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="addenda")
    state = models.CharField(max_length=10, choices=State, default=State.DRAFT)
    content = models.JSONField(default=dict, help_text="reporting.content: imaging or histopathology")
    ai_summary = models.JSONField(default=dict, help_text="what the models said, frozen at signing")
    particulars = models.JSONField(
        default=dict, help_text="reporting.particulars: what else is printed, frozen at signing"
    )
    overrides = models.JSONField(
        default=list, help_text="contradictions that it was signed under: key, rule, values, sentence, reason"
    )
    revision = models.PositiveIntegerField(default=0, help_text="counts saves; a save names the one it saw")
    saved_key = models.UUIDField(
        null=True, editable=False, help_text="names the request that made this revision"
    )
    content_hash = models.CharField(max_length=64, blank=True, help_text="sha256 of the canonical record")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    updated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    updated_at = models.DateTimeField(default=timezone.now)
    pdf = models.ForeignKey("studies.StoredFile", null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ["created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["study"], condition=models.Q(kind="report"), name="report_one_per_study"
            ),
            models.UniqueConstraint(
                fields=["study"], condition=models.Q(state="draft"), name="report_one_draft_per_study"
            ),
            models.CheckConstraint(
                condition=models.Q(kind="report", amends__isnull=True)
                | models.Q(kind="addendum", amends__isnull=False),
                name="report_addendum_amends",
            ),
            models.CheckConstraint(
                condition=models.Q(state="draft") | ~models.Q(content_hash=""), name="report_signed_has_hash"
            ),
        ]
        triggers = [
            pgtrigger.Protect(name="signed_is_frozen", operation=pgtrigger.Update, condition=_SIGNED),
            pgtrigger.Protect(name="signed_is_kept", operation=pgtrigger.Delete, condition=_SIGNED),
            no_truncate(),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"


class Signature(models.Model):
    """Who signed what, when and with which meaning (21 CFR 11.50), bound to it by its hash (11.70)."""

    database_rights = DatabaseRights.APPEND_ONLY

    report = models.OneToOneField(
        Report, primary_key=True, on_delete=models.PROTECT, related_name="signature"
    )
    signer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="signatures")
    printed_name = models.CharField(max_length=310)
    role = models.CharField(max_length=20)
    meaning = models.CharField(max_length=100)
    signed_at = models.DateTimeField(default=timezone.now)
    content_hash = models.CharField(max_length=64)
    request_key = models.UUIDField(
        unique=True,
        null=True,
        help_text="Names the request that signed: the same again, because its answer got lost, signs nothing",
    )

    class Meta:
        triggers = [
            pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete),
            no_truncate(),
        ]

    def __str__(self) -> str:
        return f"{self.printed_name}, {self.signed_at:%Y-%m-%d %H:%M:%S}"


class DraftPresence(models.Model):
    """Who has a draft open: two writers are told of each other."""

    database_rights = DatabaseRights.DELETABLE

    report = models.ForeignKey(Report, on_delete=models.CASCADE, related_name="presences")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    seen_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["report", "user"], name="presence_of_user")]

    def __str__(self) -> str:
        return f"user {self.user_id} in {self.report_id}"

"""Model versions as the platform knows them, who approved them, and which studies each analyses; the bytes are in the
model store.

What must hold of a version's life holds in the database: two different people approved what is in use, and nothing
else is. `registry.lifecycle` and `registry.routes` are the writers.
"""

from __future__ import annotations

import uuid

import pghistory
import pgtrigger
from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from cad_platform.core.declarations import DatabaseRights


@pghistory.track()
class ModelVersion(models.Model):
    """One set of weights with its manifest. At most one version of a model is the default of the platform; a site may
    have another (`ModelRoute`)."""

    database_rights = DatabaseRights.UPDATABLE

    class State(models.TextChoices):
        UPLOADED = "uploaded", _("Uploaded")
        VERIFIED = "verified", _("Verified")
        APPROVED = "approved", _("Approved")
        RETIRED = "retired", _("Retired")

    name = models.CharField(max_length=60)
    version = models.CharField(max_length=40)
    modality = models.CharField(max_length=16)
    manifest = models.JSONField(help_text="inference.contract.ModelManifest")
    weights_sha256 = models.CharField(max_length=64)
    card = models.TextField(blank=True, help_text="Markdown")
    metrics = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=State, default=State.UPLOADED)
    is_default = models.BooleanField(default=False)
    registered_at = models.DateTimeField(default=timezone.now)
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="none: it lay in the model store",
    )
    came_with_installation = models.BooleanField(
        default=False, help_text="taken into use when the platform was set up, by whoever did that"
    )
    first_approver = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    second_approver = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        ordering = ["name", "-registered_at"]
        constraints = [
            models.UniqueConstraint(fields=["name", "version"], name="model_version_unique"),
            models.UniqueConstraint(
                fields=["name"], condition=models.Q(is_default=True), name="model_one_default"
            ),
            models.CheckConstraint(
                condition=models.Q(is_default=False) | models.Q(state="approved"),
                name="model_default_is_approved",
            ),
            models.CheckConstraint(
                condition=~models.Q(state="approved")
                | models.Q(came_with_installation=True)
                | models.Q(first_approver__isnull=False, second_approver__isnull=False),
                name="model_approved_by_two",
            ),
            models.CheckConstraint(
                condition=models.Q(second_approver__isnull=True)
                | models.Q(first_approver__isnull=False)
                & ~models.Q(first_approver=models.F("second_approver")),
                name="model_approvers_differ",
            ),
        ]
        triggers = [
            pgtrigger.Trigger(
                name="routed_stays_approved",
                when=pgtrigger.Before,
                operation=pgtrigger.UpdateOf("state"),
                condition=pgtrigger.Q(old__state="approved") & ~pgtrigger.Q(new__state="approved"),
                func="""
                    IF EXISTS (SELECT 1 FROM registry_modelroute WHERE version_id = NEW.id) THEN
                        RAISE EXCEPTION 'a version that analyses studies stays approved';
                    END IF;
                    RETURN NEW;
                """,
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class Approval(models.Model):
    """One person's yes to a version, with what a predetermined change control plan asks of a change."""

    database_rights = DatabaseRights.APPEND_ONLY

    class ChangeClass(models.TextChoices):
        TECHNICAL = "technical", _("Technical: the same network, built or stored anew")
        RETRAINED = "retrained", _("Retrained: the same method on more or other cases")
        INPUTS = "inputs", _("Inputs: other devices or kinds of images")
        METHOD = "method", _("Method: another network or preprocessing")
        OUTSIDE = "outside", _("Outside the plan: needs a review of its own")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="approvals")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    role = models.CharField(max_length=20, help_text="as of then")
    at = models.DateTimeField(default=timezone.now)
    change_class = models.CharField(max_length=12, choices=ChangeClass)
    modification = models.TextField(help_text="what was changed")
    protocol = models.TextField(help_text="how it was verified and validated, against which limits")
    impact = models.TextField(help_text="benefits and risks, and how the risks are met")
    reason = models.TextField()

    class Meta:
        ordering = ["at"]
        constraints = [models.UniqueConstraint(fields=["version", "by"], name="approved_once_by_each")]


@pghistory.track()
class ModelRoute(models.Model):
    """That a version analyses studies beside, or in place of, its model's default: at one site, or at all."""

    database_rights = DatabaseRights.DELETABLE

    class Kind(models.TextChoices):
        DEFAULT = "default", _("Default at the site")
        CANARY = "canary", _("Canary: some patients")
        SHADOW = "shadow", _("Shadow: compared, never shown")

    #: Their results are the ones that readers see.
    SHOWN = (Kind.DEFAULT, Kind.CANARY)

    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="routes")
    name = models.CharField(max_length=60, help_text="the version's")
    site = models.ForeignKey(
        "accounts.Site", null=True, on_delete=models.PROTECT, related_name="+", help_text="none: every site"
    )
    kind = models.CharField(max_length=8, choices=Kind)
    percent = models.PositiveSmallIntegerField(null=True, help_text="of the patients, of a canary")
    since = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["name", "kind", "site"]
        constraints = [
            models.UniqueConstraint(
                fields=["name", "site", "kind"], nulls_distinct=False, name="route_one_of_kind"
            ),
            models.CheckConstraint(
                condition=models.Q(kind="canary", percent__isnull=False, percent__gte=1, percent__lte=99)
                | ~models.Q(kind="canary") & models.Q(percent__isnull=True),
                name="route_percent_of_canary",
            ),
            models.CheckConstraint(
                condition=~models.Q(kind="default") | models.Q(site__isnull=False),
                name="route_default_of_site",
            ),
        ]
        triggers = [
            pgtrigger.Trigger(
                name="approved_alone",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert | pgtrigger.Update,
                func="""
                    PERFORM 1 FROM registry_modelversion
                        WHERE id = NEW.version_id AND name = NEW.name AND state = 'approved' FOR SHARE;
                    IF NOT FOUND THEN
                        RAISE EXCEPTION 'only an approved version of the model analyses studies';
                    END IF;
                    RETURN NEW;
                """,
            )
        ]


class Verification(models.Model):
    """One examination of a version: its files, its signature, its network in a sandbox, its figures of record against
    the version in use, and whether a model server answers for it."""

    database_rights = DatabaseRights.UPDATABLE

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        PASSED = "passed", _("Passed")
        FAILED = "failed", _("Failed")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="verifications")
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    requested_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)
    state = models.CharField(max_length=8, choices=State, default=State.WAITING)
    checks = models.JSONField(default=list, help_text="[{check, passed, said}]")

    class Meta:
        ordering = ["-requested_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["version"], condition=models.Q(state="waiting"), name="verified_once_at_a_time"
            ),
        ]


class Comparison(models.Model):
    """A version's AUC less that of another on the same cases, with the lower bound of its 95 % interval (DeLong)."""

    database_rights = DatabaseRights.APPEND_ONLY

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="comparisons")
    against = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="+")
    site = models.ForeignKey(
        "accounts.Site",
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="none: on the reference set, the sealed predictions of record",
    )
    made_at = models.DateTimeField(default=timezone.now)
    positives = models.PositiveIntegerField()
    negatives = models.PositiveIntegerField()
    auc = models.FloatField()
    auc_against = models.FloatField()
    low = models.FloatField(help_text="lower bound of the difference")

    class Meta:
        ordering = ["-made_at"]
        indexes = [models.Index(fields=["version", "against", "-made_at"], name="comparison_latest")]


class ModelUpload(models.Model):
    """A packed version on its way into the model store, piece by piece: who was interrupted goes on where it ended."""

    database_rights = DatabaseRights.UPDATABLE

    class State(models.TextChoices):
        RECEIVING = "receiving", _("Receiving")
        IMPORTED = "imported", _("Imported")
        REFUSED = "refused", _("Refused")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    began_at = models.DateTimeField(default=timezone.now)
    file_name = models.CharField(max_length=200)
    size = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    received = models.PositiveBigIntegerField(default=0)
    state = models.CharField(max_length=10, choices=State, default=State.RECEIVING)
    said = models.TextField(blank=True, help_text="why it was refused")
    version = models.ForeignKey(ModelVersion, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ["-began_at"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(received__lte=models.F("size")), name="upload_not_beyond_its_size"
            ),
            models.CheckConstraint(
                condition=models.Q(state="imported", version__isnull=False)
                | ~models.Q(state="imported") & models.Q(version__isnull=True),
                name="upload_version_iff_imported",
            ),
        ]


@pghistory.track()
class SiteThresholds(models.Model):
    """A site's own operating points of a version, proposed from known cases of the site. They take the shipped ones'
    place in what the version says from then on, once a second person has signed them, and until somebody withdraws them
    or others are signed. `registry.thresholds` is their one owner."""

    database_rights = DatabaseRights.UPDATABLE

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="+")
    site = models.ForeignKey("accounts.Site", on_delete=models.PROTECT, related_name="+")
    number = models.PositiveIntegerField(help_text="1, 2, \u2026 of this version at this site")
    thresholds = models.JSONField(help_text="operating point \u2192 threshold; never changed")
    evidence = models.UUIDField(
        unique=True, help_text="the measurement that proposed them (quality.Acceptance)"
    )
    proposed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField(default=timezone.now)
    signed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    signed_at = models.DateTimeField(null=True)
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    ended_at = models.DateTimeField(null=True, help_text="withdrawn, or others were signed")
    reason = models.TextField(blank=True, help_text="why they ended")

    class Meta:
        ordering = ["version", "site", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["version", "site", "number"], name="thresholds_number"),
            models.UniqueConstraint(
                fields=["version", "site"],
                condition=models.Q(signed_at__isnull=False, ended_at__isnull=True),
                name="thresholds_one_in_force",
            ),
            models.CheckConstraint(
                condition=models.Q(signed_by__isnull=True, signed_at__isnull=True)
                | models.Q(signed_by__isnull=False, signed_at__isnull=False)
                & ~models.Q(signed_by=models.F("proposed_by")),
                name="thresholds_signed_by_another",
            ),
            models.CheckConstraint(
                condition=models.Q(ended_by__isnull=True, ended_at__isnull=True)
                | models.Q(ended_by__isnull=False, ended_at__isnull=False),
                name="thresholds_ended_by_somebody",
            ),
        ]

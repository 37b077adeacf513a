"""A patient is known within one site by an id and by who gave it."""

from __future__ import annotations

import uuid
from typing import Any

import pghistory
from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from cad_platform.accounts.models import Site
from cad_platform.core.declarations import DatabaseRights
from cad_platform.core.parts import parts_index
from cad_platform.patients.person_name import NameGroups, groups_of, search_text


class Sex(models.TextChoices):
    """DICOM Patient's Sex (0010,0040)."""

    FEMALE = "F", _("Female")
    MALE = "M", _("Male")
    OTHER = "O", _("Other")
    UNKNOWN = "", _("Unknown")


class SearchText(models.TextField):
    """What the row says of itself (`searchable`) whenever it is written."""

    def pre_save(self, model_instance: Any, add: bool) -> str:
        found = str(model_instance.searchable())
        setattr(model_instance, self.attname, found)
        return found

    def deconstruct(self) -> Any:
        """To the database it is a text."""
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.TextField", args, kwargs


@pghistory.track()
class Patient(models.Model):
    database_rights = DatabaseRights.UPDATABLE

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    site = models.ForeignKey("accounts.Site", on_delete=models.PROTECT, related_name="patients")
    #: DICOM allows 64 characters; anonymisers exceed it.
    patient_id = models.CharField(max_length=256, help_text="the hospital's identifier (0010,0020)")
    issuer = models.CharField(
        max_length=256,
        blank=True,
        help_text="who gave the identifier (0010,0021); blank for the site itself",
    )
    name = models.CharField(
        max_length=324,
        blank=True,
        help_text="DICOM PN: Family^Given^Middle^Prefix^Suffix; alphabetic, or the only one",
    )
    name_ideographic = models.CharField(max_length=324, blank=True)
    name_phonetic = models.CharField(max_length=324, blank=True)
    search_name = SearchText(blank=True, help_text="what a search by name looks through")
    birth_date = models.DateField(null=True, blank=True)
    birth_date_sent = models.CharField(
        max_length=64, blank=True, help_text="what was sent in place of a date of birth"
    )
    sex = models.CharField(max_length=1, choices=Sex, blank=True, default=Sex.UNKNOWN)
    merged_into = models.ForeignKey(
        "self",
        null=True,
        on_delete=models.PROTECT,
        related_name="absorbed",
        help_text="the record that this one is read as, itself merged into none (`records.merging`)",
    )
    erased_at = models.DateTimeField(
        null=True, help_text="since when nothing says any more who it was (`records.erasing`)"
    )
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(merged_into__isnull=True) | ~models.Q(merged_into=models.F("id")),
                name="patient_merged_into_another",
            ),
            # Two hospitals of one archive number their patients alike.
            models.UniqueConstraint(fields=["site", "issuer", "patient_id"], name="patient_unique_in_site"),
        ]
        indexes = [parts_index("search_name", "patient_name_parts")]

    def searchable(self) -> str:
        """What a search by name looks through."""
        return search_text(self.full_name)

    def other_issuer(self, site: Site) -> str:
        """Who gave the identifier, where it was not `site`, the patient's own."""
        return "" if self.issuer == site.default_issuer else self.issuer

    @property
    def full_name(self) -> str:
        """The name with all its groups, as DICOM writes it."""
        return self.name_groups.joined()

    @property
    def name_groups(self) -> NameGroups:
        """The name by scripts."""
        first = groups_of(self.name)
        return first.completed_by(NameGroups(ideographic=self.name_ideographic, phonetic=self.name_phonetic))

    @name_groups.setter
    def name_groups(self, groups: NameGroups) -> None:
        for column, value in groups.columns().items():
            setattr(self, column, value)


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

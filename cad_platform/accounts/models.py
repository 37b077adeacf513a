"""Sites, users and tokens."""

from __future__ import annotations

import re
import uuid
from zoneinfo import ZoneInfo

import pghistory
import pgtrigger
from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from cad_platform.core.declarations import DatabaseRights

_HAN = re.compile(r"[\u3400-\u9fff\U00020000-\U0003ffff·]+")


class Role(models.TextChoices):
    """One role a user. What each may do stands in `accounts.rules`."""

    RADIOLOGIST = "radiologist", _("Radiologist")
    PATHOLOGIST = "pathologist", _("Pathologist")
    SONOGRAPHER = "sonographer", _("Sonographer")
    INTEGRATOR = "integrator", _("Integrator")
    CLINICAL_LEAD = "clinical_lead", _("Clinical lead")
    ADMINISTRATOR = "administrator", _("Administrator")


class Scope(models.TextChoices):
    """What a token may do at its site."""

    STUDIES_READ = "studies:read", _("Read studies")
    STUDIES_WRITE = "studies:write", _("Post studies")


#: Defined terms (PS3.3 C.12.1.1.2) that may be a site's default: those that need no escapes within the text.
CHARACTER_SETS = {
    "GB18030": _("Chinese (GB 18030)"),
    "GBK": _("Chinese (GBK)"),
    "ISO_IR 192": _("Unicode (UTF-8)"),
    "ISO_IR 100": _("Western European (Latin 1)"),
    "ISO_IR 101": _("Central European (Latin 2)"),
    "ISO_IR 109": _("Southern European (Latin 3)"),
    "ISO_IR 110": _("Northern European (Latin 4)"),
    "ISO_IR 144": _("Cyrillic"),
    "ISO_IR 127": _("Arabic"),
    "ISO_IR 126": _("Greek"),
    "ISO_IR 138": _("Hebrew"),
    "ISO_IR 148": _("Turkish (Latin 5)"),
    "ISO_IR 13": _("Japanese (JIS X 0201)"),
    "ISO_IR 166": _("Thai"),
}


#: How many false marks an exam a site may choose to bear; the rates that models are measured at.
FALSE_MARK_RATES = (0.25, 0.5, 1.0, 2.0, 4.0)


#: The site of the known cases, which has no patients: nobody is asked what is true there.
KNOWN_CASES_SITE = "known-cases"


@pghistory.track()
class Site(models.Model):
    """A hospital or department. Patients, studies and UIDs are known within one site only."""

    database_rights = DatabaseRights.UPDATABLE

    code = models.SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=200)
    false_marks_per_exam = models.FloatField(
        default=1.0,
        help_text="how many false marks an exam the site bears; fainter ones are shown when asked for",
    )
    default_issuer = models.CharField(
        max_length=256,
        blank=True,
        help_text=_("What the site's own files call the issuer of its patient ids (0010,0021)"),
    )
    default_character_set = models.CharField(
        max_length=32,
        blank=True,
        help_text=_("DICOM defined term, for files that are not ASCII and name none: GB18030, ISO_IR 100, …"),
    )
    time_zone = models.CharField(
        max_length=64,
        blank=True,
        help_text=_("Name in the IANA database (Europe/London); blank for that of the installation"),
    )

    idle_lock_minutes = models.PositiveSmallIntegerField(
        default=15,
        help_text="a workplace where nobody has moved for so long is locked (`accounts.idle_lock`); 0 for never",
    )
    is_active = models.BooleanField(
        default=True,
        db_default=True,
        help_text="false: nobody of it is let in, person or system; its studies and reports stay",
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(false_marks_per_exam__gt=0), name="site_false_marks_positive"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def zone(self) -> ZoneInfo:
        """The time zone that its people's clocks show."""
        return ZoneInfo(self.time_zone or settings.TIME_ZONE)


@pghistory.track(exclude=["password", "last_login"])
class User(AbstractUser):
    """A person. Everyone but an administrator belongs to exactly one site."""

    database_rights = DatabaseRights.UPDATABLE

    role = models.CharField(max_length=20, choices=Role)
    site = models.ForeignKey(Site, null=True, blank=True, on_delete=models.PROTECT, related_name="users")
    professional_id = models.CharField(_("professional id"), max_length=64, blank=True)
    language = models.CharField(max_length=10, blank=True)

    # Of a password that an administrator gave (`accounts.one_time`).
    must_change_password = models.BooleanField(default=False)
    one_time_until = models.DateTimeField(null=True, blank=True)
    password_set_by = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    signing_rests_until = models.DateTimeField(null=True, blank=True)

    REQUIRED_FIELDS = ["role"]

    class Meta(AbstractUser.Meta):
        constraints = [
            models.CheckConstraint(
                condition=models.Q(role=Role.ADMINISTRATOR, site__isnull=True)
                | (~models.Q(role=Role.ADMINISTRATOR) & models.Q(site__isnull=False)),
                name="user_site_matches_role",
            ),
        ]

    @property
    def printed_name(self) -> str:
        """The name as it is printed under a signature (21 CFR 11.50). One in Chinese characters has its family name
        first and no space."""
        if _HAN.fullmatch(self.last_name + self.first_name):
            return f"{self.last_name}{self.first_name}"
        return self.get_full_name() or self.username


class RoleChange(models.Model):
    """That a role at a site was given to a person, or taken, by whom and why: appended, never changed."""

    database_rights = DatabaseRights.APPEND_ONLY

    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="role_changes")
    role_before = models.CharField(max_length=20, choices=Role, blank=True)
    site_before = models.ForeignKey(Site, null=True, on_delete=models.PROTECT, related_name="+")
    role = models.CharField(max_length=20, choices=Role, blank=True, help_text="blank: taken, access ended")
    site = models.ForeignKey(Site, null=True, on_delete=models.PROTECT, related_name="+")
    reason = models.TextField(blank=True, help_text="blank where the account was made with it")
    at = models.DateTimeField(default=timezone.now)
    by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ["-at", "-pk"]
        indexes = [models.Index(fields=["user", "-at"], name="role_change_of_user")]
        triggers = [pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete)]


class KeyboardPreference(models.Model):
    """What a person changed of the keys (`accounts.keyboard`). None for who changed nothing."""

    database_rights = DatabaseRights.UPDATABLE

    user = models.OneToOneField(User, on_delete=models.PROTECT, primary_key=True, related_name="+")
    single_keys = models.BooleanField(default=True)
    keys = models.JSONField(default=dict, blank=True)


class SessionActivity(models.Model):
    """When somebody last moved in a session, and whether it is locked (`accounts.idle_lock`). A row of its own, since a
    session's data is written as a whole: a slow request would undo a lock that fell meanwhile."""

    database_rights = DatabaseRights.DELETABLE

    session_key = models.CharField(max_length=40, primary_key=True)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    active_at = models.DateTimeField(default=timezone.now)
    locked_at = models.DateTimeField(null=True, blank=True)


class SignInCount(models.Model):
    """How many wrong passwords came for an account, from an address, or both (`accounts.sign_in_limits`)."""

    database_rights = DatabaseRights.DELETABLE

    #: A keyed hash of the name; empty for an address whatever the name.
    account = models.CharField(max_length=64, blank=True)
    #: None: from wherever the person is not known.
    address = models.GenericIPAddressField(null=True)
    failures = models.PositiveIntegerField(default=0)
    failed_at = models.DateTimeField(null=True)
    succeeded_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "address"], nulls_distinct=False, name="sign_in_count_of"
            ),
        ]


@pghistory.track(exclude=["last_used_at", "token_hash"])
class ApiToken(models.Model):
    """A bearer token of a hospital system. Only its hash is stored; it is shown once."""

    database_rights = DatabaseRights.UPDATABLE

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="api_tokens")
    scopes = ArrayField(models.CharField(max_length=40, choices=Scope))
    prefix = models.CharField(max_length=12, help_text=_("The first characters, to recognise it by"))
    token_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]

    @property
    def is_active(self) -> bool:
        return self.revoked_at is None and self.expires_at > timezone.now()

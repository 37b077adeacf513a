"""What may happen to sites and users: made, changed, deactivated, unlocked by administrators; never deleted.

A process of the platform itself (`Actor.system`, from the command line) may do the same. Tokens are in
`accounts.tokens`.
"""

from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

from django.contrib.sessions.models import Session
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from cad_platform.accounts import one_time, role_changes, sign_in_limits
from cad_platform.accounts.models import CHARACTER_SETS, FALSE_MARK_RATES, Role, Site, User
from cad_platform.accounts.reauthentication import unlock_signing
from cad_platform.accounts.rules import require
from cad_platform.audit.services import record
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, FieldError, Invalid, NotFound, NotPermitted

#: A workplace that is not locked for a working day is not locked.
MAX_IDLE_LOCK_MINUTES = 480


def _require_administrator(actor: Actor) -> None:
    if actor.user is not None:
        require(actor, "user.manage")


@transaction.atomic
def create_site(actor: Actor, *, code: str, name: str, time_zone: str = "") -> Site:
    """A hospital or department.

    Raises
    ------
    Conflict
        The code is taken.
    Invalid
        With the field at fault.
    """
    _require_administrator(actor)
    site = Site(code=code.strip(), name=name.strip(), time_zone=time_zone.strip())
    _check_zone(site.time_zone, _("The site was not made."))
    try:
        site.full_clean(validate_unique=False)
    except ValidationError as error:
        raise Invalid(
            _("The site was not made."),
            errors=tuple(FieldError(" ".join(found), field) for field, found in error.message_dict.items()),
        ) from error
    try:
        with transaction.atomic():
            site.save(force_insert=True)
    except IntegrityError as error:
        raise Conflict(_("There is a site with this code already.")) from error
    record(actor, "site.create", object_type="site", object_id=site.pk, code=code)
    return site


def _check_zone(zone: str, sentence: str) -> None:
    if zone and zone not in available_timezones():
        raise Invalid(sentence, errors=(FieldError(_("There is no such time zone."), "time_zone"),))


@transaction.atomic
def update_site(
    actor: Actor,
    site_id: int,
    *,
    name: str,
    default_issuer: str,
    default_character_set: str,
    false_marks_per_exam: float | None = None,
    time_zone: str | None = None,
    idle_lock_minutes: int | None = None,
) -> Site:
    """How a site's files are read where they do not say so themselves, how many marks its readers are shown, and when
    its workplaces are locked.

    Parameters
    ----------
    false_marks_per_exam
        One of `FALSE_MARK_RATES`; none leaves it.
    time_zone
        A name of the IANA database, or empty for the installation's; none leaves it.
    idle_lock_minutes
        A workplace where nobody moved for so long is locked, 0 for never; none leaves it.

    Raises
    ------
    NotPermitted, NotFound
        The actor is no administrator; there is no such site.
    Invalid
        There is no such character set, rate or time zone.
    """
    site = _locked_site(actor, site_id)
    term = default_character_set.strip()
    if term and term not in CHARACTER_SETS:
        raise Invalid(
            _("The site was not changed."),
            errors=(FieldError(_("There is no such character set."), "default_character_set"),),
        )
    rate = site.false_marks_per_exam if false_marks_per_exam is None else false_marks_per_exam
    if rate not in FALSE_MARK_RATES:
        raise Invalid(
            _("The site was not changed."),
            errors=(FieldError(_("No model is measured at this rate."), "false_marks_per_exam"),),
        )
    zone = site.time_zone if time_zone is None else time_zone.strip()
    _check_zone(zone, _("The site was not changed."))
    minutes = site.idle_lock_minutes if idle_lock_minutes is None else idle_lock_minutes
    if not 0 <= minutes <= MAX_IDLE_LOCK_MINUTES:
        raise Invalid(
            _("The site was not changed."),
            errors=(
                FieldError(
                    _("Between 0 and %(most)s minutes.") % {"most": MAX_IDLE_LOCK_MINUTES},
                    "idle_lock_minutes",
                ),
            ),
        )
    wanted = {
        "idle_lock_minutes": minutes,
        "name": name.strip() or site.name,
        "default_issuer": default_issuer.strip(),
        "default_character_set": term,
        "false_marks_per_exam": rate,
        "time_zone": zone,
    }
    changed = [field for field, value in wanted.items() if getattr(site, field) != value]
    for field in changed:
        setattr(site, field, wanted[field])
    if changed:
        site.save(update_fields=changed)
        record(
            actor, "site.update", object_type="site", object_id=site.pk,
            changed=changed, character_set=term, false_marks_per_exam=rate,
            time_zone=zone,
        )  # fmt: skip
    return site


@transaction.atomic
def deactivate_site(actor: Actor, site_id: int) -> Site:
    """Let nobody of a site in any more, from their next request on: neither people nor systems. Everything of it stays.
    Raises `NotPermitted`, `NotFound`."""
    site = _locked_site(actor, site_id)
    if site.is_active:
        site.is_active = False
        site.save(update_fields=["is_active"])
        record(actor, "site.deactivate", object_type="site", object_id=site.pk)
    return site


@transaction.atomic
def activate_site(actor: Actor, site_id: int) -> Site:
    """Let the people and systems of a site in again. Raises `NotPermitted`, `NotFound`."""
    site = _locked_site(actor, site_id)
    if not site.is_active:
        site.is_active = True
        site.save(update_fields=["is_active"])
        record(actor, "site.activate", object_type="site", object_id=site.pk)
    return site


def _locked_site(actor: Actor, site_id: int) -> Site:
    _require_administrator(actor)
    site = Site.objects.select_for_update().filter(pk=site_id).first()
    if site is None:
        raise NotFound(_("There is no such site."))
    return site


@transaction.atomic
def create_user(
    actor: Actor,
    *,
    username: str,
    password: str,
    role: str,
    site: Site | None,
    first_name: str = "",
    last_name: str = "",
    professional_id: str = "",
    language: str = "",
    is_one_time: bool = False,
) -> User:
    """A person who can sign in; where an administrator makes them, or `is_one_time`, to choose a password of their own
    first.

    Raises
    ------
    Invalid
        With the field at fault.
    """
    _require_administrator(actor)
    user = User(
        username=username.strip(),
        role=role,
        site=site,
        first_name=first_name.strip(),
        last_name=last_name.strip(),
        professional_id=professional_id.strip(),
        language=language,
    )
    _validate(user)
    one_time.set_checked(user, password)
    one_time.make_one_time(user, actor, always=is_one_time)
    try:
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError as error:
        raise Invalid(
            _("The user was not created."),
            errors=(FieldError(_("There is a user with this name already."), "username"),),
        ) from error
    role_changes.given(actor, user, "", None, "")
    record(actor, "user.create", object_type="user", object_id=user.pk, role=role, site=site and site.code)
    return user


@transaction.atomic
def update_user(
    actor: Actor,
    user: User,
    *,
    role: str,
    site: Site | None,
    first_name: str = "",
    last_name: str = "",
    professional_id: str = "",
    reason: str = "",
) -> User:
    """Change a person's role, site or printed name; what they may do changes with their next request.

    Raises
    ------
    NotPermitted
        The actor is no administrator (any more).
    Conflict
        It is the actor's own role, or that of the last administrator.
    Invalid
        With the field at fault; a role or site changes without a `reason`.
    """
    _require_administrator(actor)
    user = role_changes.lock(actor, user)
    before = (user.role, user.site)
    changes_role = (role, site and site.pk) != (user.role, user.site_id)
    if changes_role:
        reason = role_changes.may_change(actor, user, role, reason)
    wanted: dict[str, Any] = {
        "role": role,
        "site": site,
        "first_name": first_name.strip(),
        "last_name": last_name.strip(),
        "professional_id": professional_id.strip(),
    }
    changed = sorted(name for name, value in wanted.items() if getattr(user, name) != value)
    for name in changed:
        setattr(user, name, wanted[name])
    _validate(user)
    user.save()
    if changes_role:
        role_changes.given(actor, user, *before, reason)
    record(actor, "user.update", object_type="user", object_id=user.pk, changed=changed, role=role)
    return user


@transaction.atomic
def set_password(actor: Actor, user: User, password: str) -> None:
    """Give a person a new password, of an administrator's a one-time one, and end their sessions."""
    _require_administrator(actor)
    user = User.objects.select_for_update().get(pk=user.pk)
    one_time.set_checked(user, password)
    one_time.make_one_time(user, actor)
    user.save()
    end_sessions(user)
    record(actor, "user.set_password", object_type="user", object_id=user.pk)


@transaction.atomic
def deactivate_user(actor: Actor, user: User) -> None:
    """Close a person's access at once: sessions end and their tokens are refused. What they wrote stays."""
    _require_administrator(actor)
    user = role_changes.lock(actor, user)
    role_changes.keep_an_administrator(actor, user)
    user.is_active = False
    user.save(update_fields=["is_active"])
    end_sessions(user)
    record(actor, "user.deactivate", object_type="user", object_id=user.pk)


@transaction.atomic
def activate_user(actor: Actor, user: User) -> None:
    """Open a deactivated person's access again."""
    _require_administrator(actor)
    user = User.objects.select_for_update().get(pk=user.pk)
    user.is_active = True
    user.save(update_fields=["is_active"])
    record(actor, "user.activate", object_type="user", object_id=user.pk)


@transaction.atomic
def unlock_user(actor: Actor, user: User) -> None:
    """Let a person sign, and sign in, again who gave too many wrong passwords."""
    _require_administrator(actor)
    unlock_signing(actor, user)
    sign_in_limits.forget(user.username)


@transaction.atomic
def release_signing(actor: Actor, user: User) -> None:
    """End the rest of a person's signing early: another administrator than the one who reset the password.

    Raises
    ------
    NotPermitted
        The actor is no administrator, or reset the password themselves.
    """
    _require_administrator(actor)
    user = User.objects.select_for_update().get(pk=user.pk)
    if actor.user is not None and actor.user.pk in (user.password_set_by_id, user.pk):
        raise NotPermitted(_("Another administrator than the one who reset the password can end that."))
    if user.signing_rests_until is not None:
        user.signing_rests_until = None
        user.save(update_fields=["signing_rests_until"])
        record(actor, "user.release_signing", object_type="user", object_id=user.pk)


@transaction.atomic
def own_password_changed(actor: Actor, user: User, keep: str | None) -> None:
    """A person changed their password: their other sessions end.

    Parameters
    ----------
    keep
        The key of the session that it was done in.
    """
    end_sessions(user, keep)
    record(actor, "user.change_password", object_type="user", object_id=user.pk)


def _validate(user: User) -> None:
    errors = []
    try:
        user.clean_fields(exclude=["password"])
    except ValidationError as error:
        errors += [FieldError(" ".join(reasons), name) for name, reasons in error.message_dict.items()]
    if (user.role == Role.ADMINISTRATOR) != (user.site_id is None):
        errors.append(FieldError(_("Everyone but an administrator belongs to exactly one site."), "site"))
    if errors:
        raise Invalid(_("The user was not saved."), errors=tuple(errors))


def end_sessions(user: User, keep: str | None = None) -> None:
    """Sign a person out everywhere but in the session `keep`."""
    mine = [
        session.pk
        for session in Session.objects.filter(expire_date__gte=timezone.now()).iterator()
        if session.pk != keep and session.get_decoded().get("_auth_user_id") == str(user.pk)
    ]
    Session.objects.filter(pk__in=mine).delete()

"""Who has which role at which site: given and taken with a reason (`accounts.role_changes`)."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Prefetch, QuerySet
from django.utils.translation import gettext as _

from cad_platform.accounts import role_changes, services
from cad_platform.accounts.models import RoleChange, Site, User
from cad_platform.accounts.rules import require
from cad_platform.audit.services import record
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict


def people(actor: Actor) -> QuerySet[User]:
    """Everybody who has a role, by site and role, each with `latest_changes`. Raises `NotPermitted`."""
    require(actor, "user.manage")
    changes = RoleChange.objects.select_related("by", "site", "site_before")
    found = (
        User.objects.filter(is_active=True).select_related("site").order_by("site__name", "role", "username")
    )
    return found.prefetch_related(Prefetch("role_changes", changes, to_attr="latest_changes"))


def changes_of(actor: Actor, user: User) -> QuerySet[RoleChange]:
    """Every role that a person was given or that was taken, the latest first. Raises `NotPermitted`."""
    require(actor, "user.manage")
    return RoleChange.objects.filter(user=user).select_related("by", "site", "site_before")


@transaction.atomic
def give(actor: Actor, user: User, *, role: str, site: Site | None, reason: str) -> User:
    """Have a person be this at this site from now on. Raises as `services.update_user` does."""
    return services.update_user(
        actor,
        user,
        role=role,
        site=site,
        first_name=user.first_name,
        last_name=user.last_name,
        professional_id=user.professional_id,
        reason=reason,
    )


@transaction.atomic
def take(actor: Actor, user: User, reason: str) -> User:
    """Take a person's role: who has none has no access. What they wrote stays; a role is given by activating again.

    Raises
    ------
    NotPermitted
        The actor is no administrator (any more).
    Conflict
        It is the actor's own role, the last administrator's, or was taken already.
    Invalid
        No reason.
    """
    if actor.user is not None:
        require(actor, "user.manage")
    locked = role_changes.lock(actor, user)
    role_changes.keep_an_administrator(actor, locked)
    reason = role_changes.reason_given(reason)
    if not locked.is_active:
        raise Conflict(_("This person has no access already."))
    locked.is_active = False
    locked.save(update_fields=["is_active"])
    services.end_sessions(locked)
    RoleChange.objects.create(
        user=locked, role_before=locked.role, site_before=locked.site, reason=reason, by=actor.user
    )
    record(actor, "user.take_role", object_type="user", object_id=locked.pk, role=locked.role)
    return locked

"""What holds for every change of a role: another administrator makes it, with a reason, and never of the last one.

Whoever changes a role locks the row of the person and those of all administrators, in one order: of two who would take
each other's role the second finds that they are no administrator any more.
"""

from __future__ import annotations

from django.db.models import Q
from django.utils.translation import gettext as _

from cad_platform.accounts.models import Role, RoleChange, Site, User
from cad_platform.audit.services import record
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, FieldError, Invalid, NotPermitted

LONGEST_REASON = 2000


def lock(actor: Actor, user: User) -> User:
    """The person as they stand now, locked with all administrators. Raises `NotPermitted` where the actor is none any
    more."""
    rows = User.objects.select_for_update().filter(Q(pk=user.pk) | Q(role=Role.ADMINISTRATOR, is_active=True))
    locked = {each.pk: each for each in rows.order_by("pk")}
    if actor.user is not None:
        mine = locked.get(actor.user.pk)
        if mine is None or not mine.is_active or mine.role != Role.ADMINISTRATOR:
            raise NotPermitted(_("You are no administrator any more."))
    return locked[user.pk]


def may_change(actor: Actor, user: User, role: str, reason: str) -> str:
    """The reason of a change of role or site, where it may be made, of a locked person.

    Raises
    ------
    Conflict
        It is the actor's own, or the last administrator's that would end.
    Invalid
        A person gives no reason.
    """
    if actor.user is not None and actor.user.pk == user.pk:
        raise Conflict(_("You cannot change your own role; ask another administrator."))
    if role != Role.ADMINISTRATOR:
        keep_an_administrator(actor, user)
    return reason.strip()[:LONGEST_REASON] if actor.user is None else reason_given(reason)


def keep_an_administrator(actor: Actor, user: User) -> None:
    """Nobody locks the platform's own door from inside. Raises `Conflict`."""
    if actor.user is not None and actor.user.pk == user.pk:
        raise Conflict(_("You cannot take your own access away; ask another administrator."))
    if user.role == Role.ADMINISTRATOR and user.is_active:
        others = User.objects.filter(role=Role.ADMINISTRATOR, is_active=True).exclude(pk=user.pk)
        if not others.exists():
            raise Conflict(_("This is the last administrator; make another one first."))


def given(actor: Actor, user: User, role_before: str, site_before: Site | None, reason: str) -> None:
    """Keep that a person has another role, or its first."""
    RoleChange.objects.create(
        user=user,
        role_before=role_before,
        site_before=site_before,
        role=user.role,
        site=user.site,
        reason=reason,
        by=actor.user,
    )
    if role_before:
        record(
            actor,
            "user.change_role",
            object_type="user",
            object_id=user.pk,
            before=role_before,
            role=user.role,
        )


def reason_given(text: str) -> str:
    """The reason that a person gives. Raises `Invalid`."""
    reason = "".join(each for each in text if each.isprintable() or each == "\n").strip()
    if not reason or len(reason) > LONGEST_REASON:
        raise Invalid(
            _("Say in at most 2000 characters why."), errors=(FieldError(_("A reason is needed."), "reason"),)
        )
    return reason

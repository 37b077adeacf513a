"""What administrators may read of sites, users and tokens."""

from __future__ import annotations

from django.db.models import Count, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from cad_platform.accounts.models import ApiToken, Role, Site, User
from cad_platform.accounts.rules import require
from cad_platform.core.actor import Actor
from cad_platform.core.errors import NotFound


def users(actor: Actor) -> QuerySet[User]:
    """Everybody, the active first, with the number of tokens in force."""
    require(actor, "user.manage")
    in_force = Q(api_tokens__revoked_at__isnull=True, api_tokens__expires_at__gt=timezone.now())
    counted = User.objects.select_related("site").annotate(tokens=Count("api_tokens", filter=in_force))
    return counted.order_by("-is_active", "username")


def user_by_id(actor: Actor, user_id: int) -> User:
    """One user. Raises `NotFound` or `NotPermitted`."""
    require(actor, "user.manage")
    user = User.objects.select_related("site").filter(pk=user_id).first()
    if user is None:
        raise NotFound(_("There is no such user."))
    return user


def sites(actor: Actor) -> QuerySet[Site]:
    """Every site, by name."""
    require(actor, "user.manage")
    return Site.objects.order_by("name")


def open_sites(actor: Actor, person: User | None = None) -> QuerySet[Site]:
    """Those that somebody can be given a role at: the active ones, and where the person is already."""
    return sites(actor).filter(Q(is_active=True) | Q(pk=person.site_id if person else None))


def site_of(actor: Actor) -> Site:
    """The actor's own site; only for those who have one."""
    site = actor.user.site
    assert isinstance(site, Site)
    return site


def site_by_id(actor: Actor, site_id: int) -> Site:
    """One site. Raises `NotFound` or `NotPermitted`."""
    site = sites(actor).filter(pk=site_id).first()
    if site is None:
        raise NotFound(_("There is no such site."))
    return site


def tokens(actor: Actor) -> QuerySet[ApiToken]:
    """Every token, the newest first; of a token itself only its first characters are known."""
    require(actor, "token.manage")
    return ApiToken.objects.select_related("user__site").order_by("-created_at")


def token_users(actor: Actor) -> QuerySet[User]:
    """The users that a token may act for: active ones that belong to a site."""
    require(actor, "token.manage")
    return User.objects.filter(is_active=True).exclude(role=Role.ADMINISTRATOR).order_by("username")

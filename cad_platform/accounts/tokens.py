"""Bearer tokens of hospital systems: random, shown once, stored as a hash, scoped, expiring, revocable."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Collection
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from cad_platform.accounts.models import ApiToken, Role, Scope, Site, User
from cad_platform.accounts.rules import require
from cad_platform.audit.services import record
from cad_platform.core.actor import Actor
from cad_platform.core.errors import FieldError, Invalid, NotFound
from cad_platform.core.joined import Joined

#: Lets a person, and a scanner for leaked secrets, see what kind of string it is.
MARK = "cad_"
#: 256 random bits; a fast hash is enough, because there is nothing to guess.
_RANDOM_BYTES = 32
DEFAULT_LIFETIME = timedelta(days=365)
MAX_LIFETIME = timedelta(days=731)
#: `last_used_at` is written at most so often: a hospital posts many studies a minute.
_USE_RESOLUTION = timedelta(minutes=1)

_FOUND = Joined(
    (ApiToken, User, Site),
    "accounts_apitoken JOIN accounts_user ON accounts_user.id = accounts_apitoken.user_id"
    " LEFT JOIN accounts_site ON accounts_site.id = accounts_user.site_id WHERE accounts_apitoken.token_hash = %s",
)


def _hash(plaintext: str) -> str:
    return hashlib.sha256(plaintext.encode()).hexdigest()


@transaction.atomic
def issue(
    actor: Actor,
    user: User,
    *,
    name: str,
    scopes: Collection[str] = (Scope.STUDIES_READ, Scope.STUDIES_WRITE),
    expires_at: datetime | None = None,
) -> tuple[ApiToken, str]:
    """Make a token.

    Parameters
    ----------
    user
        As whom it acts: of a site, since administrators have nothing to read or post.
    scopes
        What it may do, at least one.
    expires_at
        A year from now where it is left out.

    Returns
    -------
    tuple
        The token, and its plaintext, which is never to be had again.

    Raises
    ------
    NotPermitted
        The actor manages no tokens.
    Invalid
        No name, an unknown scope or none, an expiry out of bounds, or an administrator's token.
    """
    if actor.user is not None:
        require(actor, "token.manage")
    now = timezone.now()
    expires_at = expires_at or now + DEFAULT_LIFETIME
    errors = []
    if not name.strip() or len(name) > 100:
        errors.append(FieldError(_("Give the token a name of at most 100 characters."), "name"))
    if not scopes or not set(scopes) <= set(Scope.values):
        errors.append(FieldError(_("Choose at least one of the scopes."), "scopes"))
    if not now < expires_at <= now + MAX_LIFETIME:
        errors.append(FieldError(_("A token expires in the future, within two years."), "expires_at"))
    if user.role == Role.ADMINISTRATOR or not user.is_active:
        errors.append(FieldError(_("A token acts for an active user of a site."), "user"))
    if errors:
        raise Invalid(_("The token was not made."), errors=tuple(errors))
    plaintext = MARK + secrets.token_urlsafe(_RANDOM_BYTES)
    token = ApiToken.objects.create(
        name=name.strip(),
        user=user,
        scopes=sorted(str(scope) for scope in set(scopes)),
        prefix=plaintext[:12],
        token_hash=_hash(plaintext),
        expires_at=expires_at,
    )
    record(
        actor,
        "token.issue",
        object_type="token",
        object_id=token.pk,
        site_id=user.site_id,
        scopes=token.scopes,
        user=user.pk,
    )
    return token, plaintext


def find(plaintext: str) -> ApiToken | None:
    """The token with its user, if it may be used now: neither expired nor revoked, its user and their site active."""
    found = _FOUND.first([_hash(plaintext)])
    if found is None:
        return None
    token: ApiToken
    token, token.user, token.user.site = found
    if not token.is_active or not token.user.is_active:
        return None
    return token if token.user.site is None or token.user.site.is_active else None


def note_use(token: ApiToken) -> None:
    """Remember that the token was used, at most once a minute."""
    now = timezone.now()
    if token.last_used_at is None or token.last_used_at < now - _USE_RESOLUTION:
        # An update by condition: two requests at once write once, and no history row is made of it.
        ApiToken.objects.filter(
            Q(last_used_at__isnull=True) | Q(last_used_at__lt=now - _USE_RESOLUTION), pk=token.pk
        ).update(last_used_at=now)


@transaction.atomic
def revoke(actor: Actor, token_id: uuid.UUID) -> ApiToken:
    """Refuse the token from now on. Revoking it again changes nothing."""
    if actor.user is not None:
        require(actor, "token.manage")
    token = ApiToken.objects.select_for_update().filter(pk=token_id).first()
    if token is None:
        raise NotFound(_("There is no such token."))
    if token.revoked_at is None:
        token.revoked_at = timezone.now()
        token.save(update_fields=["revoked_at"])
        record(actor, "token.revoke", object_type="token", object_id=token.pk, site_id=token.user.site_id)
    return token

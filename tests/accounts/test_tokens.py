"""Tokens of hospital systems: shown once, stored as a hash, scoped, expiring, revocable, audited."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from cad_platform.accounts import tokens
from cad_platform.accounts.models import ApiToken, Role, Scope, User
from cad_platform.audit.models import AuditEvent
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Invalid, NotFound, NotPermitted
from tests import factories

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system("test")


@pytest.fixture
def integrator() -> User:
    return factories.user(Role.INTEGRATOR)


def test_the_plaintext_is_random_and_only_its_hash_is_stored(integrator: User) -> None:
    token, plaintext = tokens.issue(SYSTEM, integrator, name="PACS")
    _, other = tokens.issue(SYSTEM, integrator, name="RIS")
    assert plaintext.startswith("cad_") and len(plaintext) >= 47 and plaintext != other
    assert token.token_hash == hashlib.sha256(plaintext.encode()).hexdigest()
    assert plaintext.startswith(token.prefix)
    stored = ApiToken.objects.values_list().get(pk=token.pk)
    assert plaintext not in str(stored)
    assert plaintext not in str(list(AuditEvent.objects.values()))


def test_it_is_found_by_its_plaintext(integrator: User) -> None:
    token, plaintext = tokens.issue(SYSTEM, integrator, name="PACS")
    assert tokens.find(plaintext) == token
    assert tokens.find(plaintext + "x") is None
    assert tokens.find(token.token_hash) is None


@pytest.mark.parametrize("why", ["expired", "revoked", "user inactive"])
def test_what_may_not_be_used_is_not_found(integrator: User, why: str) -> None:
    token, plaintext = tokens.issue(SYSTEM, integrator, name="PACS")
    if why == "expired":
        ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    elif why == "revoked":
        tokens.revoke(SYSTEM, token.pk)
    else:
        integrator.is_active = False
        integrator.save()
    assert tokens.find(plaintext) is None
    answer = Client(headers={"Authorization": f"Bearer {plaintext}"}).get("/api/v1/studies")
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer["WWW-Authenticate"]


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("name", {"name": " "}),
        ("scopes", {"scopes": []}),
        ("scopes", {"scopes": ["everything"]}),
        ("expires_at", {"expires_at": timezone.now() - timedelta(days=1)}),
        ("expires_at", {"expires_at": timezone.now() + timedelta(days=3650)}),
    ],
)
def test_a_wrong_field_is_named(integrator: User, field: str, change: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as refusal:
        tokens.issue(SYSTEM, integrator, **{"name": "x", **change})
    assert [error.field for error in refusal.value.errors] == [field]


def test_an_administrator_issues_and_revokes_but_has_no_token(integrator: User) -> None:
    administrator = factories.actor(Role.ADMINISTRATOR)
    token, _ = tokens.issue(administrator, integrator, name="PACS", scopes=[Scope.STUDIES_READ])
    assert token.scopes == ["studies:read"]
    assert tokens.revoke(administrator, token.pk).revoked_at
    first = ApiToken.objects.get().revoked_at
    assert tokens.revoke(administrator, token.pk).revoked_at == first
    assert [e.action for e in AuditEvent.objects.order_by("pk")] == ["token.issue", "token.revoke"]
    with pytest.raises(Invalid):
        tokens.issue(administrator, administrator.user, name="own")


def test_nobody_else_does(integrator: User) -> None:
    for role in (Role.RADIOLOGIST, Role.INTEGRATOR):
        with pytest.raises(NotPermitted):
            tokens.issue(factories.actor(role), integrator, name="x")
    with pytest.raises(NotFound):
        tokens.revoke(SYSTEM, "00000000-0000-0000-0000-000000000000")  # type: ignore[arg-type]


def test_its_last_use_is_written_once_a_minute(integrator: User) -> None:
    token, _ = tokens.issue(SYSTEM, integrator, name="PACS")
    tokens.note_use(token)
    first = ApiToken.objects.get()
    assert first.last_used_at is not None
    tokens.note_use(token)  # the object knows nothing of the first write, the database does
    assert ApiToken.objects.get().last_used_at == first.last_used_at
    ApiToken.objects.update(last_used_at=timezone.now() - timedelta(minutes=2))
    tokens.note_use(ApiToken.objects.get())
    assert ApiToken.objects.get().last_used_at > first.last_used_at

"""The table of permissions where it asks the modalities, and where it is asked without what it needs."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from cad_platform.accounts.models import Role
from cad_platform.accounts.rules import PERMISSIONS, allowed, require
from cad_platform.core.actor import Actor
from cad_platform.core.errors import NotFound, NotPermitted


@dataclass(frozen=True)
class OfModality:
    """What a study says to the rules."""

    modality: str
    site_id: int = 1


def person(role: str, site_id: int | None = 1) -> Actor:
    return Actor(label="user:test", role=role, site_id=site_id)


@pytest.mark.parametrize(
    ("role", "signs", "drafts"),
    [
        (Role.RADIOLOGIST, {"MG", "US"}, {"MG", "US"}),
        (Role.SONOGRAPHER, set(), {"MG", "US"}),
        (Role.PATHOLOGIST, {"SM"}, {"SM"}),
        (Role.INTEGRATOR, set(), set()),
        (Role.ADMINISTRATOR, set(), set()),
    ],
)
def test_a_modality_says_who_signs_and_who_drafts(role: str, signs: set[str], drafts: set[str]) -> None:
    actor = person(role)
    codes = ("MG", "US", "SM")
    assert {code for code in codes if allowed(actor, "report.sign", OfModality(code))} == signs
    for permission in ("report.draft", "finding.decide"):
        assert {code for code in codes if allowed(actor, permission, OfModality(code))} == drafts


@pytest.mark.parametrize("permission", ["report.sign", "report.draft", "finding.decide"])
@pytest.mark.parametrize("target", [None, OfModality("CT")], ids=["no study", "a modality nobody registered"])
def test_what_depends_on_a_study_is_refused_without_one(permission: str, target: OfModality | None) -> None:
    actor = person(Role.RADIOLOGIST)
    assert not allowed(actor, permission, target)
    with pytest.raises(NotPermitted):
        require(actor, permission, target)


@pytest.mark.parametrize("permission", sorted(PERMISSIONS))
def test_every_permission_can_be_asked_without_a_target(permission: str) -> None:
    for role in Role.values:
        assert allowed(person(role), permission) in {True, False}


@pytest.mark.parametrize("permission", sorted(PERMISSIONS))
def test_another_sites_object_does_not_exist(permission: str) -> None:
    actor = person(Role.RADIOLOGIST)
    assert not allowed(actor, permission, OfModality("MG", site_id=2))
    with pytest.raises(NotFound):
        require(actor, permission, OfModality("MG", site_id=2))


def test_a_misspelt_permission_raises() -> None:
    with pytest.raises(KeyError):
        allowed(person(Role.RADIOLOGIST), "report.singn")
    with pytest.raises(KeyError):
        require(person(Role.RADIOLOGIST), "report.singn", OfModality("MG", site_id=2))

"""The demo's sites, its people and its token, and the file that tells them to whoever started the demo.

Passwords are random and stand only in `demo.json`, which its owner alone can read. Two sites exist, so that
it can be seen that one does not show the other's patients.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.utils import timezone

from cad_platform.accounts import services, tokens
from cad_platform.accounts.models import Role, Scope, Site, User
from cad_platform.core.actor import Actor

CLINIC = ("demo", "Demo Breast Centre")
OTHER = ("demo-other", "Second Demo Hospital")

_TOKEN_DAYS = 90
_RENEW_DAYS = 7
#: Without characters that look alike.
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # pragma: allowlist secret


@dataclass(frozen=True)
class Person:
    """An invented colleague."""

    username: str
    role: Role
    site: str | None
    first_name: str
    last_name: str
    professional_id: str = ""
    language: str = ""


PEOPLE = (
    Person("radiologist", Role.RADIOLOGIST, "demo", "Rosa", "Demo-Radiologist", "DEMO-R-1"),
    Person("pathologist", Role.PATHOLOGIST, "demo", "Paul", "Demo-Pathologist", "DEMO-P-1"),
    Person("sonographer", Role.SONOGRAPHER, "demo", "Sofia", "Demo-Sonographer", "DEMO-S-1"),
    Person("lead", Role.CLINICAL_LEAD, "demo", "Lena", "Demo-Lead", "DEMO-L-1"),
    Person("integrator", Role.INTEGRATOR, "demo", "Hospital", "Interface"),
    Person("administrator", Role.ADMINISTRATOR, None, "Ada", "Demo-Administrator"),
    Person("radiologist2", Role.RADIOLOGIST, "demo", "王伟", "（示例）", "DEMO-R-2", "zh-hans"),
    Person("other-radiologist", Role.RADIOLOGIST, "demo-other", "Olga", "Demo-Elsewhere", "DEMO-O-1"),
)


def seed(path: Path, url: str) -> dict[str, Any]:
    """Make what is missing of sites, people and token, and write the file anew. Returns its content.

    Passwords that the file knows stay; who is missing from it gets a new one.
    """
    actor = Actor.system("demo")
    known = read_demo_file(path)
    passwords = {user["username"]: user["password"] for user in known.get("users", ())}
    sites = {code: _site(actor, code, name) for code, name in (CLINIC, OTHER)}
    _name_character_set(actor, sites[CLINIC[0]])
    for person in PEOPLE:
        passwords[person.username] = _person(actor, person, sites, passwords.get(person.username))
    content = {
        "url": url,
        "users": [
            {
                "username": person.username,
                "password": passwords[person.username],
                "role": str(person.role),
                "site": person.site,
            }
            for person in PEOPLE
        ],
        "token": _token(actor, known.get("token", "")),
    }
    _write(path, content)
    return content


def read_demo_file(path: Path) -> dict[str, Any]:
    """The file's content; empty where there is none or it is damaged, so that it is written anew."""
    try:
        content = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _site(actor: Actor, code: str, name: str) -> Site:
    return Site.objects.filter(code=code).first() or services.create_site(actor, code=code, name=name)


def _name_character_set(actor: Actor, site: Site) -> None:
    """A clinic whose devices write Chinese names as most there do, without saying so."""
    if not site.default_character_set:
        services.update_site(
            actor,
            site.pk,
            name=site.name,
            default_issuer=site.default_issuer,
            default_character_set="GB18030",
        )


def _person(actor: Actor, person: Person, sites: dict[str, Site], password: str | None) -> str:
    """Make the person, or a new password where theirs was lost. Returns the password that is valid."""
    user = User.objects.filter(username=person.username).first()
    if user is not None and password is not None:
        return password
    password = password or _new_password()
    if user is not None:
        services.set_password(actor, user, password)
    else:
        services.create_user(
            actor,
            username=person.username,
            password=password,
            role=person.role,
            site=sites[person.site] if person.site else None,
            first_name=person.first_name,
            last_name=person.last_name,
            professional_id=person.professional_id,
            language=person.language,
        )
    return password


def _token(actor: Actor, known: str) -> str:
    """The known token while it is good for another week, else a new one for the clinicians' site."""
    token = tokens.find(known) if known else None
    if token and token.expires_at > timezone.now() + timedelta(days=_RENEW_DAYS):
        return known
    integrator = User.objects.get(username="integrator")
    _, plaintext = tokens.issue(
        actor,
        integrator,
        name="Demo hospital system",
        scopes=[Scope.STUDIES_READ, Scope.STUDIES_WRITE],
        expires_at=timezone.now() + timedelta(days=_TOKEN_DAYS),
    )
    return plaintext


def _new_password() -> str:
    """Five groups of four: 99 bits, and still easy to type."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(5))


def _write(path: Path, content: dict[str, Any]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        json.dump(content, handle, indent=2, ensure_ascii=False)
        handle.write("\n")
    temporary.replace(path)

"""The demo's people and token: made once, kept over restarts, readable by their owner alone."""

from __future__ import annotations

import json
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth import authenticate
from django.utils import timezone

from cad_platform.accounts import tokens
from cad_platform.accounts.models import ApiToken, Role, User
from cad_platform.core.actor import Actor
from cad_platform.demo.credentials import seed

pytestmark = pytest.mark.django_db
URL = "http://127.0.0.1:8000"


@pytest.fixture
def demo_file(tmp_path: Path) -> Path:
    return tmp_path / "demo.json"


def test_there_is_somebody_of_each_role_who_can_sign_in(demo_file: Path) -> None:
    content = seed(demo_file, URL)
    assert {user["role"] for user in content["users"]} == set(Role.values)
    for user in content["users"]:
        person = authenticate(None, username=user["username"], password=user["password"])
        assert isinstance(person, User) and person.role == user["role"]


def test_the_file_says_what_the_demo_prints_and_is_private(demo_file: Path) -> None:
    content = seed(demo_file, URL)
    assert json.loads(demo_file.read_text()) == content
    assert content["url"] == URL
    assert stat.S_IMODE(demo_file.stat().st_mode) == 0o600


def test_the_token_reads_and_writes_the_clinicians_site(demo_file: Path) -> None:
    token = tokens.find(seed(demo_file, URL)["token"])
    radiologist = User.objects.get(username="radiologist")
    assert token is not None
    assert token.user.site == radiologist.site
    assert set(token.scopes) == {"studies:read", "studies:write"}


def test_clinicians_share_a_site_and_one_is_elsewhere(demo_file: Path) -> None:
    seed(demo_file, URL)
    site_of = dict(User.objects.values_list("username", "site__code"))
    assert {site_of[name] for name in ("radiologist", "pathologist", "sonographer", "integrator")} == {"demo"}
    assert site_of["other-radiologist"] == "demo-other"
    assert site_of["administrator"] is None


def test_a_second_start_changes_only_the_address(demo_file: Path) -> None:
    first = seed(demo_file, URL)
    second = seed(demo_file, "http://127.0.0.1:9000")
    assert second == first | {"url": "http://127.0.0.1:9000"}
    assert ApiToken.objects.count() == 1


def test_lost_passwords_are_replaced(demo_file: Path) -> None:
    seed(demo_file, URL)
    demo_file.write_text("{ half a fi")
    for user in seed(demo_file, URL)["users"]:
        assert authenticate(None, username=user["username"], password=user["password"]) is not None


def test_a_token_is_renewed_before_it_expires(demo_file: Path) -> None:
    old = seed(demo_file, URL)["token"]
    ApiToken.objects.update(expires_at=timezone.now() + timedelta(days=3))
    new = seed(demo_file, URL)["token"]
    assert new != old
    assert tokens.find(new) is not None


def test_a_revoked_token_is_replaced(demo_file: Path) -> None:
    old = seed(demo_file, URL)["token"]
    tokens.revoke(Actor.system("test"), ApiToken.objects.get().pk)
    assert seed(demo_file, URL)["token"] != old

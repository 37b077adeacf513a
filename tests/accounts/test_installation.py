"""A hospital is installed by one command, and further sites by an administrator at a page."""

from __future__ import annotations

import threading
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from cad_platform.accounts import installation, installation_keys
from cad_platform.accounts.models import Role, Site, User
from cad_platform.audit.models import AuditEvent
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict
from tests import factories as make

pytestmark = pytest.mark.django_db
FIRST = {"site_code": "riverside", "site_name": "Riverside Hospital", "administrator": "root.admin"}


def install(**options: Any) -> str:
    said = StringIO()
    call_command("install", **{**FIRST, **options}, stdout=said)
    return said.getvalue()


def test_the_first_administrator_signs_in_once_with_what_was_told_and_chooses_their_own() -> None:
    password = install().strip().rpartition(" ")[2]
    page = Client()
    page.post(reverse("account_login"), {"login": "root.admin", "password": password})
    assert page.get(reverse("users")).status_code == 403  # nothing else before
    own = {"password1": "nobody else knows 2", "password2": "nobody else knows 2"}  # pragma: allowlist secret
    page.post(reverse("own-password"), own)
    assert page.get(reverse("users")).status_code == 200
    recorded = AuditEvent.objects.filter(action__in=["site.create", "user.create"])
    assert {(event.action, event.actor_label) for event in recorded} == {
        ("site.create", "system:install"),
        ("user.create", "system:install"),
    }


def test_a_second_time_changes_nothing() -> None:
    install()
    assert "nothing was changed" in install(site_code="other", administrator="somebody.else")
    assert (User.objects.count(), Site.objects.count()) == (1, 1)
    with pytest.raises(Conflict):
        installation.install(Actor.system("install"), site_code="a", site_name="A", username="b")


def test_the_password_goes_into_a_private_file_where_that_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "password"
    said = install(password_file=file)
    password = file.read_text().strip()
    assert password not in said and file.stat().st_mode & 0o777 == 0o600
    assert User.objects.get().check_password(password)


def test_a_file_that_is_there_is_not_written_over_and_nothing_is_made(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("mine")
    with pytest.raises(CommandError):
        install(password_file=tmp_path / "password")
    assert (tmp_path / "password").read_text() == "mine" and not User.objects.exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"site_code": "with space"},
        {"site_code": "x" * 41},
        {"administrator": "a b"},
        {"time_zone": "Europe/Nowhere"},
        {"site_name": "n" * 201},
    ],
)
def test_what_cannot_be_is_refused_whole(wrong: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(CommandError):
        install(**wrong, password_file=tmp_path / "password")
    assert not User.objects.exists() and not Site.objects.exists()
    assert not (tmp_path / "password").exists()


def test_what_is_missing_is_said_where_nobody_can_be_asked() -> None:
    with pytest.raises(CommandError, match="site"):
        call_command("install", administrator="root.admin")


@pytest.mark.django_db(transaction=True)
def test_two_at_once_are_one() -> None:
    barrier, outcomes = threading.Barrier(2), []

    def run(name: str) -> None:
        barrier.wait(60)
        try:
            installation.install(Actor.system("install"), site_code=name, site_name=name, username=name)
            outcomes.append("made")
        except Conflict:
            outcomes.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["made", "refused"] and Site.objects.count() == 1


class TestFurtherSites:
    @pytest.fixture
    def browser(self) -> Client:
        client = Client()
        client.force_login(make.user(Role.ADMINISTRATOR))
        return client

    def test_an_administrator_makes_one(self, browser: Client) -> None:
        assert reverse("new-site") in browser.get(reverse("sites")).content.decode()
        assert browser.get(reverse("new-site")).status_code == 200
        answer = browser.post(
            reverse("new-site"), {"name": "North Clinic", "code": "north", "time_zone": "Asia/Shanghai"}
        )
        site = Site.objects.get(code="north")
        assert answer["Location"] == reverse("site", args=[site.pk]) and site.time_zone == "Asia/Shanghai"

    @pytest.mark.parametrize(
        "wrong", [{"code": "taken"}, {"code": "not a code"}, {"time_zone": "Nowhere"}, {"name": ""}]
    )
    def test_what_cannot_be_is_said_at_the_form(self, browser: Client, wrong: dict[str, str]) -> None:
        make.site(code="taken")
        before = Site.objects.count()
        answer = browser.post(
            reverse("new-site"), {"name": "North", "code": "north", "time_zone": "", **wrong}
        )
        assert answer.status_code == 422 and Site.objects.count() == before

    def test_nobody_else_does(self) -> None:
        client = Client()
        client.force_login(make.user(Role.RADIOLOGIST))
        assert client.get(reverse("new-site")).status_code == 403
        assert client.post(reverse("new-site"), {"name": "N", "code": "n"}).status_code == 403
        assert not Site.objects.filter(code="n").exists()


def test_keys_are_made_where_they_are_missing_and_never_written_over(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    assert "made signing.key, signing.pem, metrics.token, torchserve.token" in install(keys=folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {(folder / name).stat().st_mode & 0o777 for name in before if name != "signing.pem"} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert "all there" in install(keys=folder)  # where it is installed, too
    (folder / "metrics.token").unlink()
    (folder / "signing.pem").unlink()
    assert "made signing.pem, metrics.token." in install(keys=folder)
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {name for name in before if before[name] != after[name]} == {"metrics.token"}


def test_keys_at_once_are_made_once(tmp_path: Path) -> None:
    made: list[Path] = []
    threads = [
        threading.Thread(target=lambda: made.extend(installation_keys.make_missing(tmp_path)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in made}
    assert sorted(path.name for path in made).count("metrics.token") == 1


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandError, match="cannot be written to"):
        install(keys=tmp_path / "file" / "keys")

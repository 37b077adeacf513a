"""What orchestrators run in the containers: a probe, and the wait for a release's migration."""

from __future__ import annotations

import os
import subprocess
import sys
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from cad_platform.operations.housekeeping import Housekeeping
from embedded.state import REPOSITORY
from tests.web_server import web_server


@pytest.mark.django_db(transaction=True)
def test_the_probe_asks_under_one_of_the_platform_s_own_names(tmp_path: Any) -> None:
    with web_server(tmp_path / "state", CAD_ALLOWED_HOSTS="cad.example,other.example") as server:

        def probe(path: str, **more: str) -> int:
            return subprocess.run(
                [sys.executable, "-m", "cad_platform.operations.probe", path],
                cwd=REPOSITORY,
                env={"PATH": os.defpath, "CAD_PORT": str(server.port), **more},
                check=False,
            ).returncode

        names = {"CAD_ALLOWED_HOSTS": "cad.example,other.example", "http_proxy": "http://127.0.0.1:9"}
        assert probe("/livez", **names) == 0 and probe("/readyz/web", **names) == 0
        assert probe("/no-such-page", **names) == 1
        assert probe("/readyz/web", CAD_ALLOWED_HOSTS="evil.example") == 1
    assert probe("/livez", **names) == 1


@pytest.mark.django_db
def test_a_database_with_the_schema_is_not_waited_for() -> None:
    said = StringIO()
    call_command("wait_for_migrations", stdout=said)
    assert "has the schema" in said.getvalue()


@pytest.mark.django_db
def test_one_without_it_is_waited_for_and_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    applied = MigrationRecorder.applied_migrations
    (latest,) = MigrationLoader(connection).graph.leaf_nodes("accounts")

    def without_the_latest(self: MigrationRecorder) -> Any:
        return {key: row for key, row in applied(self).items() if key != latest}

    monkeypatch.setattr(MigrationRecorder, "applied_migrations", without_the_latest)
    with pytest.raises(CommandError, match=rf"accounts\.{latest[1]}"):
        call_command("wait_for_migrations", seconds=0)


def test_housekeeping_gives_a_sign_of_life(tmp_path: Any, settings: Any) -> None:
    settings.STATE_DIR = tmp_path
    running = Housekeeping({})
    running.sign_of_life()
    assert (tmp_path / "housekeeping.alive").exists()
    (tmp_path / "housekeeping.alive").unlink()
    running._turned["stuck"] = float("-inf")
    running.sign_of_life()
    assert not (tmp_path / "housekeeping.alive").exists()

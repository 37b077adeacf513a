"""A backup restored into an empty place is the same platform: every row, every file, every protection."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from cad_platform.accounts.models import Role
from cad_platform.audit import chain
from cad_platform.core.actor import Actor
from cad_platform.operations.backup.creating import make_backup
from cad_platform.operations.backup.folder import BackupError
from cad_platform.operations.backup.restoring import restore_backup
from cad_platform.reporting import services, signing
from cad_platform.reporting.models import Report
from cad_platform.studies import storage
from cad_platform.studies.models import StoredFile
from embedded.postgres import APPLICATION, OWNER
from embedded.state import REPOSITORY
from tests import factories
from tests.factories import PASSWORD
from tests.reporting.test_content import COMPLETE_MG

pytestmark = pytest.mark.django_db(transaction=True)


class Place:
    """Where a copy of the platform keeps its data, and a way to run its commands."""

    def __init__(self, owner_url: str, app_url: str, state: Path, storage_url: str) -> None:
        self.owner_url, self.app_url = owner_url, app_url
        self.environment = os.environ | {
            "DATABASE_URL": app_url,
            "CAD_DATABASE_OWNER_URL": owner_url,
            "CAD_STATE_DIR": str(state),
            "CAD_STORAGE_URL": storage_url,
            "PYTHONWARNINGS": "ignore",
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=REPOSITORY,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def rows(self) -> dict[str, list[Any]]:
        """Every row of every table as text, and the triggers."""
        with psycopg.connect(self.owner_url) as connection:
            tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            found = {}
            for (table,) in sorted(tables.fetchall()):
                query = sql.SQL("SELECT t::text FROM {} AS t ORDER BY 1").format(sql.Identifier(table))
                found[table] = connection.execute(query).fetchall()
            found["(triggers)"] = connection.execute(
                "SELECT tgrelid::regclass::text, tgname, tgenabled FROM pg_trigger WHERE NOT tgisinternal "
                "ORDER BY 1, 2"
            ).fetchall()
        return found


@pytest.fixture
def here(owner_url: str) -> Place:
    state = Path(os.environ["CAD_STATE_DIR"])
    return Place(owner_url, os.environ["DATABASE_URL"], state, f"file://{state / 'objects'}")


@pytest.fixture
def empty_place(superuser_url: str, here: Place, tmp_path: Path) -> Iterator[Place]:
    """A second database of the same server, and a storage without a file."""
    name = sql.Identifier("restored")
    with psycopg.connect(superuser_url, autocommit=True) as administrator:
        administrator.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, sql.Identifier(OWNER)))
        administrator.execute(
            sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(name, sql.Identifier(APPLICATION))
        )
        elsewhere = [url.replace("/cad?", "/restored?") for url in (here.owner_url, here.app_url)]
        yield Place(*elsewhere, tmp_path / "state", f"file://{tmp_path / 'state' / 'objects'}")
        administrator.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


@pytest.fixture
def signed() -> Report:
    """A signed report with its PDF, and an image."""
    storage.store_bytes(b"the bytes of an image", "image/png")
    site = factories.site()
    radiologist = factories.actor(Role.RADIOLOGIST, site)
    draft = services.open_draft(radiologist, factories.study(site))
    draft = services.save_draft(radiologist, draft.pk, COMPLETE_MG, 0).report
    signing.sign(radiologist, draft.pk, password=PASSWORD, revision=draft.revision)
    chain._last_full_scan = None
    chain.seal_pending()
    return Report.objects.get(pk=draft.pk)


def objects_of(place: Place) -> dict[str, bytes]:
    root = Path(place.environment["CAD_STORAGE_URL"].removeprefix("file://"))
    return {path.name: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_restored_copy_is_the_same(signed: Report, here: Place, empty_place: Place, tmp_path: Path) -> None:
    folder = tmp_path / "backups" / "monday"
    before = here.rows()
    made = here.run("backup", str(folder))
    assert made.returncode == 0, made.stderr
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in folder.parent.iterdir()] == ["monday"]

    restored = empty_place.run("restore", str(folder))
    assert restored.returncode == 0, restored.stderr
    after = empty_place.rows()
    event = after["audit_auditevent"].pop()
    assert "backup.restore" in event[0]
    assert after == before
    named = {row.sha256: row.size for row in StoredFile.objects.all()}
    assert signed.pdf is not None and signed.pdf.sha256 in named
    copied = objects_of(empty_place)
    assert {name: len(content) for name, content in copied.items()} == named
    assert copied[signed.pdf.sha256] == objects_of(here)[signed.pdf.sha256]

    anchor = json.loads((folder / "manifest.json").read_text())["audit_anchor"]
    verified = empty_place.run("verify_audit", "--anchor", anchor)
    assert verified.returncode == 0, verified.stderr
    with psycopg.connect(empty_place.app_url) as application, pytest.raises(psycopg.DatabaseError):
        application.execute("UPDATE reporting_report SET content = '{}'")

    again = empty_place.run("restore", str(folder))
    assert again.returncode == 1 and "not empty" in again.stderr


@pytest.mark.parametrize("damage", ["object", "missing object", "dump", "list", "manifest", "newer"])
def test_a_damaged_or_newer_backup_is_refused_before_anything_is_touched(
    damage: str, signed: Report, tmp_path: Path
) -> None:
    folder = tmp_path / "backup"
    make_backup(Actor.system("test"), folder)
    some_object = next(path for path in (folder / "objects").rglob("*") if path.is_file())
    if damage == "object":
        some_object.write_bytes(some_object.read_bytes()[:-1] + b"x")
    elif damage == "missing object":
        some_object.unlink()
    elif damage == "dump":
        with (folder / "database.dump").open("ab") as dump:
            dump.write(b"x")
    elif damage == "list":
        (folder / "objects.list").write_text("")
    elif damage == "manifest":
        (folder / "manifest.json").write_text("{}")
    else:
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["migrations"].append("studies.9999_from_the_future")
        (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BackupError, match=r"altered|cannot be read|newer release"):
        restore_backup(Actor.system("test"), folder)


def test_a_backup_never_overwrites_a_folder(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="exists already"):
        make_backup(Actor.system("test"), tmp_path)


def test_a_place_in_use_is_never_restored_over(signed: Report, tmp_path: Path) -> None:
    make_backup(Actor.system("test"), tmp_path / "backup")
    with pytest.raises(BackupError, match="database is not empty"):
        restore_backup(Actor.system("test"), tmp_path / "backup")


def test_a_file_that_is_missing_or_damaged_fails_the_backup_and_leaves_no_folder(
    signed: Report, tmp_path: Path
) -> None:
    assert signed.pdf is not None
    with storage.open(signed.pdf.sha256) as path:
        path.chmod(0o640)
        path.write_bytes(b"x" * path.stat().st_size)
    try:
        with pytest.raises(BackupError, match=signed.pdf.sha256):
            make_backup(Actor.system("test"), tmp_path / "backup")
        assert list(tmp_path.iterdir()) == []
    finally:
        storage.delete(signed.pdf.sha256)

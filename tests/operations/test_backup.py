"""A backup restored into an empty place is the same platform: every row, every file, every protection."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from psycopg import sql

from cad_platform.accounts.models import Role
from cad_platform.audit import chain
from cad_platform.audit.models import AuditEvent
from cad_platform.core.actor import Actor
from cad_platform.operations.backup import keeping, watch
from cad_platform.operations.backup.creating import make_backup
from cad_platform.operations.backup.drill import restore_for_trial
from cad_platform.operations.backup.errors import BackupError
from cad_platform.operations.backup.place import Place as BackupPlace
from cad_platform.operations.backup.restoring import restore_backup
from cad_platform.operations.backup.sealed import BackupKey
from cad_platform.operations.metrics import text_of
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
SYSTEM = Actor.system("test")
KEY = "0f" * 32


class Place:
    """Where a copy of the platform keeps its data, and a way to run its commands."""

    def __init__(self, owner_url: str, app_url: str, state: Path, storage_url: str, key_file: Path) -> None:
        self.owner_url, self.app_url = owner_url, app_url
        self.environment = os.environ | {
            "DATABASE_URL": app_url,
            "CAD_DATABASE_OWNER_URL": owner_url,
            "CAD_STATE_DIR": str(state),
            "CAD_STORAGE_URL": storage_url,
            "CAD_BACKUP_KEY_FILE": str(key_file),
            "PYTHONWARNINGS": "ignore",
        }

    def run(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=REPOSITORY,
            env=self.environment | more,
            capture_output=True,
            text=True,
            check=False,
        )

    def rows(self) -> dict[str, list[Any]]:
        """Every row of every table as text, and the triggers."""
        with psycopg.connect(self.owner_url) as connection:
            tables = connection.execute(
                "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace "
                "AND relkind IN ('r', 'p') AND NOT relispartition"
            )
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
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "backup.key"
    path.write_text(f"{KEY}\n")
    return path


@pytest.fixture
def here(owner_url: str, key_file: Path) -> Place:
    state = Path(os.environ["CAD_STATE_DIR"])
    return Place(owner_url, os.environ["DATABASE_URL"], state, f"file://{state / 'objects'}", key_file)


@pytest.fixture
def place(tmp_path: Path) -> BackupPlace:
    """A folder that backups will lie in."""
    return BackupPlace(tmp_path / "backups", BackupKey(bytes.fromhex(KEY)))


@pytest.fixture
def commands(settings: Any, key_file: Path) -> None:
    """Commands that are called in this process have the key."""
    settings.BACKUP_KEY_FILE = str(key_file)


@pytest.fixture
def empty_place(superuser_url: str, here: Place, key_file: Path, tmp_path: Path) -> Iterator[Place]:
    """A second database of the same server, and a storage without a file."""
    name = sql.Identifier("restored")
    with psycopg.connect(superuser_url, autocommit=True) as administrator:
        administrator.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, sql.Identifier(OWNER)))
        administrator.execute(
            sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(name, sql.Identifier(APPLICATION))
        )
        elsewhere = [url.replace("/cad?", "/restored?") for url in (here.owner_url, here.app_url)]
        state = tmp_path / "state"
        yield Place(*elsewhere, state, f"file://{state / 'objects'}", key_file)
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


def test_a_restored_copy_is_the_same(
    signed: Report, here: Place, empty_place: Place, place: BackupPlace
) -> None:
    before = here.rows()
    made = here.run("backup", str(place.folder))
    assert made.returncode == 0, made.stderr
    assert place.folder.stat().st_mode & 0o777 == 0o700
    named = {row.sha256: row.size for row in StoredFile.objects.all()}

    some_object = place.object_path(max(named))
    some_object.rename(some_object.with_name("elsewhere"))
    refused = empty_place.run("restore", str(place.folder))
    assert refused.returncode == 1 and "cannot be read" in refused.stderr
    assert set(empty_place.rows()) == {"(triggers)"} and not objects_of(empty_place), "nothing was touched"
    some_object.with_name("elsewhere").rename(some_object)

    restored = empty_place.run("restore", str(place.folder))
    assert restored.returncode == 0, restored.stderr
    after = empty_place.rows()
    event = after["audit_auditevent"].pop()
    assert "backup.restore" in event[0]
    assert after == before
    assert signed.pdf is not None and signed.pdf.sha256 in named
    copied = objects_of(empty_place)
    assert {name: len(content) for name, content in copied.items()} == named
    assert copied[signed.pdf.sha256] == objects_of(here)[signed.pdf.sha256]

    anchor = place.manifest(place.chosen()).audit_anchor
    verified = empty_place.run("verify_audit", "--full", "--anchor", anchor)
    assert verified.returncode == 0, verified.stderr
    with psycopg.connect(empty_place.app_url) as application, pytest.raises(psycopg.DatabaseError):
        application.execute("UPDATE reporting_report SET content = '{}'")

    again = empty_place.run("restore", str(place.folder))
    assert again.returncode == 1 and "not empty" in again.stderr


def test_nothing_of_it_can_be_read_without_the_key(signed: Report, place: BackupPlace) -> None:
    make_backup(SYSTEM, place)
    assert signed.pdf is not None
    with storage.open(signed.pdf.sha256) as path:
        pdf = path.read_bytes()
    written = {path: path.read_bytes() for path in place.folder.rglob("*") if path.is_file()}
    assert len(written) > 4
    for path, content in written.items():
        assert signed.pdf.sha256 not in f"{path} {content!r}"
        assert not any(word in content for word in (pdf[:64], b"PGDMP", b"django_migrations", b"an image"))
        assert path.stat().st_mode & 0o077 == 0


def test_a_later_backup_writes_only_what_is_new(signed: Report, place: BackupPlace) -> None:
    first = make_backup(SYSTEM, place)
    again = make_backup(SYSTEM, place)
    storage.store_bytes(b"one more image", "image/png")
    third = make_backup(SYSTEM, place)
    assert (first.new_objects, again.new_objects, third.new_objects) == (first.objects, 0, 1)
    assert third.objects == first.objects + 1 and third.new_bytes == len(b"one more image")
    assert keeping.verify(SYSTEM, place) == (3, third.objects)


def test_what_goes_with_an_old_backup_is_needed_by_no_other(
    signed: Report, here: Place, place: BackupPlace, commands: None
) -> None:
    gone = storage.store_bytes(b"only in the first", "image/png").sha256
    make_backup(SYSTEM, place)
    with psycopg.connect(here.owner_url) as owner:
        owner.execute("DELETE FROM studies_storedfile WHERE sha256 = %s", [gone])
    storage.delete(gone)
    later = storage.store_bytes(b"since the second", "image/png")
    second, third = make_backup(SYSTEM, place), make_backup(SYSTEM, place)

    call_command("backup", str(place.folder), keep=2)
    assert place.names()[0] == third.name and len(place.names()) == 2
    assert second.name not in place.names() and not place.object_path(gone).exists()
    assert place.has_object(later.sha256, later.size)
    call_command("backup", str(place.folder), verify=True)
    assert AuditEvent.objects.get(action="backup.verify").detail == {"backups": 2, "objects": third.objects}


DAMAGES = ["object", "missing object", "database", "files", "manifest", "exchanged"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found(damage: str, signed: Report, place: BackupPlace) -> None:
    older, newest = make_backup(SYSTEM, place), make_backup(SYSTEM, place)
    folder = place.folder / "backups" / newest.name
    assert signed.pdf is not None
    some_object = place.object_path(signed.pdf.sha256)
    if damage == "object":
        content = bytearray(some_object.read_bytes())
        content[-1] ^= 1
        some_object.write_bytes(content)
    elif damage == "missing object":
        some_object.unlink()
    elif damage == "exchanged":
        older_list = place.folder / "backups" / older.name / "files"
        (folder / "files").write_bytes(older_list.read_bytes())
    else:
        with (folder / damage).open("r+b") as file:
            file.truncate((folder / damage).stat().st_size - 17)
    with pytest.raises(BackupError, match=r"altered|cannot be read"):
        keeping.verify(SYSTEM, place)
    with pytest.raises(BackupError, match=r"altered|cannot be read"):
        keeping.verify_backup(place, newest.name)


def test_one_of_a_newer_release_is_refused(signed: Report, place: BackupPlace) -> None:
    made = make_backup(SYSTEM, place)
    folder = place.folder / "backups" / made.name
    (folder / "manifest").unlink()
    place.write_manifest(folder, replace(made, migrations=[*made.migrations, "studies.9999_from_the_future"]))
    with pytest.raises(BackupError, match="newer release"):
        restore_backup(SYSTEM, place)


@pytest.mark.parametrize(
    ("content", "words"), [("f0" * 32, "another key"), ("secret", "holds no key"), (None, "No such file")]
)
def test_a_key_that_is_missing_or_another_is_refused_in_a_sentence(
    content: str | None, words: str, signed: Report, place: BackupPlace, settings: Any, tmp_path: Path
) -> None:
    make_backup(SYSTEM, place)
    settings.BACKUP_KEY_FILE = str(tmp_path / "other.key")
    if content is not None:
        (tmp_path / "other.key").write_text(content)
    with pytest.raises(CommandError, match=words):
        call_command("backup", str(place.folder), verify=True)


def test_without_a_key_none_is_made(place: BackupPlace, settings: Any) -> None:
    settings.BACKUP_KEY_FILE = ""
    with pytest.raises(CommandError, match="install --keys"):
        call_command("backup", str(place.folder))
    assert not place.folder.exists()


def test_one_that_is_killed_leaves_no_backup_and_the_next_is_whole(
    signed: Report, here: Place, place: BackupPlace
) -> None:
    """Killed after the database was dumped, while files are brought over."""
    for number in range(40):
        storage.store_bytes(f"image {number}".encode(), "image/png")
    slow = (
        "import os, signal, sys, django\n"
        "sys.argv = ['manage.py', 'backup']\n"
        "django.setup()\n"
        "from cad_platform.operations.backup import creating\n"
        "brought = creating._Copying._bring\n"
        "def killed(self, *file):\n"
        "    brought(self, *file)\n"
        "    self.new_objects < 20 or os.kill(os.getpid(), signal.SIGKILL)\n"
        "creating._Copying._bring = killed\n"
        "from django.core.management import call_command\n"
        f"call_command('backup', {str(place.folder)!r})\n"
    )
    died = subprocess.run([sys.executable, "-c", slow], cwd=REPOSITORY, env=here.environment, check=False)
    assert died.returncode == -signal.SIGKILL
    assert place.names() == [] and list((place.folder / "backups").iterdir())
    with pytest.raises(BackupError, match="holds no backup"):
        keeping.verify(SYSTEM, place)
    made = make_backup(SYSTEM, place)
    assert [entry.name for entry in (place.folder / "backups").iterdir()] == [made.name]
    assert 0 < made.new_objects < made.objects, "what the killed one brought over is there"
    assert keeping.verify(SYSTEM, place) == (1, made.objects)


def test_two_do_not_write_at_a_time(signed: Report, place: BackupPlace) -> None:
    make_backup(SYSTEM, place)
    with place.shared(), pytest.raises(BackupError, match="by another process"):
        make_backup(SYSTEM, place)
    with place.exclusively(), pytest.raises(BackupError, match="by another process"):
        keeping.verify(SYSTEM, place)


def test_a_folder_of_something_else_is_not_written_into(place: BackupPlace) -> None:
    place.folder.mkdir()
    (place.folder / "letters.txt").touch()
    with pytest.raises(BackupError, match="something else"):
        make_backup(SYSTEM, place)
    (place.folder / "manifest.json").touch()
    with pytest.raises(BackupError, match=r"release 2\.2"):
        make_backup(SYSTEM, place)


def test_a_place_in_use_is_never_restored_over(signed: Report, place: BackupPlace) -> None:
    make_backup(SYSTEM, place)
    with pytest.raises(BackupError, match="database is not empty"):
        restore_backup(SYSTEM, place)


def test_a_file_that_is_missing_or_damaged_fails_the_backup_and_leaves_none(
    signed: Report, place: BackupPlace
) -> None:
    assert signed.pdf is not None
    with storage.open(signed.pdf.sha256) as path:
        path.chmod(0o640)
        path.write_bytes(b"x" * path.stat().st_size)
    try:
        with pytest.raises(BackupError, match=signed.pdf.sha256):
            make_backup(SYSTEM, place)
        assert place.names() == [] and not place.object_path(signed.pdf.sha256).exists()
    finally:
        storage.delete(signed.pdf.sha256)
    assert said("cad_backup_failed", "backup") == 1
    assert AuditEvent.objects.get(action="backup.create").outcome == "failure"


def said(metric: str, step: str) -> float:
    """What the platform's figures say of a step."""
    line = f'{metric}{{step="{step}"}} '
    (found,) = [each for each in text_of(watch.metrics()).splitlines() if each.startswith(line)]
    return float(found.removeprefix(line))


def test_a_drill_restores_the_newest_backup_and_says_so(
    signed: Report, empty_place: Place, place: BackupPlace, commands: None, settings: Any
) -> None:
    made = make_backup(SYSTEM, place)
    assert said("cad_backup_last_success_timestamp_seconds", "drill") == 0
    settings.DRILL_DATABASE_URL = empty_place.owner_url
    call_command("restore_drill", str(place.folder))
    assert time.time() - said("cad_backup_last_success_timestamp_seconds", "drill") < 60
    assert said("cad_backup_failed", "drill") == 0
    event = AuditEvent.objects.get(action="backup.drill")
    assert event.object_id == made.name
    assert event.detail == {"rows": sum(made.rows.values()), "objects": made.objects}
    assert set(empty_place.rows()) == {"(triggers)"}, "no patient is left there"

    assert signed.pdf is not None
    place.object_path(signed.pdf.sha256).unlink()
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("restore_drill", str(place.folder))
    assert said("cad_backup_failed", "drill") == 1


def test_a_drill_notices_a_row_that_is_missing(
    signed: Report, empty_place: Place, place: BackupPlace, settings: Any
) -> None:
    settings.DRILL_DATABASE_URL = empty_place.owner_url
    made = make_backup(SYSTEM, place)
    rows = made.rows | {"reporting_report": made.rows["reporting_report"] + 1}
    folder = place.folder / "backups" / made.name
    (folder / "manifest").unlink()
    place.write_manifest(folder, replace(made, rows=rows))
    with pytest.raises(BackupError, match="reporting_report has"):
        restore_for_trial(SYSTEM, place, 5)


def test_a_drill_empties_no_database_but_its_own(
    signed: Report, here: Place, empty_place: Place, place: BackupPlace, settings: Any
) -> None:
    make_backup(SYSTEM, place)
    with psycopg.connect(empty_place.owner_url) as owner:
        owner.execute("CREATE TABLE somebody_elses (id int)")
    for url, words in (
        (empty_place.owner_url, "no drill left"),
        (here.owner_url, "own database"),
        ("", "Set CAD_DRILL_DATABASE_URL"),
    ):
        settings.DRILL_DATABASE_URL = url
        with pytest.raises(BackupError, match=words):
            restore_for_trial(SYSTEM, place, 5)
    assert "somebody_elses" in empty_place.rows()

"""A drill of restoring: the newest backup into a scratch database, with the migrations of this release, its rows
counted, its audit log recomputed, and a sample of its files compared with their hashes."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.utils import timezone
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from cad_platform.audit.chain import UNSEALED_LIMIT
from cad_platform.core.actor import Actor
from cad_platform.operations.backup import keeping, postgres, watch
from cad_platform.operations.backup.errors import BackupError
from cad_platform.operations.backup.place import DATABASE, Manifest, Place
from cad_platform.operations.backup.restoring import refuse_newer

#: Says that a database is emptied by drills: nothing else is ever emptied.
MARK = "cad_restore_drill"


def restore_for_trial(actor: Actor, place: Place, sample: int) -> Manifest:
    """Restore the newest backup into `CAD_DRILL_DATABASE_URL`, emptied before and after, and compare; what came of
    it is recorded.

    Parameters
    ----------
    sample
        Stored files that are read and compared with their hashes, chosen anew each time.

    Raises
    ------
    BackupError
        The backup cannot be restored, or what came out is not what went in.
    """
    with watch.recorded(actor, "drill") as outcome, place.shared():
        outcome.object_id = name = place.chosen()
        manifest = place.manifest(name)
        refuse_newer(manifest)
        keeping.verify_lists(place, name)
        with psycopg.connect(_scratch(), autocommit=True) as scratch:
            _empty(scratch)
            postgres.load(_address(_scratch()), place.content(name, DATABASE))
            _compare_rows(scratch, manifest)
            files = _some_files(scratch, sample)
            for sha256, size in files:
                keeping.verify_object(place, sha256, size)
            _run_release(manifest)
            _empty(scratch)
        outcome.detail |= {"rows": sum(manifest.rows.values()), "objects": len(files)}
    return manifest


def _scratch() -> str:
    url = settings.DRILL_DATABASE_URL
    if not url:
        raise BackupError(
            "Set CAD_DRILL_DATABASE_URL to an empty database of its own, as its owner: drills fill and empty it."
        )
    for other in (settings.DATABASE_URL, settings.DATABASE_OWNER_URL):
        if all(_address(url)[part] == _address(other)[part] for part in ("HOST", "PORT", "NAME")):
            raise BackupError("CAD_DRILL_DATABASE_URL names the platform's own database; name another.")
    return str(url)


def _address(url: str) -> dict[str, Any]:
    """As `backup.postgres` takes it."""
    parts = conninfo_to_dict(url)
    names = {
        "HOST": "host",
        "PORT": "port",
        "USER": "user",
        "PASSWORD": "password",  # pragma: allowlist secret
        "NAME": "dbname",
    }
    return {name: parts.get(part) or "" for name, part in names.items()} | {"OPTIONS": parts}


def _empty(scratch: psycopg.Connection[Any]) -> None:
    """Mark an empty database as that of drills, or empty one that is marked. Any other is left alone."""
    marked = scratch.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [MARK]).fetchone()
    tables = scratch.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
    if not marked and tables and tables[0]:
        raise BackupError(
            f"The database of CAD_DRILL_DATABASE_URL holds {tables[0]} tables that no drill left; name an empty one."
        )
    scratch.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(MARK)))
    scratch.execute("DROP SCHEMA public CASCADE")
    scratch.execute("CREATE SCHEMA public")


def _compare_rows(scratch: psycopg.Connection[Any], manifest: Manifest) -> None:
    for table, expected in manifest.rows.items():
        query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier("public", table))
        (found,) = scratch.execute(query).fetchone() or (0,)
        if found != expected:
            raise BackupError(f"{table} has {found} rows after restoring, and had {expected}.")
    (named,) = scratch.execute("SELECT count(*) FROM studies_storedfile").fetchone() or (0,)
    if named != manifest.objects:
        raise BackupError(f"The rows name {named} files, the backup holds {manifest.objects}.")


def _some_files(scratch: psycopg.Connection[Any], count: int) -> list[tuple[str, int]]:
    """From random places in the order of the hashes, which are random themselves."""
    query = "SELECT sha256, size FROM studies_storedfile WHERE sha256 >= %s ORDER BY sha256 LIMIT %s"
    found = scratch.execute(query, [secrets.token_hex(32), count]).fetchall()
    found += scratch.execute(query, ["", count - len(found)]).fetchall() if len(found) < count else []
    return sorted(set(found))


def _run_release(manifest: Manifest) -> None:
    """This release's migrations, and the whole audit log, as a restored copy would run them."""
    age = timezone.now() - datetime.fromisoformat(manifest.made_at)
    with tempfile.TemporaryDirectory(dir=settings.STATE_DIR, prefix="drill-") as state:
        _manage(state, "migrate", "--verbosity", "0")
        anchor = ("--anchor", manifest.audit_anchor) if manifest.audit_anchor else ()
        limit = str(int((age + UNSEALED_LIMIT).total_seconds()))
        said = _manage(state, "verify_audit", "--full", "--json", "--unsealed-limit", limit, *anchor)
    if not json.loads(said)["intact"]:
        raise BackupError("The audit log of the restored copy does not hold.")


def _manage(state: str, *arguments: str) -> str:
    url = settings.DRILL_DATABASE_URL
    of_its_own = {
        "DATABASE_URL": url,
        "CAD_DATABASE_OWNER_URL": url,
        "CAD_STATE_DIR": state,
        "CAD_STORAGE_URL": f"file://{Path(state, 'objects')}",
    }
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=settings.BASE_DIR,
        env=os.environ | of_its_own,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise BackupError(f"{arguments[0]} failed on the restored copy: {last}")
    return done.stdout

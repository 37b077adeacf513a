"""Restoring a backup into an empty place. Whatever is there already is never overwritten."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import connection, transaction
from django.db.migrations.loader import MigrationLoader

from cad_platform.audit.services import record
from cad_platform.core.actor import Actor
from cad_platform.operations.backup import folder as layout
from cad_platform.operations.backup import postgres
from cad_platform.operations.backup.folder import BackupError, Manifest
from cad_platform.studies import storage


def restore_backup(actor: Actor, source: Path) -> Manifest:
    """Verify the whole backup, put its files into the storage, then its rows into the database.

    The rows come in one transaction, so a restore that broke off can be repeated.

    Raises
    ------
    BackupError
        The backup is damaged or from a newer release, or the database or the storage is not empty.
    """
    manifest = layout.verified(source)
    _refuse_newer(manifest)
    _refuse_tables()
    _refuse_other_objects(source)
    for sha256, _size in layout.listed_objects(source):
        _put(layout.object_path(source, sha256), sha256)
    postgres.run(
        "pg_restore",
        "--no-owner",
        "--no-privileges",
        "--schema=public",
        "--single-transaction",
        "--exit-on-error",
        f"--dbname={connection.settings_dict['NAME']}",
        str(source / layout.DATABASE),
    )
    # Brings an older backup up to date and gives the application's role its rights.
    call_command("migrate", verbosity=0)
    with transaction.atomic():
        record(actor, "backup.restore", object_type="backup", object_id=manifest.database_sha256[:16])
    return manifest


def _refuse_newer(manifest: Manifest) -> None:
    known = {f"{app}.{name}" for app, name in MigrationLoader(None).disk_migrations}
    if unknown := sorted(set(manifest.migrations) - known):
        raise BackupError(f"The backup is from a newer release: {unknown[0]} is unknown here.")


def _refuse_tables() -> None:
    if tables := connection.introspection.table_names():
        raise BackupError(
            f"The database is not empty ({len(tables)} tables). Restore into a new one; nothing is "
            "overwritten."
        )


def _refuse_other_objects(source: Path) -> None:
    """A storage may hold files of this backup (an earlier try), and nothing else."""
    for stored in storage.objects().listing():
        if not layout.object_path(source, stored.sha256).is_file():
            raise BackupError("The storage is not empty. Restore into a new one; nothing is overwritten.")


def _put(path: Path, sha256: str) -> None:
    """Through a copy beside the storage: putting moves the file away."""
    with tempfile.NamedTemporaryFile(
        dir=settings.UPLOAD_DIR, prefix="restored-", suffix=".part", delete=False
    ) as copy:
        with path.open("rb") as source:
            shutil.copyfileobj(source, copy, 1024 * 1024)
        made = Path(copy.name)
    try:
        storage.objects().put(made, sha256)
    finally:
        made.unlink(missing_ok=True)

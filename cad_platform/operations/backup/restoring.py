"""Restoring a backup into an empty place. Whatever is there already is never overwritten."""

from __future__ import annotations

import tempfile
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import connection, transaction
from django.db.migrations.loader import MigrationLoader

from cad_platform.audit.services import record
from cad_platform.core.actor import Actor
from cad_platform.operations.backup import keeping, postgres
from cad_platform.operations.backup.errors import BackupError
from cad_platform.operations.backup.place import DATABASE, Manifest, Place
from cad_platform.studies import storage


def restore_backup(actor: Actor, place: Place, name: str = "") -> Manifest:
    """Verify the whole backup (the newest where none is named), put its files into the storage, then its rows into the
    database.

    The rows come in one transaction, so a restore that broke off can be repeated.

    Raises
    ------
    BackupError
        The backup is damaged or from a newer release, or the database or the storage is not empty.
    """
    with place.shared():
        name = place.chosen(name)
        manifest = place.manifest(name)
        refuse_newer(manifest)
        _refuse_tables()
        keeping.verify_backup(place, name)
        _refuse_other_objects(place)
        for sha256, _size in place.files(name):
            _put(place, sha256)
        postgres.load(connection.settings_dict, place.content(name, DATABASE))
    # Brings an older backup up to date and gives the application's role its rights.
    call_command("migrate", verbosity=0)
    with transaction.atomic():
        record(actor, "backup.restore", object_type="backup", object_id=name)
    return manifest


def refuse_newer(manifest: Manifest) -> None:
    """Raises `BackupError` for a backup with a migration that this release does not have."""
    known = {f"{app}.{name}" for app, name in MigrationLoader(None).disk_migrations}
    if unknown := sorted(set(manifest.migrations) - known):
        raise BackupError(f"The backup is from a newer release: {unknown[0]} is unknown here.")


def _refuse_tables() -> None:
    if tables := connection.introspection.table_names():
        raise BackupError(
            f"The database is not empty ({len(tables)} tables). Restore into a new one; nothing is "
            "overwritten."
        )


def _refuse_other_objects(place: Place) -> None:
    """A storage may hold files of the place (an earlier try), and nothing else."""
    for stored in storage.objects().listing():
        if not place.has_object(stored.sha256, stored.size):
            raise BackupError("The storage is not empty. Restore into a new one; nothing is overwritten.")


def _put(place: Place, sha256: str) -> None:
    """Through a copy beside the storage: putting moves the file away."""
    with tempfile.NamedTemporaryFile(
        dir=settings.UPLOAD_DIR, prefix="restored-", suffix=".part", delete=False
    ) as copy:
        made = Path(copy.name)
        try:
            for block in place.object(sha256):
                copy.write(block)
        except BaseException:
            made.unlink()
            raise
    try:
        storage.objects().put(made, sha256)
    finally:
        made.unlink(missing_ok=True)

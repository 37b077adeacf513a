"""Making a backup while the platform runs: one snapshot of the database, then the files that it names.

Files never change, so a later copy of them fits the snapshot; the collector, which alone removes any, is kept
away until the end by its own locks.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import connection, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from cad_platform.audit.models import AuditSeal
from cad_platform.audit.services import record
from cad_platform.core.actor import Actor
from cad_platform.core.errors import PlatformError
from cad_platform.operations.backup import folder as layout
from cad_platform.operations.backup import postgres
from cad_platform.operations.backup.folder import BackupError, Manifest
from cad_platform.studies import storage
from cad_platform.studies.models import StoredFile
from imaging.digest import sha256_of


def make_backup(actor: Actor, target: Path) -> Manifest:
    """Write a backup into the new folder `target` (mode 0700). It appears whole or not at all.

    Raises
    ------
    BackupError
        The folder exists, a program failed, or a file of the storage is missing or damaged.
    """
    if target.exists():
        raise BackupError(f"{target} exists already; name a new folder.")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))  # mode 0700
    try:
        with _collector_kept_away():
            manifest = _write(partial)
        os.sync()
        partial.rename(target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    with transaction.atomic():
        record(
            actor,
            "backup.create",
            object_type="backup",
            object_id=manifest.database_sha256[:16],
            objects=manifest.objects,
            bytes=manifest.bytes,
        )
    return manifest


@contextmanager
def _collector_kept_away() -> Iterator[None]:
    """Share every lock that the collector must have alone. Taken before the snapshot, so that no row of the
    snapshot loses its file."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_lock_shared(%s, byte) FROM generate_series(0, 255) AS byte",
            [storage.LOCK_CLASS],
        )
        try:
            yield
        finally:
            cursor.execute(
                "SELECT pg_advisory_unlock_shared(%s, byte) FROM generate_series(0, 255) AS byte",
                [storage.LOCK_CLASS],
            )


@transaction.atomic
def _write(folder: Path) -> Manifest:
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute("SELECT pg_export_snapshot()")
        snapshot = cursor.fetchone()[0]
    dump = folder / layout.DATABASE
    postgres.run(
        "pg_dump",
        "--format=custom",
        "--no-owner",
        "--no-privileges",
        "--schema=public",  # the platform's own; a hospital's server may have others
        f"--snapshot={snapshot}",
        f"--file={dump}",
    )
    objects, size = _copy_objects(folder)
    seal = AuditSeal.objects.order_by("-sequence").first()
    manifest = Manifest(
        format=layout.FORMAT,
        made_at=timezone.now().isoformat(timespec="seconds"),
        database_sha256=sha256_of(dump),
        objects_sha256=sha256_of(folder / layout.OBJECT_LIST),
        objects=objects,
        bytes=size,
        audit_anchor=f"{seal.sequence}:{seal.hash}" if seal else "",
        migrations=sorted(
            f"{app}.{name}" for app, name in MigrationRecorder(connection).applied_migrations()
        ),
    )
    manifest.write(folder)
    return manifest


def _copy_objects(folder: Path) -> tuple[int, int]:
    """Copy every file that the snapshot names; their number and bytes."""
    count, total = 0, 0
    (folder / layout.OBJECTS).mkdir()
    with (folder / layout.OBJECT_LIST).open("w") as listing:
        rows = StoredFile.objects.order_by("sha256").values_list("sha256", "size")
        for sha256, size in rows.iterator(chunk_size=1000):
            target = layout.object_path(folder, sha256)
            target.parent.mkdir(parents=True, exist_ok=True)
            copied = _copy(sha256, target)
            if copied != size:
                raise BackupError(f"The file {sha256} has {copied} bytes instead of {size}.")
            listing.write(f"{sha256} {size}\n")
            count, total = count + 1, total + size
    return count, total


def _copy(sha256: str, target: Path) -> int:
    """Copy one file, checking its hash on the way; its size."""
    digest, size = hashlib.sha256(), 0
    try:
        with storage.open(sha256) as path, path.open("rb") as source, target.open("xb") as copy:
            while chunk := source.read(1024 * 1024):
                digest.update(chunk)
                copy.write(chunk)
                size += len(chunk)
    except PlatformError as error:
        raise BackupError(f"The file {sha256} cannot be read: {error.detail}") from error
    if digest.hexdigest() != sha256:
        raise BackupError(f"The file {sha256} is damaged in the storage.")
    return size

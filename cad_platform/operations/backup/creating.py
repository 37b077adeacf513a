"""Making a backup while the platform runs: one snapshot of the database, then the files that it names and the place
does not have yet.

Files never change, so a later copy of them fits the snapshot; the collector, which alone removes any, is kept
away until the end by its own locks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import connection, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone
from psycopg import sql

from cad_platform.audit.models import AuditSeal
from cad_platform.core.actor import Actor
from cad_platform.core.errors import PlatformError
from cad_platform.operations.backup import postgres, watch
from cad_platform.operations.backup.errors import BackupError
from cad_platform.operations.backup.place import DATABASE, FILES, FORMAT, Manifest, Place
from cad_platform.operations.backup.sealed import BLOCK, seal
from cad_platform.studies import storage
from cad_platform.studies.models import StoredFile


def make_backup(actor: Actor, place: Place) -> Manifest:
    """Write a backup into the place. It appears whole or not at all.

    Raises
    ------
    BackupError
        The place is in use or holds something else, a program failed, or a file of the storage is missing or damaged.
    """
    with watch.recorded(actor, "backup") as outcome:
        place.prepare()
        with place.exclusively(), place.new_backup() as (name, folder), _collector_kept_away():
            manifest = _write(place, name, folder)
        outcome.object_id = name
        outcome.detail |= {
            "objects": manifest.objects,
            "bytes": manifest.bytes,
            "new_objects": manifest.new_objects,
            "new_bytes": manifest.new_bytes,
        }
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
def _write(place: Place, name: str, folder: Path) -> Manifest:
    made_at = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute("SELECT pg_export_snapshot()")
        snapshot = cursor.fetchone()[0]
    dump = postgres.dumped(connection.settings_dict, snapshot)
    database, _size = seal(dump, folder / DATABASE, place.key, f"{name}/{DATABASE}")
    copying = _Copying(place)
    files, _size = seal(copying.lines(), folder / FILES, place.key, f"{name}/{FILES}")
    last = AuditSeal.objects.order_by("-sequence").first()
    manifest = Manifest(
        format=FORMAT,
        name=name,
        made_at=made_at.isoformat(timespec="seconds"),
        database_sha256=database,
        files_sha256=files,
        rows=_rows(),
        objects=copying.objects,
        bytes=copying.bytes,
        new_objects=copying.new_objects,
        new_bytes=copying.new_bytes,
        audit_anchor=f"{last.sequence}:{last.hash}" if last else "",
        migrations=sorted(
            f"{app}.{each}" for app, each in MigrationRecorder(connection).applied_migrations()
        ),
    )
    place.write_manifest(folder, manifest)
    return manifest


def _rows() -> dict[str, int]:
    """Table → its rows in the snapshot; a table's parts are counted with it."""
    found = {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace "
            "AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY 1"
        )
        for (table,) in cursor.fetchall():
            cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier("public", table)))
            found[table] = int(cursor.fetchone()[0])
    return found


class _Copying:
    """Brings over the files that the snapshot names and the place lacks, and counts."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.objects = self.bytes = self.new_objects = self.new_bytes = 0

    def lines(self) -> Iterator[bytes]:
        """The list of files, each line after its file is in the place."""
        rows = StoredFile.objects.order_by("sha256").values_list("sha256", "size")
        for sha256, size in rows.iterator(chunk_size=1000):
            if not self.place.has_object(sha256, size):
                self._bring(sha256, size)
                self.new_objects, self.new_bytes = self.new_objects + 1, self.new_bytes + size
            self.objects, self.bytes = self.objects + 1, self.bytes + size
            yield f"{sha256} {size}\n".encode()

    def _bring(self, sha256: str, size: int) -> None:
        try:
            with storage.open(sha256) as path:
                self.place.put_object(sha256, size, _chunks(path))
        except PlatformError as error:
            raise BackupError(f"The file {sha256} cannot be read: {error.detail}") from error


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as source:
        while chunk := source.read(BLOCK):
            yield chunk

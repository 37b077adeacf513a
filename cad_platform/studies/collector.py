"""Removing what no row names: files that a crash left before the commit, and broken-off uploads."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db.models import Exists, ForeignObjectRel, OuterRef, QuerySet
from django.utils import timezone

from cad_platform.studies import storage
from cad_platform.studies.models import StoredFile
from cad_platform.studies.objects import discard_parts, disk_errors


@dataclass(frozen=True)
class Collected:
    """How many of each were removed."""

    rows: int
    files: int
    uploads: int


def collect() -> Collected:
    """One round. Whatever is younger than `COLLECT_AFTER_SECONDS` stays: somebody may be about to name it.

    Raises
    ------
    Unavailable
        The storage does not answer; what is left is for the next round.
    """
    older_than = time.time() - settings.COLLECT_AFTER_SECONDS
    rows = _collect_rows()
    files = _collect_files(older_than)
    with disk_errors():
        uploads = discard_parts(settings.UPLOAD_DIR.glob("*.part"), older_than)
    return Collected(rows, files, uploads + storage.objects().discard_debris(older_than))


def unreferenced(rows: QuerySet[StoredFile]) -> QuerySet[StoredFile]:
    """Those that no foreign key of any app names, that of a history neither."""
    # Also those that have no name for the way back (`related_name="+"`), which `related_objects` leaves out.
    for relation in StoredFile._meta.get_fields(include_hidden=True):
        if not isinstance(relation, ForeignObjectRel):
            continue
        rows = rows.exclude(
            Exists(relation.related_model._default_manager.filter(**{relation.field.name: OuterRef("pk")}))
        )
    return rows


def _collect_rows() -> int:
    """Rows first; their bytes go by the same rules as bytes that never had one."""
    old = StoredFile.objects.filter(
        stored_at__lt=timezone.now() - timedelta(seconds=settings.COLLECT_AFTER_SECONDS)
    )
    removed = 0
    for sha256 in list(unreferenced(old).values_list("sha256", flat=True)):
        with storage.locked_for_collection(sha256) as alone:
            if alone:  # asked again, now that nobody can be about to name it
                removed += unreferenced(StoredFile.objects.filter(sha256=sha256)).delete()[0]
    return removed


def _collect_files(older_than: float) -> int:
    removed = 0
    batch: list[str] = []
    for stored in storage.objects().listing():
        if stored.modified < older_than:
            batch.append(stored.sha256)
        if len(batch) >= 500:
            removed += _collect_batch(batch, older_than)
            batch = []
    return removed + _collect_batch(batch, older_than)


def _collect_batch(hashes: list[str], older_than: float) -> int:
    named = set(StoredFile.objects.filter(sha256__in=hashes).values_list("sha256", flat=True))
    return sum(_collect_file(sha256, older_than) for sha256 in hashes if sha256 not in named)


def _collect_file(sha256: str, older_than: float) -> bool:
    with storage.locked_for_collection(sha256) as alone:
        if not alone or StoredFile.objects.filter(sha256=sha256).exists():
            return False
        # A transaction that put these bytes again has made them young; one that will put them waits for us.
        age = storage.objects().modified(sha256)
        if age is None or age >= older_than:
            return False
        storage.delete(sha256)
    return True

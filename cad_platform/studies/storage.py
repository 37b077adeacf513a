"""Content-addressed files: `objects/ab/cd/<sha256>` on a file system or in an S3 bucket.

The bytes are durable before the row that names them commits, so no crash leaves a row without its file; a
file without a row is removed by `studies.collector`. Both sides take an advisory lock on the file's bucket,
shared here and exclusive there, so that a file is never collected while a transaction is about to name it.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction
from django.utils import timezone

from cad_platform.studies.models import StoredFile
from cad_platform.studies.objects import FileObjects, Objects, disk_errors

#: First key of the advisory locks; the second is the first byte of the hash.
LOCK_CLASS = 0x0CAD0001
_CHUNK = 1024 * 1024


def objects() -> Objects:
    """The store that `CAD_STORAGE_URL` names."""
    return _objects(settings.STORAGE_URL)


@cache
def _objects(url: str) -> Objects:
    parts = urlsplit(url)
    if parts.scheme == "file":
        return FileObjects(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc:
        # A second of every process's start, which a file system does not need.
        from cad_platform.studies.s3_objects import S3Objects

        return S3Objects(
            bucket=parts.netloc,
            prefix=parts.path.strip("/"),
            cache=settings.STATE_DIR / "object-cache",
            cache_bytes=settings.STORAGE_CACHE_BYTES,
        )
    raise ImproperlyConfigured("CAD_STORAGE_URL must be file:///folder or s3://bucket/prefix.")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in lower-case hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@transaction.atomic
def store(path: Path, media_type: str, *, sha256: str = "") -> StoredFile:
    """Move `path` into the storage and name it by a row; refer to it within the hour, or it is collected.

    Args:
        path: a complete file; it is gone afterwards. In `settings.UPLOAD_DIR` moving it is a rename.
        sha256: its hash where the caller has computed it from the same bytes; computed here otherwise.

    Raises:
        StorageFull: no room. Unavailable: the storage does not answer. In both cases nothing was stored.
    """
    digest = sha256 or sha256_of(path)
    keep_from_collector(digest)
    size = path.stat().st_size
    objects().put(path, digest)
    row, created = StoredFile.objects.get_or_create(
        sha256=digest, defaults={"size": size, "media_type": media_type}
    )
    if not created:  # young again, as its bytes are
        StoredFile.objects.filter(sha256=digest).update(stored_at=timezone.now())
    return row


def store_bytes(data: bytes, media_type: str) -> StoredFile:
    """As `store`, for something made in memory: a mask, a heat map, a PDF."""
    with disk_errors():
        descriptor, name = tempfile.mkstemp(dir=settings.UPLOAD_DIR, prefix="made-", suffix=".part")
        path = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            return store(path, media_type, sha256=hashlib.sha256(data).hexdigest())
        finally:
            path.unlink(missing_ok=True)


@contextmanager
def open(sha256: str) -> Iterator[Path]:
    """A local path of the file, valid inside the block. The file must not be written to.

    Raises:
        Unavailable: the storage does not answer, or the file is missing from it.
    """
    with objects().open(sha256) as path:
        yield path


def exists(sha256: str) -> bool:
    return objects().modified(sha256) is not None


def delete(sha256: str) -> None:
    """Remove the bytes. Only the collector calls this, under its lock."""
    objects().delete(sha256)


def keep_from_collector(sha256: str) -> None:
    """Keep the collector away from the file until the current transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s, %s)", [LOCK_CLASS, int(sha256[:2], 16)])


@contextmanager
def locked_for_collection(sha256: str) -> Iterator[bool]:
    """For the collector: a transaction in which nobody is about to name the file, or False if somebody is."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [LOCK_CLASS, int(sha256[:2], 16)])
            alone = bool(cursor.fetchone()[0])
        yield alone

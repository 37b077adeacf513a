"""Content-addressed files: `objects/ab/cd/<sha256>` on a file system or in an S3 bucket.

First the bytes (`deposit`, durable, outside of every transaction), then the row that names them (`name`), so no crash
leaves a row without its file; a file without a row is removed by `studies.collector`. Naming and collecting take an
advisory lock on the file's bucket, shared here and exclusive there, so that a file is never collected while a
transaction is about to commit its name.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction
from django.utils.translation import gettext as _

from cad_platform.core.errors import Unavailable
from cad_platform.studies.models import StoredFile
from cad_platform.studies.objects import FileObjects, Objects, disk_errors

#: First key of the advisory locks; the second is the first byte of the hash.
LOCK_CLASS = 0x0CAD0001


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


@dataclass(frozen=True)
class Deposit:
    """Bytes that are durable in the storage and that no row names yet."""

    sha256: str
    size: int
    media_type: str
    deposited_at: float = field(default_factory=time.time)
    """Seconds since the epoch: the collector takes what stays without a name for an hour."""


def deposit(path: Path, media_type: str, *, sha256: str) -> Deposit:
    """Move a file into the storage, durable on return. Belongs before the transaction that names it, since bytes may
    travel for minutes; what nothing names is collected.

    Parameters
    ----------
    path
        A complete file; it is gone afterwards. In `settings.UPLOAD_DIR` moving it is a rename.
    sha256
        Its hash, computed from the same bytes.

    Raises
    ------
    StorageFull
        There is no room.
    Unavailable
        The storage does not answer. In both cases nothing was stored.
    """
    size = path.stat().st_size
    objects().put(path, sha256)
    return Deposit(sha256, size, media_type)


def write_back(path: Path) -> None:
    """Begin to make durable what `deposit` will store, where that is this machine's own disk. Raises as `deposit` does:
    what the disk says of a file it may say only once."""
    objects().write_back(path)


def named(hashes: Sequence[str]) -> set[str]:
    """Those of the hashes that a row names. Mostly none: asked without composing a query."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT sha256 FROM studies_storedfile WHERE sha256 = ANY (%s)", [list(hashes)])
        return {row[0] for row in cursor.fetchall()}


def deposit_bytes(data: bytes, media_type: str) -> Deposit:
    """As `deposit`, for something made in memory: a mask, a heat map, a PDF."""
    with disk_errors():
        descriptor, temporary = tempfile.mkstemp(dir=settings.UPLOAD_DIR, prefix="made-", suffix=".part")
        path = Path(temporary)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            return deposit(path, media_type, sha256=hashlib.sha256(data).hexdigest())
        finally:
            path.unlink(missing_ok=True)


@transaction.atomic(savepoint=False)
def name(deposits: Iterable[Deposit]) -> None:
    """Name deposited bytes by rows (their key is the hash), in the transaction that refers to them.

    Raises
    ------
    Unavailable
        They were deposited so long ago that they have been collected. The same may be sent again.
    """
    # One each, in one order, so that two transactions that name the same bytes cannot wait for each other.
    by_hash = {each.sha256: each for each in sorted(deposits, key=lambda each: each.sha256)}
    keep_from_collector(*by_hash)
    for each in by_hash.values():
        if time.time() - each.deposited_at > settings.COLLECT_AFTER_SECONDS / 2 and not exists(each.sha256):
            raise Unavailable(_("The files were not used in time and are gone. Please send them again."))
    StoredFile.objects.bulk_create(
        [
            StoredFile(sha256=each.sha256, size=each.size, media_type=each.media_type)
            for each in by_hash.values()
        ],
        update_conflicts=True,
        unique_fields=["sha256"],
        update_fields=["stored_at"],  # young again, as its bytes are
    )


def store_bytes(data: bytes, media_type: str) -> StoredFile:
    """Deposit something made in memory and name it at once; refer to it within the hour, or it is collected."""
    deposited = deposit_bytes(data, media_type)
    name([deposited])
    return StoredFile.objects.get(pk=deposited.sha256)


def empty_file() -> StoredFile:
    """The row of no bytes: what a file that is gone for good is replaced by."""
    sha256 = hashlib.sha256(b"").hexdigest()
    return StoredFile.objects.get_or_create(
        sha256=sha256, defaults={"size": 0, "media_type": "application/x-empty"}
    )[0]


@contextmanager
def open(sha256: str) -> Iterator[Path]:
    """A local path of the file, valid inside the block. The file must not be written to.

    Raises
    ------
    Unavailable
        The storage does not answer, or the file is missing from it.
    """
    with objects().open(sha256) as path:
        yield path


def exists(sha256: str) -> bool:
    return objects().modified(sha256) is not None


def delete(sha256: str) -> None:
    """Remove the bytes. Only the collector calls this, under its lock."""
    objects().delete(sha256)


def keep_from_collector(*hashes: str) -> None:
    """Keep the collector away from the files until the current transaction ends."""
    buckets = sorted({_bucket(sha256) for sha256 in hashes})
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock_shared(%s, bucket) FROM unnest(%s::int[]) AS bucket",
            [LOCK_CLASS, buckets],
        )


def _bucket(sha256: str) -> int:
    return int(sha256[:2], 16)


@contextmanager
def locked_for_collection(sha256: str) -> Iterator[bool]:
    """For the collector: a transaction in which nobody is about to name the file, or False if somebody is."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [LOCK_CLASS, _bucket(sha256)])
            alone = bool(cursor.fetchone()[0])
        yield alone

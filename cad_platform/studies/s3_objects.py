"""Objects in an S3 bucket, read through a bounded local cache.

Credentials, region and endpoint come from the environment, as for every AWS client (`AWS_ACCESS_KEY_ID`,
`AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL`).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import local
from typing import Any

import boto3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.utils.translation import gettext as _

from cad_platform.core.errors import StorageFull, Unavailable
from cad_platform.studies.bounded_folder import BoundedFolder
from cad_platform.studies.objects import StoredObject, discard_parts, disk_errors, key_of

_MISSING = {"404", "NoSuchKey", "NotFound"}
_FULL = {"QuotaExceeded", "XMinioStorageFull", "InsufficientStorage"}
_CONFIG = Config(
    connect_timeout=3,
    read_timeout=30,
    retries={"max_attempts": 3, "mode": "standard"},
    max_pool_connections=8,
)
#: Parts of 16 MB, two at a time: a 2 GB slide needs 32 MB of memory.
_TRANSFER = TransferConfig(
    multipart_threshold=16 * 1024**2, multipart_chunksize=16 * 1024**2, max_concurrency=2
)


@contextmanager
def _bucket_errors() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in _FULL or error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 507:
            raise StorageFull(_("The object storage is full. Nothing was stored.")) from error
        raise Unavailable(_("The object storage refuses the request. Nothing was stored.")) from error
    except (BotoCoreError, Boto3Error) as error:
        raise Unavailable(_("The object storage does not answer. Nothing was stored.")) from error


class S3Objects:
    def __init__(self, bucket: str, prefix: str, cache: Path, cache_bytes: int) -> None:
        self.bucket, self.prefix = bucket, prefix
        self.cache = cache
        self._cached = BoundedFolder(cache, cache_bytes, remove=_remove_unused)
        self._thread = local()

    @property
    def _client(self) -> Any:
        """One client a thread: making one reads files, and sessions are not safe to share."""
        if not hasattr(self._thread, "client"):
            self._thread.client = boto3.session.Session().client("s3", config=_CONFIG)
        return self._thread.client

    def _key(self, sha256: str) -> str:
        return f"{self.prefix}/objects/{key_of(sha256)}".lstrip("/")

    def write_back(self, path: Path) -> None:
        """Nothing: the bucket is where it becomes durable."""

    def put(self, path: Path, sha256: str) -> None:
        # Uploaded even where the object exists: that makes it young again for the collector.
        with _bucket_errors(), disk_errors():
            self._client.upload_file(
                str(path),
                self.bucket,
                self._key(sha256),
                ExtraArgs={"Metadata": {"sha256": sha256}},
                Config=_TRANSFER,
            )
            path.unlink()

    @contextmanager
    def open(self, sha256: str) -> Iterator[Path]:
        path = self.cache / key_of(sha256)
        with disk_errors():
            handle = self._pinned(sha256, path)
        try:
            yield path
        finally:
            os.close(handle)

    def _pinned(self, sha256: str, path: Path) -> int:
        """A descriptor with a shared lock on the cached file: eviction passes over files in use."""
        while True:
            try:
                handle = os.open(path, os.O_RDONLY)
            except FileNotFoundError:
                self._download(sha256, path)
                continue
            fcntl.flock(handle, fcntl.LOCK_SH)
            try:
                if os.fstat(handle).st_ino == path.stat().st_ino:
                    os.utime(path)
                    return handle
            except FileNotFoundError:
                pass  # evicted between opening and locking
            os.close(handle)

    def _download(self, sha256: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        with _scratch(path.parent) as (name, file):
            with _bucket_errors():
                self._client.download_fileobj(self.bucket, self._key(sha256), file, Config=_TRANSFER)
            file.flush()
            file.seek(0)
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                raise Unavailable(
                    _("A stored file does not have the bytes it was stored with."), code="file_damaged"
                )
            name.chmod(0o440)
            self._cached.place(name, path)

    def modified(self, sha256: str) -> float | None:
        with _bucket_errors():
            try:
                found = self._client.head_object(Bucket=self.bucket, Key=self._key(sha256))
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") in _MISSING:
                    return None
                raise
        return float(found["LastModified"].timestamp())

    def delete(self, sha256: str) -> None:
        with _bucket_errors():
            self._client.delete_object(Bucket=self.bucket, Key=self._key(sha256))
        with disk_errors():
            (self.cache / key_of(sha256)).unlink(missing_ok=True)

    def listing(self) -> Iterator[StoredObject]:
        with _bucket_errors():
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=f"{self.prefix}/objects/".lstrip("/")
            )
            for page in pages:
                for entry in page.get("Contents", []):
                    name = entry["Key"].rsplit("/", 1)[-1]
                    if len(name) == 64:
                        yield StoredObject(name, entry["Size"], entry["LastModified"].timestamp())

    def discard_debris(self, older_than: float) -> int:
        with disk_errors():
            return discard_parts(self.cache.glob("??/??/*.part"), older_than)


@contextmanager
def _scratch(folder: Path) -> Iterator[tuple[Path, Any]]:
    """A file to write into; removed unless it was renamed away."""
    descriptor, name = tempfile.mkstemp(dir=folder, suffix=".part")
    path = Path(name)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield path, file
    finally:
        path.unlink(missing_ok=True)


def _remove_unused(path: Path) -> bool:
    """Unlink a cached file unless somebody reads it; whether it is gone."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True

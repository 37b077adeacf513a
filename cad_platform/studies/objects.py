"""The port to content-addressed bytes, and its adapter for a file system."""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from django.utils.translation import gettext as _

from cad_platform.core.errors import StorageFull, Unavailable

_SHA256 = re.compile(r"[0-9a-f]{64}")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True)
class StoredObject:
    """An object as a listing shows it. `modified` is in seconds since the epoch, by the store's clock."""

    sha256: str
    size: int
    modified: float


class Objects(Protocol):
    """Bytes by their SHA-256. Every method raises `StorageFull` or `Unavailable` and nothing else."""

    def put(self, path: Path, sha256: str) -> None:
        """Move the file in. Durable on return; an object that is there already becomes young again."""

    def write_back(self, path: Path) -> None:
        """What `put` will wait for of a file that is still elsewhere, where it can be waited for before."""

    def open(self, sha256: str) -> AbstractContextManager[Path]: ...

    def modified(self, sha256: str) -> float | None:
        """When it was last put, in seconds since the epoch; None where there is no such object."""

    def delete(self, sha256: str) -> None: ...

    def listing(self) -> Iterator[StoredObject]: ...

    def discard_debris(self, older_than: float) -> int:
        """Remove half-written files last touched before `older_than`; the number removed."""


def key_of(sha256: str) -> str:
    """`ab/cd/abcd…`: two levels keep folders small."""
    if not _SHA256.fullmatch(sha256):
        raise ValueError("an object is named by 64 lower-case hexadecimal digits")
    return f"{sha256[:2]}/{sha256[2:4]}/{sha256}"


@contextmanager
def disk_errors() -> Iterator[None]:
    """What the operating system says of a disk, as the platform's errors."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull(_("The disk is full. Nothing was stored; please free some space.")) from error
        raise Unavailable(_("The storage does not answer. Nothing was stored.")) from error


def sync_folder(folder: Path) -> None:
    """Make renames within a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class FileObjects:
    """Objects on a local or mounted file system. Files are read-only once in place."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def _path(self, sha256: str) -> Path:
        return self.root / key_of(sha256)

    def put(self, path: Path, sha256: str) -> None:
        target = self._path(sha256)
        with disk_errors():
            if self._refresh(target, path.stat().st_size):
                path.unlink()
                return
            self._make_folders(target.parent)
            self.write_back(path)
            path.chmod(0o440)
            try:
                path.replace(target)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                self._copy(path, target)
            sync_folder(target.parent)

    def write_back(self, path: Path) -> None:
        with disk_errors(), path.open("rb") as file:
            os.fsync(file.fileno())

    @staticmethod
    def _refresh(target: Path, size: int) -> bool:
        """Whether the object is there whole; if so its age starts again, so that the collector leaves it."""
        try:
            if target.stat().st_size != size:
                return False
            os.utime(target)
        except FileNotFoundError:
            return False
        return True

    def _make_folders(self, folder: Path) -> None:
        if folder.is_dir():
            return
        folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        for level in (folder.parent, self.root, self.root.parent):
            sync_folder(level)

    @staticmethod
    def _copy(path: Path, target: Path) -> None:
        """Storage on another file system than the uploads: one more write, and still a rename into place."""
        descriptor, name = tempfile.mkstemp(dir=target.parent, suffix=".part")
        try:
            with path.open("rb") as source, os.fdopen(descriptor, "wb") as copy:
                shutil.copyfileobj(source, copy, 1024 * 1024)
                copy.flush()
                os.fsync(copy.fileno())
            Path(name).chmod(0o440)
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        path.unlink()

    @contextmanager
    def open(self, sha256: str) -> Iterator[Path]:
        path = self._path(sha256)
        with disk_errors():
            path.stat()
        yield path

    def modified(self, sha256: str) -> float | None:
        with disk_errors():
            try:
                return self._path(sha256).stat().st_mtime
            except FileNotFoundError:
                return None

    def delete(self, sha256: str) -> None:
        with disk_errors():
            self._path(sha256).unlink(missing_ok=True)

    def listing(self) -> Iterator[StoredObject]:
        with disk_errors():
            for path in self.root.glob("??/??/*"):
                if not _SHA256.fullmatch(path.name):
                    continue
                try:
                    status = path.stat()
                except FileNotFoundError:
                    continue  # collected by another process since the folder was listed
                yield StoredObject(path.name, status.st_size, status.st_mtime)

    def discard_debris(self, older_than: float) -> int:
        with disk_errors():
            return discard_parts(self.root.glob("??/??/*.part"), older_than)


def discard_parts(paths: Iterator[Path], older_than: float) -> int:
    """Remove those files last written before `older_than` (seconds since the epoch); the number removed."""
    removed = 0
    for path in paths:
        try:
            if path.stat().st_mtime < min(older_than, time.time()):
                path.unlink()
                removed += 1
        except FileNotFoundError:
            continue
    return removed

"""A folder that backups lie in, each whole by itself although what has not changed is there once.

lock               one that writes at a time; those that read share it
backups/NAME/      one backup: `manifest` (what it holds, JSON), `database` (pg_dump's custom format) and `files`
                   (a line a file: SHA-256 and size, in the order of the hashes)
objects/ab/cd/…    the stored files of all backups, under a name made with the key

All of them are sealed (`backup.sealed`). A backup is there when its folder has its name: what a killed one left has
another, and is removed by the next.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from cad_platform.operations.backup.errors import BackupError
from cad_platform.operations.backup.sealed import BackupKey, seal, sealed_size, unsealed

FORMAT = 2
MANIFEST, DATABASE, FILES = "manifest", "database", "files"
_NAME = re.compile(r"\d{8}T\d{12}Z")
_PART = ".part"


@dataclass(frozen=True)
class Manifest:
    """What a backup holds.

    Attributes
    ----------
    made_at
        When its snapshot of the database was taken.
    rows
        Table → its rows in that snapshot.
    objects, bytes
        Stored files that it names, and their size.
    new_objects, new_bytes
        Those of them that no earlier backup of the place had.
    migrations
        Those that its database has applied.
    """

    format: int
    name: str
    made_at: str
    database_sha256: str
    files_sha256: str
    rows: dict[str, int]
    objects: int
    bytes: int
    new_objects: int
    new_bytes: int
    audit_anchor: str
    migrations: list[str]


class Place:
    """A folder of backups, and the key that they are made and read with."""

    def __init__(self, folder: Path, key: BackupKey) -> None:
        self.folder, self.key = folder, key
        self._backups, self._objects = folder / "backups", folder / "objects"

    def prepare(self) -> None:
        """Make the folder where there is none (mode 0700)."""
        if (self.folder / "manifest.json").exists():
            raise BackupError(
                f"{self.folder} is one backup of release 2.2 or before, not a folder of backups. Name another folder; "
                "restore it with the release that made it."
            )
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        others = {entry.name for entry in self.folder.iterdir()} - {"lost+found"}
        if others and "lock" not in others:
            raise BackupError(f"{self.folder} holds something else than backups; name a folder of their own.")
        (self.folder / "lock").touch(mode=0o600)
        for folder in (self._backups, self._objects):
            folder.mkdir(mode=0o700, exist_ok=True)

    @contextmanager
    def exclusively(self) -> Iterator[None]:
        """While something is written or removed. Raises `BackupError` while somebody else reads or writes."""
        with self._locked(fcntl.LOCK_EX):
            yield

    @contextmanager
    def shared(self) -> Iterator[None]:
        """While something is read. Raises `BackupError` while somebody writes."""
        with self._locked(fcntl.LOCK_SH):
            yield

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        try:
            # To be alone a network file system wants it open for writing; who reads may have it mounted read-only.
            handle = (self.folder / "lock").open("r+b" if how == fcntl.LOCK_EX else "rb")
        except OSError as error:
            raise BackupError(f"{self.folder} is no folder of backups: {error.strerror}.") from error
        with handle:
            try:
                fcntl.flock(handle, how | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BackupError(f"{self.folder} is being written or read by another process.") from None
            yield

    def names(self) -> list[str]:
        """Of all backups, oldest first."""
        return sorted(entry.name for entry in self._backups.iterdir() if _NAME.fullmatch(entry.name))

    def chosen(self, name: str = "") -> str:
        """The name that was given, or that of the newest backup. Raises `BackupError` where there is none."""
        names = self.names()
        if not names:
            raise BackupError(f"{self.folder} holds no backup.")
        if name and name not in names:
            raise BackupError(f"{self.folder} has no backup {name}; the newest is {names[-1]}.")
        return name or names[-1]

    @contextmanager
    def new_backup(self) -> Iterator[tuple[str, Path]]:
        """A name and a folder to write into; the backup is there, durable, when the block ends without an error."""
        name = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
        if (names := self.names()) and names[-1] >= name:
            raise BackupError(f"The clock is behind the newest backup, {names[-1]}.")
        self.discard_unfinished()
        partial = self._backups / f".{name}{_PART}"
        partial.mkdir(mode=0o700)
        try:
            yield name, partial
            os.sync()
            partial.rename(self._backups / name)
            _sync(self._backups)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise

    def discard_unfinished(self) -> None:
        """Remove what a killed backup or removal left."""
        for folder in self._backups.glob(f".*{_PART}"):
            shutil.rmtree(folder)
        for file in self._objects.glob(f"??/??/.*{_PART}"):
            file.unlink()

    def remove_backup(self, name: str) -> None:
        """It is no backup from the first moment on; its files are another's matter (`backup.keeping`)."""
        gone = self._backups / f".{name}{_PART}"
        (self._backups / name).rename(gone)
        _sync(self._backups)
        shutil.rmtree(gone)

    # --- what one backup holds

    def write_manifest(self, folder: Path, manifest: Manifest) -> None:
        content = json.dumps(asdict(manifest), indent=2).encode()
        seal([content], folder / MANIFEST, self.key, f"{manifest.name}/{MANIFEST}")

    def manifest(self, name: str) -> Manifest:
        """What a backup says of itself. Raises `BackupError` where it cannot be read here."""
        content = b"".join(self.content(name, MANIFEST))
        found = json.loads(content)
        if found["format"] != FORMAT:
            raise BackupError(f"The backup {name} has format {found['format']}; this release reads {FORMAT}.")
        return Manifest(**found)

    def content(self, name: str, part: str) -> Iterator[bytes]:
        """The bytes of a part of a backup (`MANIFEST`, `DATABASE`, `FILES`)."""
        return unsealed(self._backups / name / part, self.key, f"{name}/{part}")

    def files(self, name: str) -> Iterator[tuple[str, int]]:
        """SHA-256 and size of every stored file of a backup, in the order of the hashes."""
        rest = b""
        for block in self.content(name, FILES):
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                sha256, size = line.decode().split()
                yield sha256, int(size)

    # --- stored files

    def object_path(self, sha256: str) -> Path:
        return self._objects / sha256[:2] / sha256[2:4] / self.key.name_of(sha256)

    def has_object(self, sha256: str, size: int) -> bool:
        try:
            return self.object_path(sha256).stat().st_size == sealed_size(size)
        except FileNotFoundError:
            return False

    def put_object(self, sha256: str, size: int, source: Iterator[bytes]) -> None:
        """Raises `BackupError` where the bytes are not those of the hash; nothing is kept then."""
        target = self.object_path(sha256)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}{_PART}")
        partial.unlink(missing_ok=True)
        try:
            found, copied = seal(source, partial, self.key, f"object {sha256}")
            if copied != size:
                raise BackupError(f"The file {sha256} has {copied} bytes instead of {size}.")
            if found != sha256:
                raise BackupError(f"The file {sha256} is damaged in the storage.")
            partial.rename(target)
        finally:
            partial.unlink(missing_ok=True)

    def object(self, sha256: str) -> Iterator[bytes]:
        """A stored file's bytes. Raises `BackupError` where it is missing, or at the end where it is another."""
        digest = hashlib.sha256()
        for block in unsealed(self.object_path(sha256), self.key, f"object {sha256}"):
            digest.update(block)
            yield block
        if digest.hexdigest() != sha256:
            raise BackupError(f"The file {sha256} of the backup is another.")

    def buckets(self) -> Iterator[Path]:
        """Folders of stored files, in the order of their hashes."""
        for first in sorted(self._objects.iterdir()):
            yield from sorted(first.iterdir())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""What a backup looks like on disk, and whether it is whole.

manifest.json    what it holds, with the hashes of the next two and the audit log's anchor
database.dump    pg_dump's custom format
objects.list     a line a file: SHA-256 and size
objects/ab/cd/…  the files, by their SHA-256
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from imaging.digest import sha256_of

FORMAT = 1
MANIFEST, DATABASE, OBJECT_LIST, OBJECTS = "manifest.json", "database.dump", "objects.list", "objects"


class BackupError(Exception):
    """A sentence that says what is wrong and what to do."""


@dataclass(frozen=True)
class Manifest:
    """What a backup holds. `migrations` are those that its database has applied."""

    format: int
    made_at: str
    database_sha256: str
    objects_sha256: str
    objects: int
    bytes: int
    audit_anchor: str
    migrations: list[str]

    def write(self, folder: Path) -> None:
        (folder / MANIFEST).write_text(json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        try:
            manifest = cls(**json.loads((folder / MANIFEST).read_text()))
        except FileNotFoundError as error:
            raise BackupError(f"{folder} is not a backup: it has no {MANIFEST}.") from error
        except (TypeError, ValueError) as error:
            raise BackupError(f"{folder / MANIFEST} cannot be read.") from error
        if manifest.format != FORMAT:
            raise BackupError(f"The backup has format {manifest.format}; this release reads {FORMAT}.")
        return manifest


def object_path(folder: Path, sha256: str) -> Path:
    return folder / OBJECTS / sha256[:2] / sha256[2:4] / sha256


def listed_objects(folder: Path) -> Iterator[tuple[str, int]]:
    """SHA-256 and size of every file of the backup."""
    with (folder / OBJECT_LIST).open() as lines:
        for line in lines:
            sha256, size = line.split()
            yield sha256, int(size)


def verified(folder: Path) -> Manifest:
    """The manifest, after every byte of the backup was found to be what was written."""
    manifest = Manifest.read(folder)
    for name, expected in ((DATABASE, manifest.database_sha256), (OBJECT_LIST, manifest.objects_sha256)):
        path = folder / name
        if not path.is_file() or sha256_of(path) != expected:
            raise BackupError(f"{name} of the backup is missing or was altered.")
    count = 0
    for sha256, size in listed_objects(folder):
        path = object_path(folder, sha256)
        if not path.is_file() or path.stat().st_size != size or sha256_of(path) != sha256:
            raise BackupError(f"The file {sha256} of the backup is missing or was altered.")
        count += 1
    if count != manifest.objects:
        raise BackupError("The backup's list of files is not complete.")
    return manifest

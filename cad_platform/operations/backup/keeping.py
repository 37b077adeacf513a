"""What of a place's backups is whole, and how long they are kept."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

from cad_platform.core.actor import Actor
from cad_platform.operations.backup import watch
from cad_platform.operations.backup.errors import BackupError
from cad_platform.operations.backup.place import DATABASE, FILES, Place


def verify(actor: Actor, place: Place) -> tuple[int, int]:
    """Read every byte of every backup; the number of backups and of stored files.

    Raises
    ------
    BackupError
        Something is missing or is not what was written, or there is no backup.
    """
    with watch.recorded(actor, "verify") as outcome, place.shared():
        outcome.object_id = place.chosen()
        names = place.names()
        for name in names:
            verify_lists(place, name)
        files = 0
        for sha256, size in _named_by_any(place, names):
            verify_object(place, sha256, size)
            files += 1
        outcome.detail |= {"backups": len(names), "objects": files}
    return len(names), files


def verify_backup(place: Place, name: str) -> None:
    """That one backup is whole: every byte of it. Raises `BackupError`."""
    verify_lists(place, name)
    for sha256, size in place.files(name):
        verify_object(place, sha256, size)


def verify_lists(place: Place, name: str) -> None:
    """That a backup's manifest, database and list of files are those that were written. Raises `BackupError`."""
    manifest = place.manifest(name)
    _verify_part(place, name, DATABASE, manifest.database_sha256)
    _verify_part(place, name, FILES, manifest.files_sha256)


def _verify_part(place: Place, name: str, part: str, expected: str) -> None:
    digest = hashlib.sha256()
    for block in place.content(name, part):
        digest.update(block)
    if digest.hexdigest() != expected:
        raise BackupError(f"{part} of the backup {name} was altered.")


def verify_object(place: Place, sha256: str, size: int) -> None:
    """That a stored file is in the place as it was written. Raises `BackupError`."""
    found = sum(len(block) for block in place.object(sha256))
    if found != size:
        raise BackupError(f"The file {sha256} of the backup has {found} bytes instead of {size}.")


def keep_newest(place: Place, count: int) -> tuple[int, int]:
    """Remove all backups but the `count` newest, then the stored files that none of these names; how many of each.

    Nothing is removed before every list of files that is kept was read to its end.
    """
    if count < 1:
        raise BackupError("At least one backup is kept.")
    with place.exclusively():
        place.discard_unfinished()
        names = place.names()
        kept, gone = names[-count:], names[:-count]
        for name in kept:
            _verify_part(place, name, FILES, place.manifest(name).files_sha256)
        for name in gone:
            place.remove_backup(name)
        return len(gone), _remove_unnamed(place, kept)


def _remove_unnamed(place: Place, kept: list[str]) -> int:
    """Folder by folder, so that only one folder's names are in memory."""
    removed = 0
    by_folder = groupby(_named_by_any(place, kept), key=lambda file: file[0][:4])
    folder, files = next(by_folder, ("", iter(())))
    for bucket in place.buckets():
        here = bucket.parent.name + bucket.name
        while folder and folder < here:
            folder, files = next(by_folder, ("", iter(())))
        named = {place.key.name_of(sha256) for sha256, _size in files} if folder == here else set()
        for path in list(bucket.iterdir()):
            if path.name not in named:
                path.unlink()
                removed += 1
    return removed


def _named_by_any(place: Place, names: list[str]) -> Iterator[tuple[str, int]]:
    """Every stored file that one of the backups names, once, in the order of the hashes."""
    merged = heapq.merge(*(place.files(name) for name in names))
    for _sha256, same in groupby(merged, key=itemgetter(0)):
        yield next(same)

"""What was computed from stored files and can be computed again: decoded frames, thumbnails.

Entries are named by the hash of the file they derive from, so that they never go stale; those unused for the
longest time go when the folder outgrows its bound. Several processes may share one folder.
"""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.utils.translation import gettext as _

from cad_platform.core.errors import StorageFull

#: When over its bound the cache shrinks to this share, so that it does not shrink at every write.
_SHRUNK = 0.8
_STRIPES = 256
_MAKING = ".making-"
#: A half-made entry this old belongs to a process that died.
_ABANDONED_SECONDS = 3600


class DerivedCache:
    """A folder of derived files bounded in bytes. `folder` is made when first needed."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self.max_bytes = max_bytes

    def file(self, name: str, make: Callable[[Path], None]) -> Path:
        """The entry called `name`, made once by `make(path)` however many ask for it at the same time.

        `make` writes the path that it is given; what it raises reaches every caller that waits for it to try.
        Open the answer at once: a later eviction unlinks it, which an open descriptor survives.
        """
        path = self.folder / name
        if self._touch(path):
            return path
        with self._only_maker(name):
            if self._touch(path):
                return path
            descriptor, temporary = tempfile.mkstemp(prefix=_MAKING, dir=self.folder)
            os.close(descriptor)
            try:
                make(Path(temporary))
                Path(temporary).replace(path)
            except BaseException as error:
                Path(temporary).unlink(missing_ok=True)
                if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
                    raise StorageFull(_("The disk is full: the image cannot be shown.")) from error
                raise
        self.shrink(keep=path)
        return path

    def shrink(self, keep: Path | None = None) -> None:
        """Unlink the entries that were used longest ago until the folder is within its bound."""
        entries = []
        for entry in self.folder.iterdir():
            try:
                status = entry.stat()
            except FileNotFoundError:
                continue
            if entry.name.startswith(_MAKING) and status.st_mtime < time.time() - _ABANDONED_SECONDS:
                entry.unlink(missing_ok=True)
            elif not entry.name.startswith("."):
                entries.append((status.st_mtime, status.st_size, entry))
        total = sum(size for _used, size, _entry in entries)
        if total <= self.max_bytes:
            return
        for _used, size, entry in sorted(entries, key=lambda item: item[0]):
            if total <= self.max_bytes * _SHRUNK:
                return
            if entry != keep:
                entry.unlink(missing_ok=True)
                total -= size

    def _touch(self, path: Path) -> bool:
        """Whether the entry is there; marks it as used now."""
        try:
            os.utime(path)
        except FileNotFoundError:
            return False
        return True

    @contextmanager
    def _only_maker(self, name: str) -> Iterator[None]:
        """Locks of the file system hold between threads and between processes, and end with their holder."""
        locks = self.folder / ".locks"
        locks.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (locks / f"{hash_stripe(name):02x}").open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def hash_stripe(name: str) -> int:
    """Which of the few lock files a name shares: the same in every process, unlike `hash`."""
    return zlib.crc32(name.encode()) % _STRIPES

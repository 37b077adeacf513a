"""What was computed from stored files and can be computed again: decoded frames, thumbnails.

Entries are named by the hash of the file they derive from, so that they never go stale; those unused for the
longest time go when the folder outgrows its bound. Several processes may share one folder.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import tempfile
import time
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.utils.translation import gettext as _

from cad_platform.core.errors import StorageFull
from cad_platform.studies.bounded_folder import BoundedFolder

_STRIPES = 256
#: A file's hash, wherever in an entry's name.
_HASH = re.compile(r"[0-9a-f]{64}")
_MAKINGS = ".making"
#: A half-made entry this old belongs to a process that died.
_ABANDONED_SECONDS = 3600


class DerivedCache:
    """A folder of derived files bounded in bytes. `folder` is made when first needed."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self._bounded = BoundedFolder(folder, max_bytes)

    def file(self, name: str, make: Callable[[Path], None]) -> Path:
        """The entry called `name`, made once by `make(path)` however many ask for it at the same time.

        `make` writes the path that it is given; what it raises reaches every caller that waits for it to try.
        Open the answer at once: a later eviction unlinks it, which an open descriptor survives. Adding an entry costs
        the same however many there are.

        Raises
        ------
        StorageFull
            The disk has no room for the entry.
        """
        path = self.path_of(name)
        if self._touch(path):
            return path
        with self._only_maker(name):
            if self._touch(path):
                return path
            makings = self.folder / _MAKINGS
            makings.mkdir(exist_ok=True, mode=0o700)
            self._discard_abandoned(makings)
            descriptor, temporary = tempfile.mkstemp(dir=makings)
            os.close(descriptor)
            try:
                make(Path(temporary))
                path.parent.mkdir(exist_ok=True, mode=0o700)
                self._bounded.place(Path(temporary), path)
            except BaseException as error:
                Path(temporary).unlink(missing_ok=True)
                if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
                    raise StorageFull(_("The disk is full: the image cannot be shown.")) from error
                raise
        return path

    def path_of(self, name: str) -> Path:
        """Where the entry lies, if it is there: in one of 256 folders."""
        return self.folder / f"{stripe_of(name):02x}" / name

    def forget(self, names: Collection[str]) -> int:
        """Remove every entry whose name has one of these in it; how many there were."""
        removed = 0
        wanted = frozenset(names)
        for path in self.folder.glob("??/*") if wanted else ():
            if wanted.intersection(_HASH.findall(path.name)):
                path.unlink(missing_ok=True)
                removed += 1
        return removed

    def counted_bytes(self) -> int:
        """Bytes of all entries, as counted while they were added."""
        return self._bounded.total()

    def _discard_abandoned(self, makings: Path) -> None:
        """Half-made entries of processes that died. The folder holds only what is being made now."""
        for left in makings.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if left.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
                    left.unlink()

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
        with (locks / f"{stripe_of(name):02x}").open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def stripe_of(name: str) -> int:
    """Which of the few folders and lock files a name shares: the same in every process, unlike `hash`."""
    return zlib.crc32(name.encode()) % _STRIPES

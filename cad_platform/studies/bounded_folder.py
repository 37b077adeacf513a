"""A folder of files that may go: bounded in bytes, shared by several processes, never listed to add one file.

The bytes in the folder are a number in the file `.bytes`, changed under a lock. Only when it passes the bound are the
files looked at: those unused for the longest time go, until a fifth is free. What a crash leaves uncounted or counted
twice is put right at that moment.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

#: Over its bound the folder shrinks to this share, so that it does not shrink at every file.
_SHRUNK = 0.8
_TOTAL, _SHRINKING = ".bytes", ".shrinking"


def _unlink(path: Path) -> bool:
    path.unlink(missing_ok=True)
    return True


class BoundedFolder:
    """Accounts for a folder and its sub-folders.

    Parameters
    ----------
    folder
        Made when first needed. Names that begin with a dot and files that end in `.part` do not count.
    max_bytes
        The bound. It may be exceeded by what is being added at one moment.
    remove
        Unlinks a file, or returns False where it is in use and has to stay.
    """

    def __init__(self, folder: Path, max_bytes: int, remove: Callable[[Path], bool] = _unlink) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self._remove = remove

    def place(self, finished: Path, target: Path) -> None:
        """Rename a finished file to `target`, in the folder, and make room where there is none."""
        # Counted first: a crash in between makes the folder shrink early instead of grow unseen.
        total = self._add(finished.stat().st_size)
        finished.replace(target)
        if total > self.max_bytes:
            self._make_room(target)

    def total(self) -> int:
        """Bytes counted."""
        return self._add(0)

    def _add(self, size: int) -> int:
        """Count `size` bytes more; the sum. A folder that was never counted is looked at once."""
        with self._locked_total() as handle:
            counted = os.pread(handle, 32, 0)
            total = int(counted) if counted.strip().isdigit() else self._sum_of_files()
            total = max(0, total + size)
            # Always as long, so that no moment of the writing shows half a number.
            os.pwrite(handle, b"%020d" % total, 0)
        return total

    def _make_room(self, keep: Path) -> None:
        """Unlink what was used longest ago. If another process is doing so, that is enough."""
        with (self.folder / _SHRINKING).open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            counted = self.total()
            files = sorted(self._files())
            total = sum(size for _used, size, _path in files)
            for _used, size, path in files:
                if total <= self.max_bytes * _SHRUNK:
                    break
                if path != keep and self._remove(path):
                    total -= size
            # A difference, so that what others added meanwhile stays counted, and a crash above leaves a number
            # that has the next one look again.
            self._add(total - counted)

    def _sum_of_files(self) -> int:
        return sum(size for _used, size, _path in self._files())

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        """(last use in seconds since the epoch, bytes, path) of every file that counts."""
        for folder, folders, names in os.walk(self.folder):
            folders[:] = [each for each in folders if not each.startswith(".")]
            for name in names:
                if name.startswith(".") or name.endswith(".part"):
                    continue
                path = Path(folder, name)
                try:
                    status = path.stat()
                except FileNotFoundError:
                    continue  # removed by another process since the folder was listed
                yield status.st_mtime, status.st_size, path

    @contextmanager
    def _locked_total(self) -> Iterator[int]:
        """A descriptor of the file with the number; nobody else changes it meanwhile."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        handle = os.open(self.folder / _TOTAL, os.O_RDWR | os.O_CREAT, 0o640)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield handle
        finally:
            os.close(handle)

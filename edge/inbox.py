"""The watched folder: what a machine exports there is taken in, and goes from the folder once it is kept."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from edge.keeping import sync_folder
from edge.taking import Intake, Later, NotTaken

logger = logging.getLogger(__name__)

#: What could not be taken lies here, each file with a sentence beside it.
ASIDE = "not-taken"
_CHUNK = 1 << 20


class Inbox:
    """A folder and all below it, but names that begin with a dot. A file is looked at when it has not changed between
    two looks: whoever writes it may still be at it."""

    def __init__(self, folder: Path, intake: Intake) -> None:
        self.folder, self._intake = folder, intake
        self._seen: dict[Path, tuple[int, int]] = {}
        (folder / ASIDE).mkdir(mode=0o700, parents=True, exist_ok=True)

    def look(self) -> int:
        """Take what is complete; how many files that were."""
        there = {path: (state.st_size, state.st_mtime_ns) for path, state in self._files()}
        settled = [path for path, state in there.items() if self._seen.get(path) == state]
        self._seen = there
        taken = 0
        for path in settled:
            try:
                taken += self._take(path)
            except Later as reason:
                logger.warning("inbox: %s", reason)
                break
        return taken

    def _files(self) -> list[tuple[Path, os.stat_result]]:
        found = []
        for path in sorted(self.folder.rglob("*")):
            parts = path.relative_to(self.folder).parts
            if parts[0] == ASIDE or any(part.startswith(".") for part in parts) or path.is_symlink():
                continue
            try:
                if path.is_file():
                    found.append((path, path.stat()))
            except OSError:
                continue  # it has gone meanwhile
        return found

    def _take(self, path: Path) -> bool:
        try:
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                self._intake.take(iter(lambda: file.read(_CHUNK), b""), size)
        except FileNotFoundError:
            return False
        except PermissionError:
            logger.warning("inbox: a file may not be read by this box's user")
            return False
        except NotTaken as reason:
            self._put_aside(path, str(reason))
            return False
        path.unlink()
        return True

    def _put_aside(self, path: Path, reason: str) -> None:
        place, number = self.folder / ASIDE / path.name, 1
        while place.exists():
            place, number = self.folder / ASIDE / f"{number}-{path.name}", number + 1
        place.with_name(f"{place.name}.txt").write_text(f"{reason}\n", encoding="utf-8")
        path.rename(place)
        sync_folder(place.parent)
        # A machine's file names may bear a patient's name: the log has none.
        logger.info("inbox: a file was put aside: %s", reason)

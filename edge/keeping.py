"""What a box has: files by their content, and one row a file that says what has become of it.

A file is durable before its row is, and its row before anybody is told: whatever is killed in between leaves a file
that is taken in again, never a row without a file. SQLite writes through to the disk at each commit.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: The hospital has it, whatever it made of it.
DELIVERED = ("stored", "duplicate", "kept_aside")
#: The hospital will not take it as it is: a person decides.
DECLINED = ("refused", "quarantined")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS file (
    sha256 TEXT PRIMARY KEY,
    bytes INTEGER NOT NULL,
    sop_instance_uid TEXT NOT NULL,
    study_instance_uid TEXT NOT NULL,
    modality TEXT NOT NULL,
    is_image INTEGER NOT NULL,
    patient_id TEXT NOT NULL,
    accession_number TEXT NOT NULL,
    received_at REAL NOT NULL,
    outcome TEXT NOT NULL DEFAULT 'waiting',
    reason TEXT NOT NULL DEFAULT '',
    settled_at REAL,
    removed_at REAL
) STRICT;
CREATE INDEX IF NOT EXISTS file_by_study ON file (study_instance_uid, received_at);
CREATE INDEX IF NOT EXISTS file_waiting ON file (study_instance_uid) WHERE outcome = 'waiting';
CREATE TABLE IF NOT EXISTS result (
    study_instance_uid TEXT NOT NULL,
    content TEXT NOT NULL,
    model TEXT NOT NULL,
    version TEXT NOT NULL,
    made_at REAL NOT NULL,
    seconds REAL NOT NULL,
    answer TEXT,
    error TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (study_instance_uid, content, model, version)
) STRICT;
"""


@dataclass(frozen=True)
class Kept:
    """A row of `file`."""

    sha256: str
    bytes: int
    sop_instance_uid: str
    study_instance_uid: str
    modality: str
    is_image: bool
    patient_id: str
    accession_number: str
    received_at: float
    outcome: str = "waiting"
    reason: str = ""
    settled_at: float | None = None
    removed_at: float | None = None


@dataclass(frozen=True)
class Result:
    """What a version said of the images that a study had then. `answer` is an `AnalysisResult` as JSON; where there is
    none, `error` says why."""

    study_instance_uid: str
    content: str
    model: str
    version: str
    made_at: float
    seconds: float
    answer: dict[str, Any] | None
    error: str = ""


class Box:
    """The folder of a box. Safe from several threads; one process at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("files", "arriving", "pictures"):
            (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._connected() as database:
            database.executescript(_SCHEMA)

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.folder / "box.sqlite3", timeout=30)) as database:
            database.row_factory = sqlite3.Row
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            with database:
                yield database

    def path(self, sha256: str) -> Path:
        """Where a file lies that is kept."""
        return self.folder / "files" / sha256[:2] / f"{sha256}.dcm"

    def pictures(self, content: str) -> Path:
        """Where the masks and heat maps of a result lie."""
        return self.folder / "pictures" / content

    # --- files ---------------------------------------------------------------------------------------------

    def put(self, arriving: Path, file: Kept) -> bool:
        """Keep a file, which lies in `arriving` and is on the disk already. False where it was there before."""
        if self.file(file.sha256) is not None:
            arriving.unlink()
            return False
        place = self.path(file.sha256)
        place.parent.mkdir(mode=0o700, exist_ok=True)
        arriving.rename(place)
        for folder in (place.parent, place.parent.parent):
            sync_folder(folder)
        values = {**vars(file), "is_image": int(file.is_image)}
        names = ", ".join(values)
        marks = ", ".join(f":{name}" for name in values)
        with self._connected() as database:
            added = database.execute(f"INSERT OR IGNORE INTO file ({names}) VALUES ({marks})", values)  # noqa: S608
        return added.rowcount == 1

    def file(self, sha256: str) -> Kept | None:
        found = self._files("WHERE sha256 = ?", sha256)
        return found[0] if found else None

    def files_of(self, study: str) -> list[Kept]:
        """In the order in which they came."""
        return self._files("WHERE study_instance_uid = ? ORDER BY received_at, sha256", study)

    def waiting(self) -> list[Kept]:
        """What the hospital has not been given, the oldest study first."""
        return self._files("WHERE outcome = 'waiting' ORDER BY received_at, sha256")

    def _files(self, rest: str, *values: object) -> list[Kept]:
        with self._connected() as database:
            rows = database.execute(f"SELECT * FROM file {rest}", values).fetchall()  # noqa: S608
        return [Kept(**{**dict(row), "is_image": bool(row["is_image"])}) for row in rows]

    def settle(self, outcomes: Sequence[tuple[str, str, str]]) -> None:
        """Note what the hospital said: (sha256, outcome, reason) of each file, all or none."""
        now = time.time()
        with self._connected() as database:
            database.executemany(
                "UPDATE file SET outcome = ?, reason = ?, settled_at = ? WHERE sha256 = ?",
                [(outcome, reason, now, sha256) for sha256, outcome, reason in outcomes],
            )

    def offer_again(self) -> int:
        """What the hospital declined waits again; how many files that are."""
        with self._connected() as database:
            return database.execute(
                "UPDATE file SET outcome = 'waiting', reason = '', settled_at = NULL "
                "WHERE outcome IN (?, ?) AND removed_at IS NULL",
                DECLINED,
            ).rowcount

    def studies(self, most: int) -> list[str]:
        """The latest study first."""
        with self._connected() as database:
            rows = database.execute(
                "SELECT study_instance_uid FROM file GROUP BY study_instance_uid "
                "ORDER BY max(received_at) DESC LIMIT ?",
                (most,),
            )
            return [row[0] for row in rows]

    def counts(self) -> dict[str, int]:
        """Files by outcome."""
        with self._connected() as database:
            return dict(database.execute("SELECT outcome, count(*) FROM file GROUP BY outcome").fetchall())

    def remove_delivered(self, before: float) -> int:
        """Delete the bytes of files that the hospital had before that time; rows and results stay."""
        done = self._files(
            "WHERE removed_at IS NULL AND outcome IN (?, ?, ?) AND settled_at < ? ORDER BY settled_at",
            *DELIVERED,
            before,
        )
        for file in done:
            # The row first: a row that says too early that a file is gone loses nothing.
            with self._connected() as database:
                database.execute(
                    "UPDATE file SET removed_at = ? WHERE sha256 = ?", (time.time(), file.sha256)
                )
            self.path(file.sha256).unlink(missing_ok=True)
        for study in {file.study_instance_uid for file in done}:
            if all(file.removed_at for file in self.files_of(study)):
                for result in self.results_of(study):
                    shutil.rmtree(self.pictures(result.content), ignore_errors=True)
        return len(done)

    def without_row(self) -> list[Path]:
        """Files that were on the disk when the process was killed, before their row was; and what was being removed."""
        with self._connected() as database:
            known = {row[0] for row in database.execute("SELECT sha256 FROM file WHERE removed_at IS NULL")}
        return [path for path in sorted((self.folder / "files").glob("*/*.dcm")) if path.stem not in known]

    # --- results -------------------------------------------------------------------------------------------

    def keep(self, result: Result) -> None:
        """Write a result, or the reason why there is none."""
        values = {**vars(result), "answer": None if result.answer is None else json.dumps(result.answer)}
        marks = ", ".join(f":{name}" for name in values)
        with self._connected() as database:
            database.execute(f"INSERT OR REPLACE INTO result ({', '.join(values)}) VALUES ({marks})", values)  # noqa: S608

    def results_of(self, study: str) -> list[Result]:
        """The latest first."""
        with self._connected() as database:
            rows = database.execute(
                "SELECT * FROM result WHERE study_instance_uid = ? ORDER BY made_at DESC", (study,)
            ).fetchall()
        return [
            Result(**{**dict(row), "answer": None if row["answer"] is None else json.loads(row["answer"])})
            for row in rows
        ]


def sync_folder(folder: Path) -> None:
    """Until then a crash of the machine may lose a file's name."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

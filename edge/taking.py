"""Taking a file in: bytes to the disk while they are hashed, the header read in a child process, then kept."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from edge.keeping import Box, Kept, sync_folder
from edge.settings import Settings
from imaging import sandbox
from imaging.description import DicomHeader
from imaging.digest import sha256_of
from imaging.errors import DecoderUnavailable, ImagingError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class NotTaken(Exception):
    """A file that is none for this box, whoever sends it again; a sentence without patient data."""


class Later(Exception):
    """The box cannot take it now: its disk is full, or its decoders are away."""


@dataclass(frozen=True)
class Taken:
    """`is_new` is false where the same bytes came before."""

    file: Kept
    is_new: bool


class Intake:
    """The door of a box."""

    def __init__(self, box: Box, settings: Settings) -> None:
        self._box, self._settings = box, settings

    def free_bytes(self) -> int:
        return shutil.disk_usage(self._box.folder).free

    def has_room(self, size: int = 0) -> bool:
        """Whether `size` more bytes leave the reserve untouched."""
        return self.free_bytes() - size >= self._settings.reserve_bytes

    def recover(self) -> int:
        """After a crash: forget half a file, keep a whole one whose row was not written. How many those were."""
        for half in (self._box.folder / "arriving").iterdir():
            half.unlink()
        found = self._box.without_row()
        for path in found:
            if self._box.file(path.stem) is not None:  # it was being removed
                path.unlink()
            elif sha256_of(path) != path.stem:
                path.unlink()  # whoever sent it was told nothing
            else:
                self._box.put(path, self._described(path, path.stem, path.stat().st_size))
        return len(found)

    def take(self, chunks: Iterable[bytes], expected: int = 0) -> Taken:
        """Keep one DICOM file; durable on return.

        Parameters
        ----------
        expected
            How many bytes there will be, as far as that is known.

        Raises
        ------
        NotTaken
            It is no DICOM file, says not which study and object it is, or is too large.
        Later
            There is no room.
        """
        if not self.has_room(expected):
            raise Later("The disk of this box is full. The image was not taken; it stays where it is.")
        handle, name = tempfile.mkstemp(dir=self._box.folder / "arriving")
        arriving = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                sha256, size = self._written(chunks, file)
                file.flush()
                os.fsync(file.fileno())
            sync_folder(arriving.parent)
            known = self._box.file(sha256)
            kept = known or self._described(arriving, sha256, size)
            return Taken(kept, self._box.put(arriving, kept))
        except OSError as error:
            if error.errno in _FULL:
                raise Later(
                    "The disk of this box is full. The image was not taken; it stays where it is."
                ) from error
            raise
        finally:
            arriving.unlink(missing_ok=True)

    def _written(self, chunks: Iterable[bytes], file: IO[bytes]) -> tuple[str, int]:
        digest, size = hashlib.sha256(), 0
        for chunk in chunks:
            size += len(chunk)
            if size > self._settings.largest_bytes:
                raise NotTaken(
                    f"An image of more than {self._settings.largest_bytes >> 20} MB is not taken here."
                )
            digest.update(chunk)
            file.write(chunk)
        return digest.hexdigest(), size

    def _described(self, path: Path, sha256: str, size: int) -> Kept:
        try:
            found = sandbox.describe_object(path)
        except DecoderUnavailable as error:
            raise Later(error.reason) from error
        except ImagingError as error:
            raise NotTaken(error.reason) from error
        header = found.header
        if header is None or found.media_type != "application/dicom":
            raise NotTaken("This is no DICOM file.")
        if not header.sop_instance_uid or not header.study_instance_uid:
            raise NotTaken("The file does not say which object of which study it is.")
        return _row(header, sha256, size, found.has_matrix)


def _row(header: DicomHeader, sha256: str, size: int, is_image: bool) -> Kept:
    assert header.sop_instance_uid and header.study_instance_uid
    return Kept(
        sha256=sha256,
        bytes=size,
        sop_instance_uid=header.sop_instance_uid,
        study_instance_uid=header.study_instance_uid,
        modality=header.modality or "",
        is_image=is_image,
        patient_id=header.patient_id or "",
        accession_number=header.accession_number or "",
        received_at=time.time(),
    )

"""One way in for every file: what is it (`describe`), and what does it show (`read`).

Both run native decoders in this process. A server, a worker and a command line go through
`imaging.sandbox`, which has the same functions and survives what the decoders do not.
"""

from __future__ import annotations

from pathlib import Path

from imaging import formats
from imaging.description import Description
from imaging.errors import DamagedFile, ImagingError, NotAnImage, TooLarge
from imaging.pixels import Pixels

__all__ = ["Description", "Pixels", "describe", "read"]


def describe(path: str | Path, *, prove: bool = True) -> Description:
    """Say what the file is.

    With `prove` the pixels are decoded too: the first frame completely, and every other frame's bytes are
    counted; of a slide the smallest level and one full-size tile. Raises an `ImagingError` whose `reason` is
    a sentence for the person who sent the file; nothing else.
    """
    with only_imaging_errors():
        found = formats.sniff(Path(path))
        if found == "dicom":
            from imaging import dicom

            return dicom.describe(Path(path), prove=prove)
        if found == "tiff":
            from imaging import slides

            if slides.is_slide(Path(path)):
                return slides.describe(Path(path), prove=prove)
        from imaging import plain

        return plain.describe(Path(path), found, prove=prove)


def read(path: str | Path, frame: int = 0) -> Pixels:
    """Decode one frame (of a slide: the whole section, at most 4096 pixels along its longer side).

    Raises an `ImagingError`; `NoSuchFrame` for a frame that the file does not have.
    """
    with only_imaging_errors():
        found = formats.sniff(Path(path))
        if found == "dicom":
            from imaging import dicom

            return dicom.read(Path(path), frame)
        if found == "tiff":
            from imaging import slides

            if slides.is_slide(Path(path)):
                return slides.read(Path(path), frame)
        from imaging import plain

        return plain.read(Path(path), found, frame)


class only_imaging_errors:
    """The libraries below raise some forty types on malformed input. They end here."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, ImagingError):
            return
        if isinstance(error, MemoryError):
            raise TooLarge("Decoding this file needs more memory than one file may have.") from error
        if isinstance(error, RecursionError):
            raise DamagedFile("The file's structure is nested too deeply to be genuine.") from error
        if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
            raise NotAnImage("The file cannot be opened.", code="not_found") from error
        if isinstance(error, Exception):
            raise DamagedFile("The file is damaged: its content contradicts itself.") from error

"""One way in for every file: what is it (`describe`), and what does it show (`read`).

Both run native decoders in this process. A server, a worker and a command line go through
`imaging.sandbox`, which has the same functions and survives what the decoders do not.
"""

from __future__ import annotations

from pathlib import Path

from imaging import dicom, formats, plain, slides
from imaging.description import Description
from imaging.errors import only_imaging_errors
from imaging.pixels import Pixels


def describe(path: str | Path, *, prove: bool = True, charset: str | None = None) -> Description:
    """Say what the file is.

    Parameters
    ----------
    path
        A file of any name: the format is told by its first bytes.
    prove
        Decode pixels too: the first frame completely, and every other frame's bytes are counted; of a slide the
        smallest level and a part in the middle of every level.
    charset
        The character set of the site's devices, as a DICOM defined term, for headers that name none.

    Raises
    ------
    ImagingError
        Its `reason` is a sentence for the person who sent the file. Nothing else is raised.
    """
    with only_imaging_errors():
        found = formats.sniff(Path(path))
        if found == "dicom":
            return dicom.describe(Path(path), prove=prove, charset=charset)
        if found == "tiff" and slides.is_slide(Path(path)):
            return slides.describe(Path(path), prove=prove)
        return plain.describe(Path(path), found, prove=prove)


def read(path: str | Path, frame: int = 0) -> Pixels:
    """Decode one frame.

    Parameters
    ----------
    path
        A file of any name.
    frame
        From 0. A slide is one frame: the whole section, at most 4096 pixels along its longer side.

    Returns
    -------
    Pixels
        `values` is H×W uint8, uint16 or int16 (MONOCHROME1 and MONOCHROME2, as stored) or H×W×3 uint8 (RGB).

    Raises
    ------
    NoSuchFrame
        The file does not have this frame.
    ImagingError
        Whatever else is wrong with it. Nothing else is raised.
    """
    with only_imaging_errors():
        found = formats.sniff(Path(path))
        if found == "dicom":
            return dicom.read(Path(path), frame)
        if found == "tiff" and slides.is_slide(Path(path)):
            return slides.read(Path(path), frame)
        return plain.read(Path(path), found, frame)

"""That the first frame of a file decodes, and what a look at it tells: what a post is answered with.

Compressed pixel data are decoded. Native ones are numbers as they stand: that they are all there has been counted
(`dicom_frames.check_lengths`) and each of them is a value, so decoding could find nothing more; of a film of 17 MB only
the rows and columns that the look needs are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import UltrasoundImageStorage, UltrasoundMultiFrameImageStorage

from imaging import dicom_grayscale, dicom_pixels, stored_values
from imaging.chest_wall import Border, chest_wall, chest_wall_of, sampled_every
from imaging.description import DicomHeader
from imaging.dicom_file import DicomFile
from imaging.dicom_frames import PixelFormat
from imaging.grayscale import display_of

#: Their pictures end where the probe does: no border of theirs is a chest wall.
_WITHOUT_CHEST_WALL = {
    str(UltrasoundImageStorage),
    str(UltrasoundMultiFrameImageStorage),
    "1.2.840.10008.5.1.4.1.1.6",  # the same two, retired
    "1.2.840.10008.5.1.4.1.1.3",
}


@dataclass(frozen=True)
class FirstLook:
    """What the first frame tells beside that it decodes: a remark on its window, and where it cuts the breast."""

    remark: str | None = None
    chest_wall: Border | None = None


def prove(file: DicomFile, form: PixelFormat, header: DicomHeader) -> FirstLook:
    """Decode the first frame, or see that there is nothing to decode.

    Parameters
    ----------
    file, form
        The open file and its Image Pixel module, whose lengths have been checked.
    header
        What the file is: raw exposures and ultrasound have no chest wall to look for.

    Raises
    ------
    DamagedFile, UnsupportedEncoding, TooLarge
        As `dicom_pixels.decode`.
    """
    is_grey = dicom_pixels.photometric_after_reading(file, form) != "RGB"
    # Who sorts a study uses it for images of a breast only.
    has_outline = (
        is_grey
        and form.frames == 1
        and header.presentation_intent != "FOR PROCESSING"
        and header.sop_class_uid not in _WITHOUT_CHEST_WALL
    )
    if is_grey:
        dicom_grayscale.check_frames(file.header, form)
    if _is_plain(file, form):
        look = _sampled(file, form, has_outline=has_outline)
        if look is not None:
            return look
    first = dicom_pixels.decode(file, form, 0)
    remark = first.shown.remark if first.shown is not None else None
    return FirstLook(remark, chest_wall_of(first) if has_outline else None)


def _is_plain(file: DicomFile, form: PixelFormat) -> bool:
    """Whether the pixel data are native grey values of whole bytes, each where it is expected."""
    return (
        not file.transfer_syntax.is_encapsulated
        and form.photometric in ("MONOCHROME1", "MONOCHROME2")
        and form.bits_allocated in (8, 16)
        and (file.transfer_syntax.is_little_endian or form.bits_allocated == 16)
    )


def _sampled(file: DicomFile, form: PixelFormat, *, has_outline: bool) -> FirstLook | None:
    """The look at native grey values; None where a part of them does not tell what is said of the whole."""
    said = dicom_grayscale.grayscale_of(file.header, form, 0)
    if not has_outline and not said.windows:
        return FirstLook()
    sample = _part_of(file, form, sampled_every(form.rows, form.columns))
    shown = display_of(said, sample)
    # A window that shows something of a part shows something of the whole, and not the other way round.
    if shown.remark is not None or said.is_padding(sample).all():
        return None
    border = chest_wall(shown.greys.of(sample), bright_is_dense=True) if has_outline else None
    return FirstLook(chest_wall=border)


def _part_of(file: DicomFile, form: PixelFormat, every: int) -> NDArray[Any]:
    """Of the first frame of plain pixel data the first row and column and each that is `every` further on; values as
    `dicom_frames.decode_frame` gives them."""
    width = form.bits_allocated // 8
    length = form.columns * width
    rows = [file.bytes_at(file.pixel_offset + row * length, length) for row in range(0, form.rows, every)]
    order = "<" if file.transfer_syntax.is_little_endian else ">"
    values = np.frombuffer(b"".join(rows), f"{order}u{width}").reshape(-1, form.columns)[:, ::every]
    return stored_values.native(
        values,
        allocated=form.bits_allocated,
        stored=form.bits_stored,
        high=form.high_bit,
        signed=form.signed,
    )

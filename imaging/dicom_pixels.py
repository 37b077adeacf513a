"""From a decoded DICOM frame to `Pixels`: greys with their table, palettes and colour as RGB."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels.processing import apply_color_lut

from imaging import dicom_frames, dicom_grayscale
from imaging.description import Photometric
from imaging.dicom_file import DicomFile
from imaging.dicom_frames import PixelFormat
from imaging.dicom_spacing import scale_of
from imaging.errors import DamagedFile, UnsupportedEncoding
from imaging.grayscale import Grayscale
from imaging.pixels import PixelArray, Pixels, grey_pixels

_MAX_SCANNED_BYTES = 64 * 1024 * 1024
"""Of 32-bit frames that are read to find one scale for all of them."""


def decode(file: DicomFile, form: PixelFormat, frame: int) -> Pixels:
    """One frame with the table that shows it, and its spacing. The POST's proof and every viewer come by here.

    Parameters
    ----------
    file, form
        The open file and its checked Image Pixel module (PS3.3 C.7.6.3).
    frame
        From 0.

    Returns
    -------
    Pixels
        Gray: H×W uint8, uint16 or int16 as stored. Colour, palettes and YBR: H×W×3 uint8 RGB.

    Raises
    ------
    NoSuchFrame, DamagedFile, UnsupportedEncoding, TooLarge
    """
    values: Any
    values, decoded = dicom_frames.decode_frame(file, form, frame)
    if values.shape[:2] != (form.rows, form.columns):
        raise DamagedFile("The pixel data decode to another size than the header says.")
    spacing = scale_of(file.header).spacing_um
    if photometric_after_reading(file, form) != "RGB":
        said = dicom_grayscale.grayscale_of(file.header, form, frame)
        values, said = _to_16_bit(file, form, values, said)
        bits = min(16, form.bits_stored)
        return grey_pixels(values, bits, said, spacing=spacing, frame=frame, frames=form.frames)
    if form.photometric == "PALETTE COLOR":
        values = _palette(file, values)
    elif decoded != "RGB":
        raise DamagedFile("The pixel data decode to another colour model than the header says.")
    else:
        values = _to_8_bit(values, form.bits_stored)
    if values.shape != (form.rows, form.columns, 3):
        raise DamagedFile("The pixel data decode to another size than the header says.")
    return Pixels(
        values=np.ascontiguousarray(values),
        photometric="RGB",
        bits_stored=8,
        pixel_spacing_um=spacing,
        frame=frame,
        frames=form.frames,
    )


def photometric_after_reading(file: DicomFile, form: PixelFormat) -> Photometric:
    """Palettes and YBR become RGB; grey is MONOCHROME1 where the lowest value is white."""
    if form.photometric not in ("MONOCHROME1", "MONOCHROME2"):
        return "RGB"
    return "MONOCHROME1" if dicom_grayscale.is_inverted(file.header, form) else "MONOCHROME2"


def _to_8_bit(values: NDArray[Any], bits_stored: int) -> NDArray[np.uint8]:
    if values.dtype.itemsize > 1:
        values = values >> max(0, bits_stored - 8)
    return values.astype(np.uint8)


def _to_16_bit(
    file: DicomFile, form: PixelFormat, values: NDArray[Any], said: Grayscale
) -> tuple[PixelArray, Grayscale]:
    """Values of more than 16 bits brought into 16: as they are where every frame's fit, else all by one scale."""
    if values.dtype.itemsize <= 2:
        return values, said
    low, high = _range_of_all(file, form, said) if form.bits_stored > 16 else (said.lowest, said.highest)
    if low >= 0 and high < 2**16:
        return values.astype(np.uint16), replace(said, lowest=0, highest=2**16 - 1)
    if low >= -(2**15) and high < 2**15:
        return values.astype(np.int16), replace(said, lowest=-(2**15), highest=2**15 - 1)
    if said.modality is not None:
        raise UnsupportedEncoding("A modality table for values of more than 16 bits is not read here.")
    # 0 is kept for padding.
    step = (high - low) / 65_534
    scaled = np.rint((values.astype(np.float64) - low) / step) + 1
    scaled[said.is_padding(values)] = 0
    return np.clip(scaled, 0, 65_535).astype(np.uint16), replace(
        said,
        lowest=0,
        highest=65_535,
        slope=said.slope * step,
        intercept=said.intercept + said.slope * (low - step),
        padding=None if said.padding is None else (0, 0),
    )


def _range_of_all(file: DicomFile, form: PixelFormat, said: Grayscale) -> tuple[int, int]:
    """The lowest and the highest stored value of every frame, padding left out."""
    if form.frames > 1 and form.frame_bytes * form.frames > _MAX_SCANNED_BYTES:
        raise UnsupportedEncoding(
            "So many frames of 32-bit values are not read here: they need one common scale."
        )
    lowest, highest = 2**32, -(2**32)
    for frame in range(form.frames):
        values, _ = dicom_frames.decode_frame(file, form, frame)
        picture = values[~said.is_padding(values)] if said.padding is not None else values
        if picture.size:
            lowest, highest = min(lowest, int(picture.min())), max(highest, int(picture.max()))
    return (lowest, highest) if highest >= lowest else (0, 0)


def _palette(file: DicomFile, values: NDArray[Any]) -> NDArray[np.uint8]:
    """Palette colour to RGB; an index beyond the palette takes its last colour (PS3.3 C.7.6.3.1.6)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            coloured = apply_color_lut(values, file.header)
    except (MemoryError, RecursionError):
        raise
    except Exception as error:
        raise DamagedFile("The image's colour palette is missing or damaged.") from error
    if coloured.shape != (*values.shape, 3):
        raise DamagedFile("The image's colour palette is damaged.")
    if coloured.dtype.itemsize > 1:
        # Some palettes fill 16-bit entries with 8-bit colours.
        coloured = coloured >> 8 if int(coloured.max()) > 255 else coloured
    return coloured.astype(np.uint8)

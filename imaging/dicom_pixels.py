"""From a decoded DICOM frame to `Pixels`: look-up tables, palettes, unused bits, colour as RGB."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels.processing import apply_color_lut

from imaging import dicom_frames, dicom_header, dicom_values
from imaging.description import Photometric
from imaging.dicom_file import DicomFile
from imaging.dicom_frames import PixelFormat
from imaging.dicom_spacing import scale_of
from imaging.errors import DamagedFile
from imaging.pixels import PixelArray, Pixels

_LUT_LIMIT = 65_536


def decode(file: DicomFile, form: PixelFormat, frame: int) -> Pixels:
    """One frame with its window and spacing.

    Parameters
    ----------
    file, form
        The open file and its checked Image Pixel module (PS3.3 C.7.6.3).
    frame
        From 0.

    Returns
    -------
    Pixels
        Gray: H×W uint8, uint16 or int16 as stored, after the modality table (PS3.3 C.11.1) and, where the file has no
        window, the first VOI table (C.11.2). Colour, palettes and YBR: H×W×3 uint8 RGB.

    Raises
    ------
    NoSuchFrame, DamagedFile, UnsupportedEncoding, TooLarge
    """
    values: Any
    values, decoded = dicom_frames.decode_frame(file, form, frame)
    photometric = photometric_after_reading(file, form)
    window = None
    if form.photometric == "PALETTE COLOR":
        values, bits = _palette(file, values), 8
    elif photometric == "RGB":
        if decoded != "RGB":
            raise DamagedFile("The pixel data decode to another colour model than the header says.")
        values, bits = _to_8_bit(values, form.bits_stored), 8
    else:
        values, bits = _to_16_bit(values, form)
        values, bits, has_table = _with_tables(file, values, bits)
        window = None if has_table else dicom_header.window_of(file.header)
    if values.shape[:2] != (form.rows, form.columns):
        raise DamagedFile("The pixel data decode to another size than the header says.")
    return Pixels(
        values=np.ascontiguousarray(values),
        photometric=photometric,
        bits_stored=bits,
        window=window,
        pixel_spacing_um=scale_of(file.header).spacing_um,
        frame=frame,
        frames=form.frames,
    )


def photometric_after_reading(file: DicomFile, form: PixelFormat) -> Photometric:
    """Palettes and YBR become RGB; a falling rescale slope turns the gray scale round."""
    if form.photometric not in ("MONOCHROME1", "MONOCHROME2"):
        return "RGB"
    falls = (dicom_values.number(file.header, "RescaleSlope") or 1.0) < 0
    return "MONOCHROME1" if (form.photometric == "MONOCHROME1") != falls else "MONOCHROME2"


def _to_8_bit(values: NDArray[Any], bits_stored: int) -> NDArray[np.uint8]:
    if values.dtype.itemsize > 1:
        values = values >> max(0, bits_stored - 8)
    return values.astype(np.uint8)


def _to_16_bit(values: NDArray[Any], form: PixelFormat) -> tuple[PixelArray, int]:
    """Unused high bits cleared (old devices keep overlays there), 32-bit values brought into 16."""
    if form.bits_allocated == 32:
        low, high = int(values.min()), int(values.max())
        if low >= 0 and high < 2**16:
            return values.astype(np.uint16), min(16, form.bits_stored)
        span = max(1, high - low)
        return ((values.astype(np.float64) - low) * (65_535 / span)).astype(np.uint16), 16
    unused = values.dtype.itemsize * 8 - form.bits_stored
    if unused > 0 and form.bits_stored > 1:
        values = (values << unused) >> unused
    if form.bits_allocated == 8 and form.signed:
        return values.astype(np.int16), 8
    return values, form.bits_stored


def _with_tables(file: DicomFile, values: PixelArray, bits: int) -> tuple[PixelArray, int, bool]:
    """Apply a modality table (PS3.3 C.11.1) and, where no window is given, the first VOI table (C.11.2)."""
    applied = False
    for sequence in ("ModalityLUTSequence", "VOILUTSequence"):
        if sequence == "VOILUTSequence" and dicom_header.window_of(file.header) is not None:
            break
        for item in dicom_values.items(file.header, sequence)[:1]:
            descriptor = dicom_values.numbers(item, "LUTDescriptor")
            if len(descriptor) != 3:
                raise DamagedFile("A look-up table of the DICOM header is damaged.")
            entries = int(descriptor[0]) or _LUT_LIMIT
            table = _table(item.get("LUTData"), int(descriptor[2]))[:entries]
            if len(table) < 1 or len(table) < entries:
                raise DamagedFile("A look-up table of the DICOM header is shorter than it says.")
            index = np.clip(values.astype(np.int32) - int(descriptor[1]), 0, entries - 1)
            values, bits, applied = table[index], int(descriptor[2]), True
    return values, bits, applied


def _table(raw: Any, bits: int) -> NDArray[np.uint16]:
    if isinstance(raw, bytes):
        return (
            np.frombuffer(raw[: len(raw) // 2 * 2], "<u2")
            if bits > 8
            else np.frombuffer(raw, np.uint8).astype(np.uint16)
        )
    return np.atleast_1d(np.asarray(raw if raw is not None else [], dtype=np.int64)).astype(np.uint16)


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

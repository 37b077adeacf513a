"""DICOM files as descriptions and pixels."""

from __future__ import annotations

from pathlib import Path

from pydicom.dataset import Dataset

from imaging import dicom_frames, dicom_header, dicom_pixels, dicom_slides, dicom_values, slides
from imaging.description import Description, ImageFacts
from imaging.dicom_file import open_dicom
from imaging.dicom_tiles import DicomLevels, open_tiles
from imaging.formats import MEDIA_TYPES
from imaging.pixels import Pixels


def describe(path: Path, *, prove: bool, charset: str | None = None) -> Description:
    """See `imaging.reader.describe`."""
    file = open_dicom(path)
    try:
        form = dicom_frames.pixel_format(file)
        dicom_frames.check_lengths(file, form)
        header, remarks = dicom_header.header_of(file.header, file.transfer_syntax, charset)
        if file.assumed_transfer_syntax:
            remarks.append("The file does not name its transfer syntax; it was told from its first element.")
        part = dicom_slides.part_of(file.header, form.frames)
        if part is not None and part.tiled:
            slide = slides.Slide(DicomLevels([open_tiles(file)]))
            found = slides.description_of(slide, MEDIA_TYPES["dicom"], prove=prove)
            return found.model_copy(
                update={
                    "header": header,
                    "facts": ImageFacts(image_type=_image_type(file.header), slide_part=part),
                    "pixel_spacing_source": dicom_header.spacing_of(file.header)[1],
                    "encoded_photometric": form.photometric,
                    "remarks": (*remarks, *found.remarks),
                }
            )
        if dicom_slides.lacks_positions(file.header) and form.frames > 1:
            remarks.append("The slide's tiles do not say where they lie; they are separate frames.")
        spacing, source = dicom_header.spacing_of(file.header)
        photometric = dicom_pixels.photometric_after_reading(file, form)
        if prove:
            dicom_pixels.decode(file, form, 0)
        return Description(
            kind="dicom",
            media_type=MEDIA_TYPES["dicom"],
            rows=form.rows,
            columns=form.columns,
            frames=form.frames,
            samples=3 if photometric == "RGB" else 1,
            bits_stored=8 if photometric == "RGB" else min(form.bits_stored, 16),
            photometric=photometric,
            encoded_photometric=form.photometric,
            pixel_spacing_um=spacing,
            pixel_spacing_source=source,
            window=dicom_header.window_of(file.header) if photometric != "RGB" else None,
            header=header,
            facts=ImageFacts(image_type=_image_type(file.header), slide_part=part),
            remarks=tuple(remarks),
        )
    finally:
        file.close()


def read(path: Path, frame: int) -> Pixels:
    """See `imaging.reader.read`. A tiled slide gives the whole section, not one tile."""
    file = open_dicom(path)
    try:
        if dicom_slides.is_tiled(file.header):
            return slides.read(path, frame)
        form = dicom_frames.pixel_format(file)
        dicom_frames.check_lengths(file, form)
        return dicom_pixels.decode(file, form, frame)
    finally:
        file.close()


def _image_type(header: Dataset) -> tuple[str, ...]:
    return tuple(filter(None, (dicom_values.text(header, "ImageType") or "").split("\\")))

"""DICOM files as descriptions and pixels."""

from __future__ import annotations

from pathlib import Path

from imaging import (
    dicom_facts,
    dicom_frames,
    dicom_header,
    dicom_pixels,
    dicom_proof,
    dicom_slides,
    dicom_spacing,
    slides,
)
from imaging.description import Description
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
        said = dicom_facts.facts_of(file.header)
        header = header.model_copy(update={"laterality": said.laterality, "view_position": said.view})
        part = dicom_slides.part_of(file.header, form.frames)
        if part is not None and part.tiled:
            slide = slides.Slide(DicomLevels([open_tiles(file)]))
            found = slides.description_of(slide, MEDIA_TYPES["dicom"], prove=prove)
            facts = said.facts.model_copy(update={"slide_part": part, "spacing_um": found.pixel_spacing_um})
            if (stated := said.scale.spacing_um) and found.pixel_spacing_um is None:
                remark = dicom_spacing.implausible(said.scale.source or "", stated)
                facts = facts.model_copy(update={"scale_remarks": (*facts.scale_remarks, remark)})
            return found.model_copy(
                update={
                    "header": header,
                    "facts": facts,
                    "pixel_spacing_source": said.scale.source if found.pixel_spacing_um else None,
                    "encoded_photometric": form.photometric,
                    "remarks": (*remarks, *said.remarks, *found.remarks),
                }
            )
        if dicom_slides.lacks_positions(file.header) and form.frames > 1:
            remarks.append("The slide's tiles do not say where they lie; they are separate frames.")
        facts = said.facts.model_copy(update={"slide_part": part})
        photometric = dicom_pixels.photometric_after_reading(file, form)
        if prove:
            look = dicom_proof.prove(file, form, header)
            remarks += [look.remark] if look.remark else []
            facts = facts.model_copy(update={"chest_wall": look.chest_wall})
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
            pixel_spacing_um=said.scale.spacing_um,
            pixel_spacing_source=said.scale.source,
            header=header,
            facts=facts,
            remarks=(*remarks, *said.remarks),
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

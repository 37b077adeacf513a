"""Phantoms as DICOM Part 10 files, with every attribute that hanging and calibration need."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imaging.phantoms.phantom import Phantom

_VIEW_CODES = {"CC": ("399162004", "cranio-caudal"), "MLO": ("399368009", "medio-lateral oblique")}
# Rows point down the image, columns right (PS3.3 C.7.6.1.1.1).
_ORIENTATIONS = {
    ("L", "CC"): ["A", "R"], ("R", "CC"): ["P", "L"],
    ("L", "MLO"): ["A", "FR"], ("R", "MLO"): ["P", "FL"],
}  # fmt: skip


def uid(*parts: object) -> str:
    """A UID under 2.25 that is always the same for the same parts."""
    digest = hashlib.sha256("/".join(str(part) for part in parts).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def write(
    made: Phantom,
    path: Path,
    *,
    modality: str,
    sop_class: str,
    stack: NDArray[Any],
    tags: dict[str, str],
    ultrasound: bool = False,
) -> None:
    """Write uncompressed little-endian DICOM. `stack` is H×W or frames×H×W; `tags` (keyword to value) come
    last and replace what stands here."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.sequence import Sequence
    from pydicom.uid import ExplicitVRLittleEndian

    patient = tags.get("PatientID", f"PHANTOM-{made.seed}")
    header = Dataset()
    header.SpecificCharacterSet = "ISO_IR 192"
    header.ImageType = ["DERIVED", "PRIMARY"]
    header.SOPClassUID = sop_class
    header.SOPInstanceUID = uid(
        "instance", patient, modality, made.seed, made.laterality, made.view, made.label
    )
    header.StudyInstanceUID = uid("study", patient, modality, made.seed)
    header.SeriesInstanceUID = uid("series", patient, modality, made.seed)
    header.StudyDate, header.StudyTime = "20260102", "093000"
    header.ContentDate, header.ContentTime = "20260102", "093000"
    header.AccessionNumber = ""
    header.Modality = modality
    header.Manufacturer = "Synthetic phantom"
    header.PatientID = patient
    header.PatientName = "Phantom^Synthetic"
    header.PatientBirthDate, header.PatientSex = "19700101", "F"
    header.ReferringPhysicianName, header.StudyID = "", "1"
    header.SeriesNumber, header.InstanceNumber = 1, 1
    header.BodyPartExamined = "BREAST"
    header.BurnedInAnnotation = "NO"
    if made.laterality:
        header.ImageLaterality = made.laterality
    rows, columns = stack.shape[-2:]
    header.Rows, header.Columns = rows, columns
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    if stack.ndim == 3:
        header.NumberOfFrames = stack.shape[0]
        header.FrameTime = "40"
        header.FrameIncrementPointer = 0x00181063
    bits = 8 if stack.dtype == np.uint8 else 12
    header.BitsAllocated, header.BitsStored, header.HighBit = (8 if bits == 8 else 16), bits, bits - 1
    header.PixelRepresentation = 0
    millimetres = made.um_per_px / 1000
    if ultrasound:
        region = Dataset()
        region.RegionSpatialFormat, region.RegionDataType, region.RegionFlags = 1, 1, 2
        region.RegionLocationMinX0, region.RegionLocationMinY0 = 0, 0
        region.RegionLocationMaxX1, region.RegionLocationMaxY1 = columns - 1, rows - 1
        region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
        region.PhysicalDeltaX = region.PhysicalDeltaY = millimetres / 10
        header.SequenceOfUltrasoundRegions = Sequence([region])
    else:
        header.ImagerPixelSpacing = header.PixelSpacing = [f"{millimetres:.4f}"] * 2
        header.PresentationIntentType = "FOR PRESENTATION"
        header.PresentationLUTShape = "IDENTITY"
        header.WindowCenter, header.WindowWidth = "2048", "4096"
        _mammography_attributes(header, made)
    header.PixelData = np.ascontiguousarray(stack).tobytes()
    if len(header.PixelData) % 2:
        header.PixelData += b"\0"
    header["PixelData"].VR = "OB" if bits == 8 else "OW"
    for keyword, value in tags.items():
        setattr(header, keyword, value)
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    header.save_as(path, enforce_file_format=True)


def _mammography_attributes(header: Any, made: Phantom) -> None:
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    if made.view not in _VIEW_CODES or made.laterality is None:
        return
    header.ViewPosition = made.view
    header.PatientOrientation = _ORIENTATIONS[made.laterality, made.view]
    code = Dataset()
    code.CodeValue, code.CodeMeaning = _VIEW_CODES[made.view]
    code.CodingSchemeDesignator = "SCT"
    code.ViewModifierCodeSequence = Sequence([])
    header.ViewCodeSequence = Sequence([code])
    region = Dataset()
    region.CodeValue, region.CodingSchemeDesignator, region.CodeMeaning = "76752008", "SCT", "Breast"
    header.AnatomicRegionSequence = Sequence([region])
    header.BreastImplantPresent = "NO"
    header.PartialView = "NO"
    header.OrganExposed = "BREAST"
    header.PositionerType = "MAMMOGRAPHIC"
    header.KVP, header.BodyPartThickness, header.CompressionForce = "28", "52", "95"

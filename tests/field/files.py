"""Files as hospitals, scanners and archives of other makers write them: made in memory, nobody's data."""

from __future__ import annotations

import io
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

MG_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.2"
MG_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.2.1"
TOMOSYNTHESIS = "1.2.840.10008.5.1.4.1.1.13.1.3"
ULTRASOUND = "1.2.840.10008.5.1.4.1.1.6.1"
ULTRASOUND_CLIP = "1.2.840.10008.5.1.4.1.1.3.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"

ROWS, COLUMNS = 96, 80
_patients = itertools.count(1)


def breast(
    side: str = "L", top: int = 4095, seed: int = 1, shape: tuple[int, int] = (ROWS, COLUMNS)
) -> NDArray[np.int64]:
    """A breast at the border where its chest wall lies in the usual position, values 0 to `top`, high is dense."""
    rows, columns = shape
    y, x = np.mgrid[0:rows, 0:columns]
    away = np.hypot((y - rows / 2) / (rows * 0.45), x / (columns * 0.8))
    noise = np.random.default_rng(seed).normal(0, 0.02, shape)
    values = np.where(away < 1, 0.3 + 0.4 * np.cos(away * 1.3) + noise, 0.0)
    values = np.rint(np.clip(values, 0, 1) * top).astype(np.int64)
    return values if side == "L" else np.ascontiguousarray(values[:, ::-1])


def speckle(seed: int = 1, rows: int = 120, columns: int = 160) -> NDArray[np.uint8]:
    """The grain of an ultrasound picture, 8 bits."""
    return np.random.default_rng(seed).integers(40, 140, (rows, columns), dtype=np.uint8)


def code(value: str, scheme: str, meaning: str, *modifiers: Dataset) -> Dataset:
    """An item of a coded sequence; `modifiers` of a view."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    if modifiers:
        item.ViewModifierCodeSequence = list(modifiers)
    return item


def item(**attributes: Any) -> Dataset:
    """A sequence's item with these attributes."""
    made = Dataset()
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def table(first: int, entries: Sequence[int] | NDArray[Any], bits: int, explanation: str = "") -> Dataset:
    """A look-up table (PS3.3 C.11.1, C.11.2): descriptor and 16-bit data."""
    made = Dataset()
    made.add_new(0x00283002, "SS" if first < 0 else "US", [len(entries) % 65536, first, bits])
    if explanation:
        made.LUTExplanation = explanation
    made.add_new(0x00283006, "OW", np.asarray(entries, "<u2").tobytes())
    return made


def patient() -> str:
    """An id that no other file of the test has."""
    return f"FIELD-{next(_patients)}"


def dicom_file(
    values: NDArray[Any] | None,
    *,
    syntax: UID = ExplicitVRLittleEndian,
    allocated: int = 16,
    stored: int = 12,
    high: int | None = None,
    signed: bool = False,
    **tags: Any,
) -> bytes:
    """A DICOM file of these stored values: H×W, or N×H×W for frames. A tag that is None is left out.

    `high`: the High Bit where it is not `stored` − 1; values are written shifted up to it.
    """
    header = Dataset()
    defaults: dict[str, Any] = {
        "SOPClassUID": MG_PRESENTATION,
        "SOPInstanceUID": generate_uid(),
        "StudyInstanceUID": generate_uid(),
        "SeriesInstanceUID": generate_uid(),
        "Modality": "MG",
        "PatientName": "Field^Test",
        "PatientBirthDate": "19600101",
        "PatientSex": "F",
        "StudyDate": "20260102",
        "SeriesNumber": 1,
        "InstanceNumber": 1,
    }
    if "PatientID" not in tags:
        defaults["PatientID"] = patient()
    if values is not None:
        frames = values.shape[0] if values.ndim == 3 else 1
        high = stored - 1 if high is None else high
        defaults |= {
            "Rows": values.shape[-2],
            "Columns": values.shape[-1],
            "SamplesPerPixel": 1,
            "PhotometricInterpretation": "MONOCHROME2",
            "BitsAllocated": allocated,
            "BitsStored": stored,
            "HighBit": high,
            "PixelRepresentation": int(signed),
            "NumberOfFrames": frames if frames > 1 else None,
        }
        mask = (1 << allocated) - 1
        placed = (values.astype(np.int64) << (high - stored + 1)) & mask
        order = ">" if syntax == ExplicitVRBigEndian else "<"
        data = placed.astype(f"{order}u{allocated // 8}").tobytes()
        header.PixelData = data + b"\0" * (len(data) % 2)
        header["PixelData"].VR = "OW" if allocated > 8 else "OB"
    for keyword, value in {**defaults, **tags}.items():
        if value is not None:
            setattr(header, keyword, value)
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = syntax
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    with io.BytesIO() as buffer:
        if syntax == ExplicitVRLittleEndian:
            dcmwrite(buffer, header, enforce_file_format=True)
        else:
            dcmwrite(
                buffer,
                header,
                implicit_vr=syntax == ImplicitVRLittleEndian,
                little_endian=syntax != ExplicitVRBigEndian,
                force_encoding=True,
            )
        return buffer.getvalue()


#: Patient Orientation of the usual position.
_ORIENTATION = {"L CC": ["A", "R"], "R CC": ["P", "L"], "L MLO": ["A", "FR"], "R MLO": ["P", "FL"]}
VIEW_CODES = {
    "CC": ("399162004", "SCT", "cranio-caudal"),
    "MLO": ("399368009", "SCT", "medio-lateral oblique"),
}


def view(side: str, name: str, *modifiers: Dataset, values: NDArray[Any] | None = None, **tags: Any) -> bytes:
    """A mammogram of a side and view, named by a code where the view has one here."""
    defaults: dict[str, Any] = {
        "ImageLaterality": side,
        "ViewPosition": name,
        "PatientOrientation": _ORIENTATION.get(f"{side} {name}"),
        "ImagerPixelSpacing": [0.1, 0.1],
        "PresentationIntentType": "FOR PRESENTATION",
        "BodyPartExamined": "BREAST",
        "ImageType": ["ORIGINAL", "PRIMARY"],
        "WindowCenter": 2000,
        "WindowWidth": 2400,
    }
    if name in VIEW_CODES:
        defaults["ViewCodeSequence"] = [code(*VIEW_CODES[name], *modifiers)]
    shown = breast(side) if values is None else values
    return dicom_file(shown, **{**defaults, **tags})


def four_views(**tags: Any) -> dict[str, bytes]:
    """A screening exam: one study of one patient."""
    same = {"StudyInstanceUID": generate_uid(), "PatientID": patient(), **tags}
    return {f"{side}{name}.dcm": view(side, name, **same) for side in ("R", "L") for name in ("CC", "MLO")}


def ultrasound(values: NDArray[Any], **tags: Any) -> bytes:
    """A picture, or a clip where `values` is N×H×W."""
    many = values.ndim == 3
    kind = {"SOPClassUID": ULTRASOUND_CLIP if many else ULTRASOUND, "Modality": "US"}
    return dicom_file(values, allocated=8, stored=8, **{**kind, **tags})


def region(box: tuple[int, int, int, int], dx_cm: float, dy_cm: float, **tags: Any) -> Dataset:
    """An ultrasound region (PS3.3 C.8.5.5); `box` with its far edges inside, as the standard has it."""
    made = item(
        RegionSpatialFormat=1,
        RegionDataType=1,
        RegionFlags=0,
        PhysicalUnitsXDirection=3,
        PhysicalUnitsYDirection=3,
        PhysicalDeltaX=dx_cm,
        PhysicalDeltaY=dy_cm,
    )
    made.RegionLocationMinX0, made.RegionLocationMinY0 = box[0], box[1]
    made.RegionLocationMaxX1, made.RegionLocationMaxY1 = box[2], box[3]
    for keyword, value in tags.items():
        setattr(made, keyword, value)
    return made


def no_image(sop_class: str, modality: str, **tags: Any) -> bytes:
    """An object without pixels: a structured report, a presentation state, a dose report."""
    return dicom_file(None, SOPClassUID=sop_class, Modality=modality, **tags)

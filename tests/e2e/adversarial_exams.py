"""Exams of synthetic phantoms in which a viewer that guesses shows the wrong side, size or image."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import numpy as np
import pydicom
from numpy.typing import NDArray

from imaging.phantoms import mammography, ultrasound
from imaging.phantoms.phantom import Phantom
from tests.imaging.dicom_headers import CC, IMPLANT_DISPLACED, MLO, code, region, view_code

ROWS = 800
_TOMOSYNTHESIS = "1.2.840.10008.5.1.4.1.1.13.1.3"
_VIEWS = {"CC": CC, "MLO": MLO}

Change = Callable[[pydicom.Dataset], None]


class Exam:
    """Files of one patient in a folder, and what the hospital system says of them."""

    def __init__(self, folder: Path, patient: str, modality: Literal["MG", "US"] = "MG") -> None:
        self.folder, self.modality = folder, modality
        # Another in each run: UIDs follow from the patient, and what is posted twice is a repetition.
        self.patient = f"{patient}-{uuid4().hex[:6]}"
        self.files: list[Path] = []
        self.images: list[dict[str, Any]] = []

    @property
    def study(self) -> dict[str, Any]:
        """The study part of the post."""
        said = {
            "modality": self.modality,
            "accession_number": self.patient,
            "patient": {"id": self.patient, "name": "Phantom^Synthetic", "sex": "F"},
        }
        return {**said, "images": self.images} if self.images else said

    def add(self, made: Phantom, change: Change = lambda header: None, *, frames: int = 1) -> Path:
        """Write one file more, its header changed."""
        path = self.folder / f"{len(self.files)}.dcm"
        if self.modality == "US":
            ultrasound.write_dicom(made, path, frames=frames, PatientID=self.patient)
        else:
            mammography.write_dicom(made, path, PatientID=self.patient)
        header = pydicom.dcmread(path)
        header.InstanceNumber = str(len(self.files) + 1)
        header.SOPInstanceUID = f"{header.SOPInstanceUID[:50]}.{len(self.files)}"
        change(header)
        header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID
        header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
        header.save_as(path)
        self.files.append(path)
        return path


def swapped_side(folder: Path) -> Exam:
    """A left breast, which the hospital system posts as a right one."""
    exam = Exam(folder, "ADV-SIDE")
    path = exam.add(mammography.phantom(301, "L", "CC", "malignant", rows=ROWS, columns=600))
    exam.images = [{"file": path.name, "laterality": "R"}]
    return exam


def white_border(folder: Path) -> Exam:
    """Films with a white border on the side away from the chest wall."""
    exam = Exam(folder, "ADV-BORDER")
    for made in mammography.exam(302, rows=ROWS):
        pixels = made.pixels.copy()
        away = np.s_[:, -70:] if made.laterality == "L" else np.s_[:, :70]
        pixels[away] = mammography.FULL_SCALE
        exam.add(dataclasses.replace(made, pixels=pixels))
    return exam


def stored_mirrored(folder: Path) -> Exam:
    """A left breast stored with its chest wall on the right, as its orientation says; the right one as usual."""
    exam = Exam(folder, "ADV-MIRROR")
    for made in mammography.exam(303, left="benign", rows=ROWS):
        if made.laterality == "R":
            exam.add(made)
            continue
        pixels = made.pixels[:, ::-1].copy()

        def orient(header: pydicom.Dataset, view: str | None = made.view) -> None:
            header.PatientOrientation = ["P", "R"] if view == "CC" else ["P", "FR"]

        exam.add(dataclasses.replace(made, pixels=pixels), orient)
    return exam


def six_images(folder: Path) -> Exam:
    """The four views, L CC twice and L ML besides; the repeated one has the lesion."""
    exam = Exam(folder, "ADV-SIX")
    for made in mammography.exam(304, rows=ROWS):
        exam.add(made)
    exam.add(mammography.phantom(304, "L", "CC", "malignant", rows=ROWS, columns=600))

    def lateral(header: pydicom.Dataset) -> None:
        header.ViewPosition = "ML"
        header.ViewCodeSequence = [code("399260004", "SCT", "medio-lateral")]
        header.PatientOrientation = ["A", "F"]

    exam.add(mammography.phantom(304, "L", "MLO", rows=ROWS, columns=600), lateral)
    return exam


def raw_beside_processed(folder: Path) -> Exam:
    """Each view for processing and for presentation."""
    exam = Exam(folder, "ADV-RAW")
    for made in mammography.exam(305, left="malignant", rows=ROWS):
        values = made.pixels.astype(np.float32) / mammography.FULL_SCALE
        raw = np.rint(mammography.FULL_SCALE * np.exp(-3 * values)).astype(np.uint16)

        def for_processing(header: pydicom.Dataset) -> None:
            header.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.2.1"
            header.PresentationIntentType = "FOR PROCESSING"
            del header.WindowCenter, header.WindowWidth, header.PresentationLUTShape

        exam.add(dataclasses.replace(made, pixels=raw), for_processing)
        exam.add(made)
    return exam


def one_without_spacing(folder: Path) -> Exam:
    """Four views, the left CC, with the lesion, without any spacing."""
    exam = Exam(folder, "ADV-SPACING")

    def without_spacing(header: pydicom.Dataset) -> None:
        del header.ImagerPixelSpacing, header.PixelSpacing

    for made in mammography.exam(306, left="malignant", rows=ROWS):
        is_left_cc = (made.laterality, made.view) == ("L", "CC")
        exam.add(made, without_spacing if is_left_cc else lambda header: None)
    return exam


def mixed_pixel_sizes(folder: Path) -> Exam:
    """Right views of twice the pixels and half the spacing of the left ones: breasts of one size."""
    exam = Exam(folder, "ADV-MIXED")
    for side, view in mammography.VIEWS:
        rows, columns = (1600, 1200) if side == "R" else (800, 600)
        exam.add(mammography.phantom(307, side, view, rows=rows, columns=columns))
    return exam


def implants(folder: Path) -> Exam:
    """The four views of an implant set, each also with the implant displaced."""
    exam = Exam(folder, "ADV-IMPLANT")
    for made in mammography.exam(308, rows=ROWS):

        def displaced(header: pydicom.Dataset, view: str = made.view or "") -> None:
            header.ViewCodeSequence = [view_code(_VIEWS[view], IMPLANT_DISPLACED)]
            header.BreastImplantPresent = "YES"

        displaced_view = mammography.phantom(
            309, made.laterality or "L", made.view or "CC", rows=ROWS, columns=600
        )
        exam.add(dataclasses.replace(displaced_view, seed=308), displaced)
        exam.add(made)
    return exam


def _set_frames(header: pydicom.Dataset, stack: NDArray[Any]) -> None:
    header.NumberOfFrames = str(len(stack))
    header.PixelData = np.ascontiguousarray(stack).tobytes()


def clip(folder: Path) -> Exam:
    """Twelve frames at five a second; a lesion in the last five."""
    exam = Exam(folder, "ADV-CLIP", "US")
    size = {"rows": 360, "columns": 480}
    with_lesion = ultrasound.phantom(311, "malignant", **size)
    stack = [ultrasound.phantom(320 + number, **size).pixels for number in range(7)] + [
        with_lesion.pixels
    ] * 5

    def frames(header: pydicom.Dataset) -> None:
        _set_frames(header, np.stack(stack))
        header.FrameTime = "200"

    exam.add(with_lesion, frames, frames=12)
    return exam


def tomosynthesis(folder: Path) -> Exam:
    """Nine slices of a left breast, the lesion in the middle ones."""
    exam = Exam(folder, "ADV-DBT")
    made = mammography.phantom(312, "L", "MLO", "malignant", rows=ROWS, columns=600)
    plain = mammography.phantom(312, "L", "MLO", rows=ROWS, columns=600)
    stack = [made.pixels if 3 <= number <= 5 else plain.pixels for number in range(9)]

    def volume(header: pydicom.Dataset) -> None:
        header.SOPClassUID = _TOMOSYNTHESIS
        header.ImageType = ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "NONE"]
        _set_frames(header, np.stack(stack))

    exam.add(made, volume)
    return exam


def two_depths(folder: Path) -> Exam:
    """Two halves beside each other, the right one at twice the depth."""
    exam = Exam(folder, "ADV-REGIONS", "US")
    halves = [ultrasound.phantom(seed, "benign", rows=480, columns=320) for seed in (313, 314)]
    both = dataclasses.replace(halves[0], pixels=np.concatenate([half.pixels for half in halves], axis=1))

    def regions(header: pydicom.Dataset) -> None:
        deep = {"PhysicalDeltaX": 0.02, "PhysicalDeltaY": 0.02}
        header.SequenceOfUltrasoundRegions = [region(0, 0, 319, 479), region(320, 0, 639, 479, **deep)]

    exam.add(both, regions)
    return exam


def unequal_pixels(folder: Path) -> Exam:
    """Pixels twice as wide as high."""
    exam = Exam(folder, "ADV-ASPECT", "US")
    made = ultrasound.phantom(315, "benign", rows=480, columns=640)
    narrow = dataclasses.replace(made, pixels=np.ascontiguousarray(made.pixels[:, ::2]))

    def regions(header: pydicom.Dataset) -> None:
        wide = {"PhysicalDeltaX": 0.016, "PhysicalDeltaY": 0.008}
        header.SequenceOfUltrasoundRegions = [region(0, 0, 319, 479, **wide)]

    exam.add(narrow, regions)
    return exam

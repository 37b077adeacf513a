"""Synthetic cases: phantoms under invented names that say so. Each modality says which families of phantoms show it.

The same seed gives the same pixels, so that a case is the same wherever it is loaded. What is true of each is
known to the pixel; `demo-truth.json` keeps it for whoever checks the models.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cad_platform import modalities
from cad_platform.demo.cases import Case, CaseImage
from imaging.phantoms import histology, mammography, ultrasound
from imaging.phantoms.phantom import Lesion, Phantom


@dataclass(frozen=True)
class _Invented:
    """A person who does not exist, and what her phantom shows."""

    name: str
    birth_date: str
    lesion: Lesion
    priority: str = "routine"

    @property
    def patient_name(self) -> str:
        return f"{self.name} (synthetic)"


_ULTRASOUND = (
    _Invented("Okonkwo^Adaeze", "1974-03-18", "malignant", "urgent"),
    _Invented("陈^美琳", "1988-11-02", "benign"),
    _Invented("Lindqvist^Maja", "1995-06-27", "none"),
    _Invented("Herrera^Lucía", "1967-09-09", "malignant"),
    _Invented("王^秀英", "1981-01-30", "benign"),
)
_MAMMOGRAPHY = (
    _Invented("Novak^Irena", "1959-04-12", "malignant", "stat"),
    _Invented("李^桂芳", "1965-12-05", "none"),
    _Invented("Dubois^Hélène", "1971-08-21", "benign"),
)
_HISTOPATHOLOGY = (
    _Invented("Nakagawa^Yuki", "1962-02-14", "malignant", "urgent"),
    _Invented("张^丽华", "1978-07-07", "benign"),
)
_SLIDE = _Invented("Adeyemi^Folake", "1956-10-25", "malignant")


@dataclass(frozen=True)
class _Family:
    """One family of phantoms: what a post calls the examination, the women it shows by their numbers, and what writes
    the files of one of them."""

    procedure: str
    women: dict[int, _Invented]
    images: Callable[[int, _Invented, str], Callable[[Path], list[CaseImage]]]
    is_slow: bool = False


def synthetic_cases() -> list[Case]:
    """Of every registered modality, small ones first; the slide is last."""
    return [
        _case(modality.code, family, number)
        for name, family in FAMILIES.items()
        for modality in modalities.registered()
        if name in modality.phantoms
        for number in family.women
    ]


def _case(modality: str, family: _Family, number: int) -> Case:
    woman, patient_id = family.women[number], f"SYN-{modality}-{number:02d}"
    return Case(
        key=f"synthetic/{modality}/{number}",
        modality=modality,
        patient_id=patient_id,
        patient_name=woman.patient_name,
        birth_date=woman.birth_date,
        procedure=family.procedure,
        priority=woman.priority,
        is_slow=family.is_slow,
        images=family.images(number, woman, patient_id),
        truth={"source": "synthetic", "lesion": woman.lesion},
    )


def _ultrasound(seed: int, person: _Invented, patient_id: str) -> Callable[[Path], list[CaseImage]]:
    """As the devices in use send it: DICOM, once a cine loop, and plain pictures."""

    def images(folder: Path) -> list[CaseImage]:
        made = ultrasound.phantom(seed, person.lesion)
        if seed % 2:
            path = folder / "breast.dcm"
            ultrasound.write_dicom(made, path, frames=8 if seed == 3 else 1, PatientID=patient_id)
            return [CaseImage(path, path.name, truth=_truth(made))]
        path = folder / "breast.png"
        ultrasound.write_png(made, path)
        return [CaseImage(path, path.name, pixel_spacing_um=made.um_per_px, truth=_truth(made))]

    return images


def _mammography(seed: int, person: _Invented, patient_id: str) -> Callable[[Path], list[CaseImage]]:
    """Four views as DICOM; the lesion is on the left for odd seeds. The headers say side and view."""

    def images(folder: Path) -> list[CaseImage]:
        left, right = (person.lesion, "none") if seed % 2 else ("none", person.lesion)
        found = []
        for made in mammography.exam(seed, left=left, right=right):  # type: ignore[arg-type]
            path = folder / f"{made.laterality}-{made.view}.dcm"
            mammography.write_dicom(made, path, PatientID=patient_id)
            found.append(CaseImage(path, path.name, truth=_truth(made)))
        return found

    return images


def _tissue(seed: int, person: _Invented, _patient_id: str) -> Callable[[Path], list[CaseImage]]:
    """A photograph through the microscope: its scale is what the sender says."""

    def images(folder: Path) -> list[CaseImage]:
        made = histology.photograph(seed, person.lesion)
        path = folder / "field.png"
        histology.write_image(made, path)
        return [CaseImage(path, path.name, pixel_spacing_um=made.um_per_px, truth=_truth(made))]

    return images


def _slide(seed: int, person: _Invented, _patient_id: str) -> Callable[[Path], list[CaseImage]]:
    """A small pyramid that knows its own scale."""

    def images(folder: Path) -> list[CaseImage]:
        path = folder / "section.tif"
        made = histology.slide(seed, person.lesion)
        histology.write_slide(made, path)
        return [CaseImage(path, path.name, truth=_truth(made))]

    return images


def _truth(made: Phantom) -> dict[str, Any]:
    return {"label": made.label, "boxes": [list(box) for box in made.boxes], "seed": made.seed}


#: By the names that modalities give them, the quick ones first.
FAMILIES = {
    "ultrasound": _Family(
        "Breast ultrasound (synthetic)", dict(enumerate(_ULTRASOUND, start=1)), _ultrasound
    ),
    "mammography": _Family(
        "Mammography, four views (synthetic)", dict(enumerate(_MAMMOGRAPHY, start=1)), _mammography
    ),
    "tissue": _Family(
        "Breast biopsy, H&E photograph (synthetic)", dict(enumerate(_HISTOPATHOLOGY, start=1)), _tissue
    ),
    "slide": _Family("Breast resection, H&E whole slide (synthetic)", {9: _SLIDE}, _slide, is_slow=True),
}

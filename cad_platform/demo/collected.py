"""Real cases from the image collections of `CAD_DATA_DIR`. Nothing of them is stored in the repository.

They are taken from each collection's validation part, and posted under neutral file names: the collections
write the answer into theirs.
"""

from __future__ import annotations

import csv
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pydicom
from pydicom.uid import UID

from cad_platform.demo.cases import NAMESPACE, Case, CaseImage

_BUSI_PER_CLASS = 2
_MIAS_WOMEN = 2


def collected_cases(root: Path) -> list[Case]:
    """The cases whose files are there, small ones first, slides last."""
    found: list[Case] = []
    for cases in (_busi, _mini_mias, _cbis_ddsm_exam, _breakhis, _idc_mosaic, _her2st_slide):
        found.extend(cases(root))
    return found


def _fixed(*images: CaseImage) -> Callable[[Path], list[CaseImage]]:
    return lambda folder: list(images)


def _busi(root: Path) -> Iterator[Case]:
    """Breast ultrasound (Al-Dhabyani 2020): two of each class."""
    folder = root / "busi"
    taken: dict[str, int] = {}
    for row in _rows(folder / "split.csv"):
        label, path = row["class"], folder / "Dataset_BUSI_with_GT" / row["class"] / row["image"]
        if row["split"] != "val" or taken.get(label, 0) >= _BUSI_PER_CLASS or not path.is_file():
            continue
        taken[label] = number = taken.get(label, 0) + 1
        key = f"busi/{row['image']}"
        yield Case(
            key=key,
            modality="US",
            patient_id=f"BUSI-{len(taken)}{number:02d}",
            patient_name=f"BUSI^Ultrasound {len(taken)}{number:02d}",
            birth_date=None,
            procedure="Breast ultrasound (BUSI data set)",
            images=_fixed(CaseImage(path, "ultrasound.png")),
            truth={"source": "BUSI", "file": row["image"], "label": label},
        )


def _mini_mias(root: Path) -> Iterator[Case]:
    """Film mammograms (Suckling 1994): both MLO films of a woman; odd numbers are right breasts."""
    folder = root / "mini_mias"
    films: dict[str, list[str]] = {}
    for row in _rows(folder / "split.csv"):
        if row["split"] == "val":
            films.setdefault(row["patient"], []).append(row["image"])
    pairs = [(woman, pair) for woman, pair in films.items() if len(pair) == 2]
    for woman, pair in pairs[:_MIAS_WOMEN]:
        images = []
        for name in pair:
            side = "R" if int(name.removeprefix("mdb")) % 2 else "L"
            images.append(CaseImage(folder / f"{name}.png", f"{side}-MLO.png", side, "MLO", 200.0))
        if all(image.path.is_file() for image in images):
            yield Case(
                key=f"mini_mias/{woman}",
                modality="MG",
                patient_id=f"MIAS-{woman}",
                patient_name=f"MINI-MIAS^Woman {woman}",
                birth_date=None,
                procedure="Film mammography, MLO (mini-MIAS data set)",
                images=_fixed(*images),
                truth={"source": "mini-MIAS", "films": pair, "see": "Info.txt"},
            )


def _cbis_ddsm_exam(root: Path) -> Iterator[Case]:
    """One woman in four views (Lee 2017). Every file names another patient and study, so all is said anew.

    The copies get SOP Instance UIDs of their own: whoever posts the originals finds their UIDs free.
    """
    folder = root / "dicom" / "mammography"
    views = (
        ("1-280.dcm", "L", "CC"),
        ("1-281.dcm", "L", "MLO"),
        ("1-282.dcm", "R", "CC"),
        ("1-283.dcm", "R", "MLO"),
    )

    def images(into: Path) -> list[CaseImage]:
        return [
            CaseImage(_renumbered(folder / name, into / name), name, side, view) for name, side, view in views
        ]

    if all((folder / name).is_file() for name, _, _ in views):
        yield Case(
            key="cbis_ddsm/P_00820",
            modality="MG",
            patient_id="CBIS-P00820",
            patient_name="CBIS-DDSM^Woman 820",
            birth_date=None,
            procedure="Film mammography, four views (CBIS-DDSM data set)",
            priority="urgent",
            images=images,
            truth={"source": "CBIS-DDSM P_00820", "L": "malignant", "R": "benign"},
        )


def _breakhis(root: Path) -> Iterator[Case]:
    """H&E photographs through a 4× objective (Spanhol 2016, table 2: 0.49 µm a pixel)."""
    names = {"SOB_B_F-14-25197-40-023.png": "fibroadenoma", "SOB_M_DC-14-2523-40-010.png": "ductal carcinoma"}
    for number, (name, label) in enumerate(names.items(), 1):
        path = root / "breakhis" / name
        if path.is_file():
            yield Case(
                key=f"breakhis/{name}",
                modality="SM",
                patient_id=f"BREAKHIS-{number}",
                patient_name=f"BREAKHIS^Specimen {number}",
                birth_date=None,
                procedure="Breast biopsy, H&E photograph (BreakHis data set)",
                images=_fixed(CaseImage(path, "field-1.png", pixel_spacing_um=0.49)),
                truth={"source": "BreakHis", "file": name, "label": label},
            )


def _idc_mosaic(root: Path) -> Iterator[Case]:
    """A section put together from its fields (Cruz-Roa 2014), at about 4 µm a pixel."""
    path = root / "idc_mosaic" / "14082.png"
    if path.is_file():
        yield Case(
            key="idc/14082",
            modality="SM",
            patient_id="IDC-14082",
            patient_name="IDC^Section 14082",
            birth_date=None,
            procedure="Breast resection, H&E overview (IDC data set)",
            images=_fixed(CaseImage(path, "section.png", pixel_spacing_um=4.0)),
            truth={"source": "IDC 14082", "label": "invasive ductal carcinoma", "map": "14082_labels.png"},
        )


def _her2st_slide(root: Path) -> Iterator[Case]:
    """A whole breast section (Andersson 2021); its 0.67 µm a pixel is an estimate."""
    path = root / "wsi" / "her2st-B4.pyramid.tif"
    if path.is_file():
        yield Case(
            key="her2st/B4",
            modality="SM",
            patient_id="HER2ST-B4",
            patient_name="HER2ST^Section B4",
            birth_date=None,
            procedure="Breast resection, H&E whole slide (HER2 spatial transcriptomics data set)",
            priority="urgent",
            is_slow=True,
            images=_fixed(CaseImage(path, "section-B4.tif", pixel_spacing_um=0.67)),
            truth={"source": "her2st B4", "label": "HER2-positive carcinoma"},
        )


def _renumbered(original: Path, copy: Path) -> Path:
    """The same object under another SOP Instance UID, always the same one; its pixels stay as encoded."""
    dataset = pydicom.dcmread(original)
    uid = UID(f"2.25.{uuid.uuid5(NAMESPACE, str(dataset.SOPInstanceUID)).int}")
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
    dataset.save_as(copy)
    return copy


def _rows(path: Path) -> list[dict[str, str]]:
    """A collection's table, empty where the collection is not there."""
    if not path.is_file():
        return []
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))

"""Tiny trees of the mammography sets."""

from __future__ import annotations

import gzip
import plistlib
from pathlib import Path
from typing import Literal

import numpy as np

from inference.datasets.generated import pictures

_ROOT_UID = "1.3.6.1.4.1.9590.100.1.2"


def mini_mias(root: Path) -> None:
    """y from the bottom, several lines a film, lines without coordinates, notes, PGM and PNG, a missing film,
    an X without its Y."""
    lines = (
        "INFORMATION:",
        "mdb001 G CIRC B 535 425 197",
        "mdb002 G CIRC B 522 280 69",
        "mdb003 D NORM",
        "mdb004 D NORM",
        "mdb005 F CIRC B 477 133 30",
        "mdb005 F CIRC M 500 168 26",
        "mdb006 F NORM",
        "mdb059 F CIRC B",
        "mdb060 F NORM",
        "mdb216 D CALC M *NOTE 3*",
        "mdb217 G NORM",
        "mdb218 G SPIC B 519 629 79 surplus words",
        "mdb219 G CALC B 546",
        "mdb300 G NORM",
    )
    pictures.text(root / "Info.txt", "\n".join(lines) + "\n")
    for number in (1, 2, 3, 4, 5, 6, 59, 60, 216, 217):
        ending = "pgm" if number % 2 else "png"
        pictures.gray(root / f"mdb{number:03d}.{ending}", 1024, 1024)
    pictures.gray(root / "mdb322.pgm", 1024, 1024)  # a film that the table does not name


def ddsm(root: Path) -> None:
    """Overlay and none, gzipped files, a case with missing fields and words for numbers, films that were not
    converted, a broken chain code, an overlay that is cut off, one that is missing, one that contradicts its
    folder, a header that is no text."""
    cancer = root / "cases" / "cancers" / "cancer_01" / "case0001"
    views = [
        "LEFT_CC LINES 96 PIXELS_PER_LINE 64 BITS_PER_PIXEL 12 RESOLUTION 50 OVERLAY",
        "LEFT_MLO LINES 96 PIXELS_PER_LINE 64 BITS_PER_PIXEL 12 RESOLUTION 50 OVERLAY",
        "RIGHT_CC LINES 96 PIXELS_PER_LINE 64 BITS_PER_PIXEL 12 RESOLUTION 50 NON_OVERLAY",
        "RIGHT_MLO LINES 96 PIXELS_PER_LINE 64 BITS_PER_PIXEL 12 RESOLUTION 50 NON_OVERLAY",
    ]
    header = "ics_version 1.0\nfilename A-0001-1\nDATE_OF_STUDY 2 7 1995\nPATIENT_AGE 69\nDENSITY 3\nDIGITIZER LUMISYS LASER\nSEQUENCE\n"
    pictures.text(cancer / "A-0001-1.ics", header + "\n".join(views) + "\n")
    for view in ("LEFT_CC", "LEFT_MLO", "RIGHT_CC"):
        pictures.gray(cancer / f"A_0001_1.{view}.png", 64, 96)
    square = "2 " * 10 + "4 " * 10 + "6 " * 10 + "0 " * 10
    overlay = (
        "TOTAL_ABNORMALITIES 2\nABNORMALITY 1\nLESION_TYPE MASS SHAPE IRREGULAR MARGINS SPICULATED\n"
        "LESION_TYPE CALCIFICATION TYPE PLEOMORPHIC DISTRIBUTION CLUSTERED\nASSESSMENT 5\nSUBTLETY 4\nPATHOLOGY MALIGNANT\n"
        f"TOTAL_OUTLINES 2\nBOUNDARY\n20 30 {square}#\n\tCORE\n22 33 2 4 6 0 #\n"
        "ABNORMALITY 2\nLESION_TYPE MASS SHAPE OVAL MARGINS CIRCUMSCRIBED\nASSESSMENT 2\nSUBTLETY 5\nPATHOLOGY BENIGN\n"
        f"TOTAL_OUTLINES 1\nBOUNDARY\n58 4 {square}#\n"
    )
    pictures.text(cancer / "A_0001_1.LEFT_CC.OVERLAY", overlay)
    pictures.text(cancer / "A_0001_1.LEFT_MLO.OVERLAY", overlay.replace("22 33 2 4 6 0", "22 33 2 9 6 0"))
    normal = root / "cases" / "normals" / "normal_01" / "case0002"
    pictures.text(
        normal / "D-0002-1.ics",
        "filename D-0002-1\nSEQUENCE\nLEFT_CC LINES 96 PIXELS_PER_LINE 64 BITS_PER_PIXEL 12 NON_OVERLAY\n",
    )
    pictures.gray(normal / "D_0002_1.LEFT_CC.png", 64, 96)

    benign = root / "cases" / "benigns" / "benign_01" / "case0003"
    lines = "LINES 96 PIXELS_PER_LINE 64 BITS_PER_PIXEL 12 RESOLUTION"
    header = (
        "filename B-0003-1\nPATIENT_AGE unknown\nDENSITY 2\nDIGITIZER DBA\nSEQUENCE\n"
        f"LEFT_CC {lines} fifty OVERLAY\nLEFT_MLO {lines} 42 OVERLAY\n"
        f"RIGHT_CC {lines} 42 OVERLAY\nRIGHT_MLO {lines} 42 OVERLAY\n"
    )
    benign.mkdir(parents=True, exist_ok=True)
    (benign / "B-0003-1.ics.gz").write_bytes(gzip.compress(header.encode(), mtime=0))
    for view in ("LEFT_CC", "LEFT_MLO", "RIGHT_CC"):
        pictures.gray(benign / f"B_0003_1.{view}.tif", 64, 96)
    single = overlay[: overlay.index("ABNORMALITY 2")].replace("ABNORMALITIES 2", "ABNORMALITIES 1")
    for view, text in (
        ("LEFT_CC", single.replace("MALIGNANT", "BENIGN")),
        ("LEFT_MLO", single),
        ("RIGHT_MLO", single),
    ):
        (benign / f"B_0003_1.{view}.OVERLAY.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    pictures.gray(cancer / "A_0001_1.RIGHT_MLO.png", 64, 96)
    pictures.text(cancer / "A_0001_1.RIGHT_MLO.OVERLAY", overlay[: overlay.index("ABNORMALITY 2")])
    broken = root / "cases" / "normals" / "normal_01" / "case0004" / "D-0004-1.ics"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"\x00\x01\x02")


Layout = Literal["kaggle", "tcia", "nbia"]


def cbis_ddsm(root: Path, layout: Layout = "kaggle") -> None:
    """Both spellings of density, newlines inside paths, swapped crop and mask, several lesions a film, a woman
    in mass-train and calc-test, a film without a file, a row that is cut off, a lesion that two rows judge
    differently. The pixels lie as in the Kaggle mirror (JPEG by series), as the paths of the tables say (TCIA)
    or as NBIA hands them out today (folders named by date). Of the mirror, a film's series holds another picture
    too, which only `dicom_info.csv` tells from the film."""
    mass = "patient_id,breast_density,left or right breast,image view,abnormality id,abnormality type,mass shape,mass margins,assessment,pathology,subtlety,image file path,cropped image file path,ROI mask file path"
    calc = mass.replace("breast_density", "breast density").replace(
        "mass shape,mass margins", "calc type,calc distribution"
    )

    def row(
        subset: str,
        part: str,
        woman: str,
        density: int,
        side: str,
        lesion: int,
        pathology: str,
        swapped: bool = False,
        files: bool = True,
    ) -> str:
        film = f"{subset.title()}-{part}_{woman}_{side}_CC"
        number = sum(film.encode())
        series = f"{_ROOT_UID}.{number}"
        crops = f"{_ROOT_UID}.{number}{lesion}"
        if files:
            _film(root, layout, film, series, crops, lesion, swapped)
        image = f"{film}/{_ROOT_UID}.1/{series}/000000.dcm"
        crop = f"{film}_{lesion}/{_ROOT_UID}.2/{crops}/000000.dcm\n"
        mask = f"{film}_{lesion}/{_ROOT_UID}.2/{crops}/000001.dcm\n"
        kind = "mass" if subset == "mass" else "calcification"
        return f'{woman},{density},{side},CC,{lesion},{kind},OVAL,CLUSTERED,4,{pathology},3,{image},"{crop}","{mask}"'

    tables = {
        "mass_case_description_train_set.csv": [
            mass,
            row("mass", "Training", "P_00001", 3, "LEFT", 1, "BENIGN"),
            row("mass", "Training", "P_00001", 3, "LEFT", 2, "MALIGNANT", swapped=True),
            row("mass", "Training", "P_00002", 2, "RIGHT", 1, "BENIGN_WITHOUT_CALLBACK"),
            row("mass", "Training", "P_00003", 1, "RIGHT", 1, "BENIGN", files=False),
            row("mass", "Training", "P_00003", 1, "RIGHT", 1, "MALIGNANT", files=False),
            "P_00004,2,LEFT,CC,1,mass",
        ],
        "mass_case_description_test_set.csv": [
            mass,
            row("mass", "Test", "P_00016", 4, "LEFT", 1, "MALIGNANT"),
        ],
        "calc_case_description_train_set.csv": [
            calc,
            row("calc", "Training", "P_00005", 3, "RIGHT", 1, "MALIGNANT"),
        ],
        "calc_case_description_test_set.csv": [calc, row("calc", "Test", "P_00002", 2, "LEFT", 1, "BENIGN")],
    }
    for name, lines in tables.items():
        pictures.text(root / "csv" / name, "\n".join(lines) + "\n")


def _film(root: Path, layout: Layout, film: str, series: str, crops: str, lesion: int, swapped: bool) -> None:
    """The full film, and one crop and one mask of a lesion in a series of their own; swapped, the mask's file
    comes first."""
    disc = (30.0, 40.0, 9.0)
    crop_number, mask_number = (2, 1) if swapped else (1, 2)
    if layout == "kaggle":
        pictures.gray(root / "jpeg" / series / "1-001.jpg", 64, 96, key=series)
        pictures.gray(root / "jpeg" / series / "0-002.jpg", 32, 32, key=series + "thumbnail")
        pictures.gray(root / "jpeg" / crops / f"{crop_number}-001.jpg", 32, 32, key=crops)
        marked = np.where(pictures.inside(64, 96, disc), 255, 0).astype(np.uint8)
        pictures.save(root / "jpeg" / crops / f"{mask_number}-001.jpg", marked)
        table = root / "csv" / "dicom_info.csv"
        if not table.is_file():
            pictures.text(table, "file_path,image_path,SeriesDescription\n")
        with table.open("a", encoding="utf-8") as lines:
            for name, described in (("1-001", "full mammogram images"), ("0-002", "cropped images")):
                lines.write(f"x.dcm,CBIS-DDSM/jpeg/{series}/{name}.jpg,{described}\n")
        return
    if layout == "tcia":
        full = root / film / f"{_ROOT_UID}.1" / series / "000000.dcm"
        folder = root / f"{film}_{lesion}" / f"{_ROOT_UID}.2" / crops
        crop, mask = (folder / f"{number - 1:06d}.dcm" for number in (crop_number, mask_number))
    else:
        full = root / film / "07-20-2016-DDSM-NA-74994" / "1.000000-full mammogram images-24515" / "1-1.dcm"
        folder = root / f"{film}_{lesion}" / "07-21-2016-DDSM-NA-96009" / "1.000000-ROI mask images-05240"
        crop, mask = (folder / f"1-{number}.dcm" for number in (crop_number, mask_number))
    pictures.dicom(full, 64, 96, series=series)
    pictures.dicom(crop, 32, 32, series=crops)
    pictures.dicom(mask, 64, 96, series=crops, mask=disc)


def inbreast(root: Path) -> None:
    """Totals rows, a file name read as a float, both spellings of asymmetry, one-point regions, a broken XML, a
    point that is none, a mass without XML, outlines without a film, a film listed twice with other BI-RADS, one
    without BI-RADS."""
    folder = root / "INbreast Release 1.0"
    films = (
        ("20586908", "6c613a14b80a8591", "R", "CC", "2", "Mass "),
        ("20586934", "6c613a14b80a8591", "L", "ML", "5", ""),
        ("20586960", "6c613a14b80a8591", "R", "ML", "1", ""),
        ("22427705", "d8205a09c8173f44", "L", "CC", "4a", "Asimmetry"),
        ("22427751", "d8205a09c8173f44", "R", "CC", "", "Cluster"),
        ("22427728", "d8205a09c8173f44", "L", "ML", "3", "Mass "),
    )
    heading = (
        "Patient ID;Patient age;Laterality;View;Acquisition date;File Name;ACR;Bi-Rads;Mass ;Micros;Distortion;"
        "Asymmetry;Findings Notes (in Portuguese);Lesion Annotation Status;Pectoral Muscle Annotation;Other Annotations;Other Notes"
    )
    rows = [heading]
    for number, patient, side, view, birads, finding in films:
        film = folder / "AllDICOMs" / f"{number}_{patient}_MG_{side}_{view}_ANON.dcm"
        pictures.dicom(film, 64, 96, series=f"2.25.{number}")
        shown = f"{number}.0" if number == "20586934" else number
        rows.append(
            f"removed;removed;{side};{view};201001;{shown};3;{birads};{'X' if finding == 'Mass ' else ''};;;;;;;;"
        )
        content = {
            "Images": [
                {
                    "NumberOfROIs": 2,
                    "ROIs": [
                        {
                            "Name": finding.strip(),
                            "NumberOfPoints": 3,
                            "Point_px": ["(10.5, 20.0)", "(30.0, 20.0)", "(30.0, 44.0)"],
                        },
                        {"Name": "Calcification", "NumberOfPoints": 1, "Point_px": ["(12, 13)"]},
                    ],
                }
            ]
        }
        (folder / "AllXML").mkdir(exist_ok=True)
        (folder / "AllXML" / f"{number}.xml").write_bytes(plistlib.dumps(content))
    pictures.text(folder / "AllXML" / "20586960.xml", "<plist><dict>")
    (folder / "AllXML" / "22427728.xml").rename(folder / "AllXML" / "11111111.xml")
    whole = (folder / "AllXML" / "22427751.xml").read_text(encoding="utf-8")
    pictures.text(folder / "AllXML" / "22427751.xml", whole.replace("(12, 13)", "12 13"))
    rows += [
        "removed;removed;L;CC;201001;22427705;3;2;;;;;;;;;",
        "removed;removed;R;CC;201001;99999999;2;3;;;;;;;;;",
        ";;;;;;;;116;;;;;;;;",
        ";;;;;;;total;;;;;;;;;",
    ]
    pictures.text(folder / "INbreast.csv", "\n".join(rows) + "\n")


def cbis_mass_256(root: Path) -> None:
    """Six women, both breasts of one, a `mixed` film, a mask that is missing."""
    rows = ["file,mask,patient,side,view,pathology,malignant,mixed,birads,density,subtlety,n_abn,split"]
    for number in range(1, 7):
        malignant = number % 2
        for side in ("LEFT", "RIGHT") if number == 1 else ("LEFT",):
            stem = f"Mass-Training_P_{number:05d}_{side}_CC"
            image, mask = f"{stem}_FULL___PRE.png", f"{stem}_MASK_1___PRE.png"
            pictures.gray(root / "images" / image, 256, 256, (60 + number * 9, 120, 12))
            if number != 6:
                pictures.mask(root / "masks" / mask, 256, 256, (60 + number * 9, 120, 12))
            label = "MALIGNANT" if malignant else "BENIGN"
            split = "val" if number > 4 else "train"
            rows.append(
                f"{image},{mask},P_{number:05d},{side},CC,{label},{malignant},{int(number == 3)},3|4,2,3,1,{split}"
            )
    pictures.text(root / "split.csv", "\n".join(rows) + "\n")

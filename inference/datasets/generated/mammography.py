"""Tiny trees of the mammography sets."""

from __future__ import annotations

import plistlib
from pathlib import Path

import numpy as np

from inference.datasets.generated import pictures

_ROOT_UID = "1.3.6.1.4.1.9590.100.1.2"


def mini_mias(root: Path) -> None:
    """y from the bottom, several lines a film, lines without coordinates, notes, PGM and PNG, a missing film."""
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
        "mdb300 G NORM",
    )
    pictures.text(root / "Info.txt", "\n".join(lines) + "\n")
    for number in (1, 2, 3, 4, 5, 6, 59, 60, 216, 217):
        ending = "pgm" if number % 2 else "png"
        pictures.gray(root / f"mdb{number:03d}.{ending}", 1024, 1024)
    pictures.gray(root / "mdb322.pgm", 1024, 1024)  # a film that the table does not name


def ddsm(root: Path) -> None:
    """Overlay and none, a case with missing fields, a film that was not converted, a broken chain code."""
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


def cbis_ddsm(root: Path) -> None:
    """Both spellings of density, newlines inside paths, swapped crop and mask, several lesions a film, a woman
    in mass-train and calc-test, a film without a file."""
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
            pictures.gray(root / "jpeg" / series / "1-001.jpg", 64, 96)
            names = ("1-001.jpg", "2-001.jpg") if not swapped else ("2-001.jpg", "1-001.jpg")
            pictures.gray(root / "jpeg" / crops / names[0], 32, 32)
            marked = pictures.inside(64, 96, (30, 40, 9))
            pictures.save(root / "jpeg" / crops / names[1], np.where(marked, 255, 0).astype(np.uint8))
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


def inbreast(root: Path) -> None:
    """Totals rows, a file name read as a float, both spellings of asymmetry, one-point regions, a broken XML."""
    folder = root / "INbreast Release 1.0"
    films = (
        ("20586908", "6c613a14b80a8591", "R", "CC", "2", "Mass "),
        ("20586934", "6c613a14b80a8591", "L", "ML", "5", ""),
        ("20586960", "6c613a14b80a8591", "R", "ML", "1", ""),
        ("22427705", "d8205a09c8173f44", "L", "CC", "4a", "Asimmetry"),
    )
    heading = (
        "Patient ID;Patient age;Laterality;View;Acquisition date;File Name;ACR;Bi-Rads;Mass ;Micros;Distortion;"
        "Asymmetry;Findings Notes (in Portuguese);Lesion Annotation Status;Pectoral Muscle Annotation;Other Annotations;Other Notes"
    )
    rows = [heading]
    for number, patient, side, view, birads, finding in films:
        pictures.text(
            folder / "AllDICOMs" / f"{number}_{patient}_MG_{side}_{view}_ANON.dcm", "pixels are not read here"
        )
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
    rows += [
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

"""INbreast full-field digital mammograms (Moreira 2012): DICOM, one OsiriX XML a film, one sheet for all.

No pathology exists for every film: the customary task is BI-RADS 1–3 against 4–6, and the first side holds
the normal films. The woman is the hash in the file name; the sheet's Patient ID is blank. The sheet ends in
totals.
"""

from __future__ import annotations

import csv
import plistlib
import re
from pathlib import Path
from xml.parsers.expat import ExpatError

from inference.contract import Modality
from inference.datasets.sample import DatasetError, Manifest, Outline, Sample, expected_counts

NAME = "inbreast"
LICENCE = "research agreement (Moreira et al. 2012)"
SPACING_UM = 70.0
PUBLISHED = {"1": 67, "2": 220, "3": 23, "4a": 13, "4b": 8, "4c": 22, "5": 49, "6": 8}
#: spellings of the XML files → one name
FINDINGS = {
    "mass": "mass",
    "calcification": "calcification",
    "calcifications": "calcification",
    "cluster": "cluster",
    "distortion": "distortion",
    "asymmetry": "asymmetry",
    "asimmetry": "asymmetry",
    "spiculated region": "spiculated_region",
    "unnamed": "unnamed",
    "": "unnamed",
}
_FILE = re.compile(
    r"^(?P<number>\d+)_(?P<patient>[0-9a-f]+)_MG_(?P<side>[LR])_(?P<view>CC|ML)_ANON\.dcm$", re.IGNORECASE
)
_POINT = re.compile(r"\(\s*(-?[\d.]+)\s*,\s*(-?[\d.]+)\s*\)")


def read(root: Path) -> Manifest:
    """One sample a DICOM file that the sheet names. Labels are BI-RADS categories.

    Raises:
        DatasetError: no `INbreast.csv`; an `.xls` must be saved as CSV first.
    """
    sheet, warnings = _sheet(root)
    annotations = {path.stem: path for path in root.rglob("*.xml") if "pectoral" not in str(path).lower()}
    samples = []
    for path in sorted(root.rglob("*.dcm")):
        match = _FILE.match(path.name)
        if match is None:
            warnings.append(f"{path.name}: not a name of this set, left out")
            continue
        row = sheet.pop(match["number"], None)
        if row is None:
            warnings.append(f"{path.name}: not in the sheet, left out")
            continue
        birads = row.get("Bi-Rads", "").lower()
        outlines: tuple[Outline, ...] = ()
        if match["number"] in annotations:
            try:
                outlines = regions(annotations[match["number"]])
            except (plistlib.InvalidFileException, ExpatError, ValueError, KeyError, IndexError) as error:
                warnings.append(f"{annotations[match['number']].name}: unreadable ({error})")
        samples.append(
            Sample(
                id=match["number"],
                dataset=NAME,
                modality=Modality.MAMMOGRAPHY,
                path=path,
                group_id=match["patient"],
                patient_id=match["patient"],
                label=birads,
                label_binary=birads[:1] in {"4", "5", "6"},
                laterality=match["side"].upper(),
                view={"CC": "CC", "ML": "MLO"}[match["view"].upper()],
                density=row.get("ACR") or None,
                birads=birads,
                spacing_um=SPACING_UM,
                outlines=outlines,
                extra={
                    name: str(row.get(name, "").upper() == "X")
                    for name in ("Mass", "Micros", "Distortion", "Asymmetry")
                },
            )
        )
    warnings += [f"{number}: in the sheet, no file" for number in sheet]
    counts = Manifest(NAME, LICENCE, tuple(samples)).counts
    return Manifest(NAME, LICENCE, tuple(samples), (*warnings, *expected_counts(NAME, counts, PUBLISHED)))


def _sheet(root: Path) -> tuple[dict[str, dict[str, str]], list[str]]:
    table = next(iter(sorted(root.rglob("INbreast.csv"))), None)
    if table is None:
        hint = (
            "save INbreast.xls as INbreast.csv"
            if list(root.rglob("INbreast.xls"))
            else "INbreast.csv is missing"
        )
        raise DatasetError(f"{root.name}: {hint}")
    text = table.read_text(encoding="utf-8-sig", errors="replace")
    rows: dict[str, dict[str, str]] = {}
    warnings = []
    for number, raw in enumerate(csv.DictReader(text.splitlines(), delimiter=";"), start=2):
        row = {
            (key or "").strip(): (value or "").strip() for key, value in raw.items() if isinstance(value, str)
        }
        # A spreadsheet reads file names as numbers: 20586908.0.
        name = re.sub(r"\.0+$", "", row.get("File Name", ""))
        if name.isdigit():
            rows[name] = row
        elif any(row.values()) and row.get("Bi-Rads"):
            warnings.append(f"{table.name}: line {number} has no file name, left out")
    return rows, warnings


def regions(annotation: Path) -> tuple[Outline, ...]:
    """The regions of an OsiriX XML file (an Apple property list); x is the column. One or two points mark a
    single calcification.

    Raises:
        plistlib.InvalidFileException, xml.parsers.expat.ExpatError, ValueError, KeyError, IndexError:
            not such a file.
    """
    with annotation.open("rb") as stream:
        content = plistlib.load(stream, fmt=plistlib.FMT_XML)
    found = []
    for roi in content["Images"][0]["ROIs"]:
        label = FINDINGS.get(str(roi.get("Name", "")).strip().lower(), "unknown")
        matches = (_POINT.search(text) for text in roi.get("Point_px", ()))
        points = tuple((float(m[1]), float(m[2])) for m in matches if m)
        if points:
            found.append(Outline(label, points))
    return tuple(found)

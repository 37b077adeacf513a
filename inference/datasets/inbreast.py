"""INbreast full-field digital mammograms (Moreira 2012): DICOM, one OsiriX XML a film, one sheet for all.

No pathology exists for every film: the customary task is BI-RADS 1–3 against 4–6, and the first side holds
the normal films. The woman is the hash in the file name; the sheet's Patient ID is blank. The sheet ends in
totals.
"""

from __future__ import annotations

import plistlib
import re
from pathlib import Path
from xml.parsers.expat import ExpatError

from inference.datasets.notes import Notes, Trouble
from inference.datasets.sample import MAMMOGRAPHY, DatasetError, Manifest, Outline, Sample
from inference.datasets.tables import by_key, table_rows

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

    Raises
    ------
    DatasetError
        No `INbreast.csv`; an `.xls` must be saved as CSV first.
    """
    notes = Notes()
    table = _table(root)
    sheet = _sheet(table, notes)
    annotations = {path.stem: path for path in root.rglob("*.xml") if "pectoral" not in str(path).lower()}
    samples = []
    for path in sorted(root.rglob("*.dcm")):
        match = _FILE.match(path.name)
        if match is None:
            notes.warn(f"{path.name}: not a name of this set, left out")
            continue
        row = sheet.pop(match["number"], None)
        if row is None:
            notes.warn(f"{path.name}: not in the sheet, left out")
            continue
        view = {"CC": "CC", "ML": "MLO"}[match["view"].upper()]
        if row.get("Laterality", "")[:1] not in {"", match["side"].upper()}:
            notes.conflict((path, table), f"{path.name}: the sheet says side {row['Laterality']}")
        birads = row.get("Bi-Rads", "").lower()
        if birads not in PUBLISHED:
            notes.warn(f"{path.name}: BI-RADS {birads or 'missing'} is no category, label unknown")
        outlines: tuple[Outline, ...] = ()
        annotation = annotations.pop(match["number"], None)
        if annotation is not None:
            try:
                outlines = regions(annotation)
            except ValueError as error:
                notes.unreadable(annotation, error)
        elif row.get("Mass", "").upper() == "X":
            notes.defect(Trouble.NO_MASK, path, f"{path.name}: a mass in the sheet, no XML file")
        samples.append(
            Sample(
                id=match["number"],
                dataset=NAME,
                discipline=MAMMOGRAPHY,
                path=path,
                group_id=match["patient"],
                patient_id=match["patient"],
                label=birads if birads in PUBLISHED else "unknown",
                label_binary=birads[0] in {"4", "5", "6"} if birads in PUBLISHED else None,
                laterality=match["side"].upper(),
                view=view,
                density=row.get("ACR") or None,
                birads=birads or None,
                spacing_um=SPACING_UM,
                outlines=outlines,
                extra={
                    name: str(row.get(name, "").upper() == "X")
                    for name in ("Mass", "Micros", "Distortion", "Asymmetry")
                },
            )
        )
    if not samples:
        raise DatasetError(f"{root.name}: no DICOM file that {table.name} names")
    for number in sheet:
        notes.warn(f"{number}: in the sheet, no file")
    for annotation in sorted(annotations.values()):
        notes.defect(Trouble.NO_IMAGE, annotation, f"{annotation.name}: outlines without a film")
    notes.counts(NAME, Manifest(NAME, LICENCE, tuple(samples)).counts, PUBLISHED)
    return Manifest.noted(NAME, LICENCE, samples, notes)


def _table(root: Path) -> Path:
    table = next(iter(sorted(root.rglob("INbreast.csv"))), None)
    if table is None:
        has_workbook = next(root.rglob("INbreast.xls*"), None) is not None
        hint = "save INbreast.xls as INbreast.csv" if has_workbook else "INbreast.csv is missing"
        raise DatasetError(f"{root.name}: {hint}")
    return table


def _sheet(table: Path, notes: Notes) -> dict[str, dict[str, str]]:
    """Rows by file name. The totals at the end have neither a file name nor anything in the columns that
    tell a film; a film's row without a name is noted."""
    named = []
    for line, row in table_rows(table, (), notes, delimiter=";"):
        # A spreadsheet reads file names as numbers: 20586908.0.
        name = re.sub(r"\.0+$", "", row.get("File Name", ""))
        if name.isdigit():
            named.append((line, {**row, "File Name": name}))
        elif row.get("Laterality") or row.get("View"):
            notes.unreadable(table, f"line {line} has no file name")
    return by_key(named, "File Name", table, notes)


def regions(annotation: Path) -> tuple[Outline, ...]:
    """The regions of an OsiriX XML file (an Apple property list); x is the column. One or two points mark a
    single calcification.

    Raises
    ------
    ValueError
        Not such a file; what is wrong in a few words.
    """
    try:
        with annotation.open("rb") as stream:
            content = plistlib.load(stream, fmt=plistlib.FMT_XML)
        regions_of_film = content["Images"][0]["ROIs"]
    except (
        plistlib.InvalidFileException,
        ExpatError,
        LookupError,
        TypeError,
        AttributeError,
        OSError,
    ) as error:
        raise ValueError(f"no property list of regions: {error}") from error
    found = []
    for roi in regions_of_film:
        texts = roi.get("Point_px", ()) if isinstance(roi, dict) else None
        if texts is None:
            raise ValueError("a region is no dictionary")
        label = FINDINGS.get(str(roi.get("Name") or "").strip().lower(), "unknown")
        matches = [_POINT.search(str(text)) for text in texts]
        if not all(matches):
            raise ValueError("a point is not (x, y)")
        points = tuple((float(m[1]), float(m[2])) for m in matches if m)
        if points:
            found.append(Outline(label, points))
    return tuple(found)

"""mini-MIAS film mammograms (Suckling 1994; research only): MLO views, 1024×1024, 200 µm, PGM or PNG.

`Info.txt`: `mdbNNN F|G|D CLASS [B|M [X Y RADIUS]]`, y counted from the bottom, several lines an image,
lines with `*NOTE 3*` or without coordinates. Woman = (n+1)//2; odd numbers are right breasts.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from inference.contract import Box
from inference.datasets.notes import Notes, Trouble
from inference.datasets.sample import MAMMOGRAPHY, DatasetError, Manifest, Sample
from inference.datasets.tables import by_key, table_rows, text_of

NAME = "mini_mias"
LICENCE = "research only (MIAS licence agreement; Suckling et al. 1994)"
SIDE_PX = 1024
SPACING_UM = 200.0
#: classes are counted from the file: sums over images with several lesions are quoted differently
PUBLISHED_FILMS = 322
_LINE = re.compile(
    r"^(?P<film>mdb(?P<number>\d{3}))\s+(?P<density>[FGD])\s+(?P<kind>CALC|CIRC|SPIC|MISC|ARCH|ASYM|NORM)"
    r"(?:\s+(?P<severity>[BM])(?:\s+(?P<x>\d+)\s+(?P<y>\d+)\s+(?P<radius>\d+)|\s+(?P<note>\*NOTE.*))?)?\s*$"
)


def read(root: Path) -> Manifest:
    """One sample a film that `Info.txt` names and that exists; label `normal`, `benign` or `malignant`
    (the worst of its lines), `label_binary` = abnormal. Radius, kinds and severity stand in `extra`.

    Raises
    ------
    DatasetError
        `Info.txt` is missing.
    """
    table = root / "Info.txt"
    if not table.is_file():
        raise DatasetError(f"{root.name} has no Info.txt")
    notes = Notes()
    films = _films(table, notes)
    published = _published_split(root / "split.csv", notes)
    samples = []
    for film, lines in films.items():
        path = next(
            (root / f"{film}{end}" for end in (".png", ".pgm") if (root / f"{film}{end}").is_file()), None
        )
        if path is None:
            notes.warn(f"{film}: in Info.txt, no file")
            continue
        number = int(lines[0]["number"])
        severities = {line["severity"] for line in lines}
        label = "malignant" if "M" in severities else "benign" if "B" in severities else "normal"
        row = published.get(film)
        if row and row.get("patient") not in {None, "", str((number + 1) // 2)}:
            notes.conflict(
                (path, root / "split.csv"), f"{film}: split.csv gives it to woman {row['patient']}"
            )
        samples.append(
            Sample(
                id=film,
                dataset=NAME,
                discipline=MAMMOGRAPHY,
                path=path,
                patient_id=str((number + 1) // 2),
                group_id=str((number + 1) // 2),
                laterality="R" if number % 2 else "L",
                view="MLO",
                label=label,
                label_binary=label != "normal",
                density=lines[0]["density"],
                split=row["split"] if row else None,
                spacing_um=SPACING_UM,
                boxes=tuple(_box(line) for line in lines if line["x"]),
                extra={"kinds": " ".join(sorted({line["kind"] for line in lines}))},
            )
        )
    for path in sorted((*root.glob("mdb*.png"), *root.glob("mdb*.pgm"))):
        if path.stem not in films:
            notes.warn(f"{path.name}: not in Info.txt, left out")
    notes.counts(NAME, {"film": len(samples)}, {"film": PUBLISHED_FILMS}, what="files")
    return Manifest.noted(NAME, LICENCE, samples, notes)


def _films(table: Path, notes: Notes) -> dict[str, list[re.Match[str]]]:
    """The lines of `Info.txt` by film; what looks like one and is none is named."""
    films: dict[str, list[re.Match[str]]] = defaultdict(list)
    for line in (text_of(table, notes) or "").splitlines():
        match = _LINE.match(line)
        if match:
            films[match["film"]].append(match)
        elif re.match(r"^mdb\d{3}\s", line):
            notes.defect(Trouble.UNREADABLE, table, f"Info.txt: line not understood: {line.strip()}")
    for film, lines in films.items():
        for field in ("density", "kind"):
            stated = sorted({line[field] for line in lines})
            if len(stated) > 1 and (field == "density" or "NORM" in stated):
                notes.conflict(table, f"Info.txt: {film} is listed as {' and as '.join(stated)}")
    return films


def _box(line: re.Match[str]) -> Box:
    """The circle's bounding box; `Info.txt` counts y from the bottom."""
    x, y, radius = float(line["x"]), SIDE_PX - 1 - float(line["y"]), float(line["radius"])
    return max(0.0, x - radius), max(0.0, y - radius), x + radius + 1, y + radius + 1


def _published_split(table: Path, notes: Notes) -> dict[str, dict[str, str]]:
    if not table.is_file():
        return {}
    return by_key(table_rows(table, ("image", "split"), notes), "image", table, notes)

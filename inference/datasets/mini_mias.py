"""mini-MIAS film mammograms (Suckling 1994; research only): MLO views, 1024×1024, 200 µm, PGM or PNG.

`Info.txt`: `mdbNNN F|G|D CLASS [B|M [X Y RADIUS]]`, y counted from the bottom, several lines an image,
lines with `*NOTE 3*` or without coordinates. Woman = (n+1)//2; odd numbers are right breasts.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from pathlib import Path

from inference.contract import Box, Modality
from inference.datasets.sample import DatasetError, Manifest, Sample

NAME = "mini_mias"
LICENCE = "research only (MIAS licence agreement; Suckling et al. 1994)"
SIDE_PX = 1024
SPACING_UM = 200.0
_LINE = re.compile(
    r"^(?P<film>mdb(?P<number>\d{3}))\s+(?P<density>[FGD])\s+(?P<kind>CALC|CIRC|SPIC|MISC|ARCH|ASYM|NORM)"
    r"(?:\s+(?P<severity>[BM])(?:\s+(?P<x>\d+)\s+(?P<y>\d+)\s+(?P<radius>\d+)|\s+(?P<note>\*NOTE.*))?)?\s*$"
)


def read(root: Path) -> Manifest:
    """One sample a film that `Info.txt` names and that exists; label `normal`, `benign` or `malignant`
    (the worst of its lines), `label_binary` = abnormal. Radius, kinds and severity stand in `extra`.

    Raises:
        DatasetError: `Info.txt` is missing.
    """
    table = root / "Info.txt"
    if not table.is_file():
        raise DatasetError(f"{root.name} has no Info.txt")
    films: dict[str, list[re.Match[str]]] = defaultdict(list)
    warnings = []
    for line in table.read_text(encoding="latin-1").splitlines():
        match = _LINE.match(line)
        if match:
            films[match["film"]].append(match)
        elif re.match(r"^mdb\d{3}\s", line):
            warnings.append(f"Info.txt: line not understood: {line.strip()}")
    published = _published_split(root)
    samples = []
    for film, lines in films.items():
        path = next(
            (root / f"{film}{end}" for end in (".png", ".pgm") if (root / f"{film}{end}").is_file()), None
        )
        if path is None:
            warnings.append(f"{film}: in Info.txt, no file")
            continue
        number = int(lines[0]["number"])
        severities = {line["severity"] for line in lines}
        label = "malignant" if "M" in severities else "benign" if "B" in severities else "normal"
        samples.append(
            Sample(
                id=film,
                dataset=NAME,
                modality=Modality.MAMMOGRAPHY,
                path=path,
                patient_id=str((number + 1) // 2),
                group_id=str((number + 1) // 2),
                laterality="R" if number % 2 else "L",
                view="MLO",
                label=label,
                label_binary=label != "normal",
                density=lines[0]["density"],
                split=published.get(film),
                spacing_um=SPACING_UM,
                boxes=tuple(_box(line) for line in lines if line["x"]),
                extra={"kinds": " ".join(sorted({line["kind"] for line in lines}))},
            )
        )
    listed = set(films)
    for path in sorted((*root.glob("mdb*.png"), *root.glob("mdb*.pgm"))):
        if path.stem not in listed:
            warnings.append(f"{path.name}: not in Info.txt, left out")
    return Manifest(NAME, LICENCE, tuple(samples), tuple(warnings))


def _box(line: re.Match[str]) -> Box:
    """The circle's bounding box; `Info.txt` counts y from the bottom."""
    x, y, radius = float(line["x"]), SIDE_PX - 1 - float(line["y"]), float(line["radius"])
    return max(0.0, x - radius), max(0.0, y - radius), x + radius + 1, y + radius + 1


def _published_split(root: Path) -> dict[str, str]:
    table = root / "split.csv"
    if not table.is_file():
        return {}
    with table.open(newline="", encoding="utf-8") as lines:
        return {row["image"]: row["split"] for row in csv.DictReader(lines)}

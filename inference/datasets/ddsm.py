"""DDSM film mammograms (Heath 2001): four views a case, an `.ics` file a case, an `.OVERLAY` a lesion.

The pixels come as a lossless JPEG that no kept decoder reads; converted PNG or TIFF files with the original
stem (`A_0001_1.LEFT_CC.png`) are used where they exist, and every view without one is named. Normals and
cancers were scanned on different machines: a model can learn the digitiser instead of the disease.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from inference.contract import Modality, Point
from inference.datasets.sample import DatasetError, Manifest, Outline, Sample

NAME = "ddsm"
LICENCE = "free for research (Heath et al. 2001)"
VIEWS = ("LEFT_CC", "LEFT_MLO", "RIGHT_CC", "RIGHT_MLO")
SITES = {"A": "MGH", "B": "WFU", "C": "WFU", "D": "ISMD"}
_STEP = {0: (0, -1), 1: (1, -1), 2: (1, 0), 3: (1, 1), 4: (0, 1), 5: (-1, 1), 6: (-1, 0), 7: (-1, -1)}
_SEVERITY = ("NORMAL", "BENIGN_WITHOUT_CALLBACK", "BENIGN", "UNPROVEN", "MALIGNANT")


@dataclass(frozen=True)
class View:
    """One line of the sequence of an `.ics` file. A missing number is -1."""

    name: str
    lines: int
    pixels_per_line: int
    bits_per_pixel: int
    resolution_um: float
    has_overlay: bool


@dataclass(frozen=True)
class Case:
    name: str
    age: int
    density: str
    digitizer: str
    views: tuple[View, ...]


@dataclass(frozen=True)
class Abnormality:
    lesion_types: tuple[str, ...]
    assessment: int
    subtlety: int
    pathology: str
    outlines: tuple[Outline, ...]


def read(root: Path) -> Manifest:
    """One sample a view whose converted picture exists.

    Raises:
        DatasetError: no `.ics` file anywhere.
    """
    headers = sorted(root.rglob("*.ics"))
    if not headers:
        raise DatasetError(f"no .ics file under {root.name}")
    samples: list[Sample] = []
    warnings: list[str] = []
    for header in headers:
        case = parse_ics(header.read_text(encoding="latin-1"))
        stem = header.stem.replace("-", "_")
        for view in case.views:
            path = next(
                (
                    p
                    for end in (".png", ".tif", ".tiff")
                    if (p := header.parent / f"{stem}.{view.name}{end}").is_file()
                ),
                None,
            )
            if path is None:
                warnings.append(f"{stem}.{view.name}: no converted PNG or TIFF beside the original")
                continue
            lesions, complaint = _overlay(header.parent / f"{stem}.{view.name}.OVERLAY", view)
            warnings += complaint
            # A view without a lesion is normal, whatever the other views of its case show.
            worst = max((a.pathology for a in lesions), key=_rank, default="NORMAL")
            samples.append(
                Sample(
                    id=f"{stem}.{view.name}",
                    dataset=NAME,
                    modality=Modality.MAMMOGRAPHY,
                    path=path,
                    group_id=stem,
                    patient_id=stem,
                    label=worst.lower(),
                    label_binary=None if worst == "UNPROVEN" else worst == "MALIGNANT",
                    laterality=view.name[0],
                    view=view.name.split("_")[1],
                    density=case.density,
                    birads="|".join(str(a.assessment) for a in lesions) or None,
                    spacing_um=view.resolution_um if view.resolution_um > 0 else None,
                    outlines=tuple(outline for a in lesions for outline in a.outlines),
                    centre=SITES.get(stem[0]),
                    extra={"digitizer": case.digitizer, "age": str(case.age)},
                )
            )
    return Manifest(NAME, LICENCE, tuple(samples), tuple(warnings))


def _rank(pathology: str) -> int:
    return _SEVERITY.index(pathology) if pathology in _SEVERITY else _SEVERITY.index("UNPROVEN")


def parse_ics(text: str) -> Case:
    """A case from its `.ics` text; fields may be missing."""
    words = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.split()}

    def number(key: str) -> int:
        return int(words[key][0]) if words.get(key) and words[key][0].lstrip("-").isdigit() else -1

    views = []
    for line in text.splitlines():
        parts = line.split()
        if parts and parts[0] in VIEWS:
            fields = {parts[i]: parts[i + 1] for i in range(1, len(parts) - 1) if parts[i].isupper()}
            views.append(
                View(
                    parts[0],
                    int(fields.get("LINES", -1)),
                    int(fields.get("PIXELS_PER_LINE", -1)),
                    int(fields.get("BITS_PER_PIXEL", -1)),
                    float(fields.get("RESOLUTION", -1)),
                    parts[-1] == "OVERLAY",
                )
            )
    return Case(
        name=" ".join(words.get("filename", [])),
        age=number("PATIENT_AGE"),
        density=str(number("DENSITY")) if number("DENSITY") > 0 else "",
        digitizer=" ".join(words.get("DIGITIZER", [])),
        views=tuple(views),
    )


def _overlay(path: Path, view: View) -> tuple[tuple[Abnormality, ...], list[str]]:
    if not path.is_file():
        return (), [f"{path.name}: announced by the .ics file, missing"] if view.has_overlay else []
    try:
        return parse_overlay(path.read_text(encoding="latin-1"), view.pixels_per_line, view.lines), []
    except ValueError as error:
        return (), [f"{path.name}: {error}"]


def parse_overlay(text: str, columns: int, rows: int) -> tuple[Abnormality, ...]:
    """The abnormalities of an `.OVERLAY` text with their chain-coded outlines, clamped to the film.

    The first outline (`BOUNDARY`) encloses the others (`CORE`).

    Raises:
        ValueError: a chain code with a word that is no direction 0–7.
    """
    found = []
    for block in re.split(r"^ABNORMALITY\s+\d+\s*$", text, flags=re.MULTILINE)[1:]:
        fields: dict[str, str] = {}
        types, outlines = [], []
        kind = ""
        for line in (line.strip() for line in block.splitlines()):
            word, _, rest = line.partition(" ")
            if word == "LESION_TYPE":
                types.append(rest.strip())
            elif word in {"BOUNDARY", "CORE"}:
                kind = word.lower()
            elif kind and re.match(r"^\d+\s+\d+\s", line):
                outlines.append(Outline(kind, chain(line, columns, rows)))
            elif word.isupper():
                fields[word] = rest.strip()
        found.append(
            Abnormality(
                tuple(types),
                int(fields.get("ASSESSMENT") or -1),
                int(fields.get("SUBTLETY") or -1),
                fields.get("PATHOLOGY", "UNPROVEN"),
                tuple(outlines),
            )
        )
    return tuple(found)


def chain(line: str, columns: int, rows: int) -> tuple[Point, ...]:
    """`column row d d d … #` as points; direction 0 is north, then clockwise.

    Raises:
        ValueError: a word that is no direction 0–7.
    """
    words = line.split("#")[0].split()
    x, y = int(words[0]), int(words[1])
    points = [(float(x), float(y))]
    for word in words[2:]:
        if not word.isdigit() or int(word) not in _STEP:
            raise ValueError(f"{word} is no direction of a chain code")
        dx, dy = _STEP[int(word)]
        x, y = x + dx, y + dy
        points.append((float(min(max(x, 0), max(columns - 1, 0))), float(min(max(y, 0), max(rows - 1, 0)))))
    return tuple(points)

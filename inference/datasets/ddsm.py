"""DDSM film mammograms (Heath 2001): four views a case, an `.ics` file a case, an `.OVERLAY` a view with lesions;
some files arrive gzipped.

The pixels come as a lossless JPEG that no kept decoder reads; converted PNG or TIFF files with the original
stem (`A_0001_1.LEFT_CC.png`) are used where they exist, and every view without one is named. Normals and
cancers were scanned on different machines: a model can learn the digitiser instead of the disease.
"""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from inference.contract import Point
from inference.datasets.notes import Notes, Trouble
from inference.datasets.sample import MAMMOGRAPHY, DatasetError, Manifest, Outline, Sample
from inference.datasets.tables import text_of

NAME = "ddsm"
LICENCE = "free for research (Heath et al. 2001)"
VIEWS = ("LEFT_CC", "LEFT_MLO", "RIGHT_CC", "RIGHT_MLO")
PICTURE_ENDINGS = (".png", ".tif", ".tiff", ".pgm")
#: what the folder of a case says of it; the worst that its views may show
FOLDERS = {
    "normals": "NORMAL",
    "benign_without_callbacks": "BENIGN_WITHOUT_CALLBACK",
    "benigns": "BENIGN",
    "cancers": "MALIGNANT",
}
PUBLISHED_CASES = {"NORMAL": 695, "BENIGN": 870, "BENIGN_WITHOUT_CALLBACK": 141, "MALIGNANT": 914}
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

    Raises
    ------
    DatasetError
        No `.ics` file anywhere.
    """
    headers = sorted((*root.rglob("*.ics"), *root.rglob("*.ics.gz")))
    if not headers:
        raise DatasetError(f"no .ics file under {root.name}")
    notes = Notes()
    samples: list[Sample] = []
    cases: Counter[str] = Counter()
    for header in headers:
        text = _text(header, notes)
        if text is None:
            continue
        case = parse_ics(text)
        if not case.views:
            notes.unreadable(header, "no view in it")
            continue
        kind = next((kind for part, kind in FOLDERS.items() if part in header.parts), "")
        cases[kind] += 1
        for view in case.views:
            sample = _sample(header, case, view, kind, notes)
            if sample:
                samples.append(sample)
    notes.counts(NAME, dict(cases), PUBLISHED_CASES, what="cases")
    return Manifest.noted(NAME, LICENCE, samples, notes)


def _sample(header: Path, case: Case, view: View, kind: str, notes: Notes) -> Sample | None:
    stem = header.name.removesuffix(".gz").removesuffix(".ics").replace("-", "_")
    name = f"{stem}.{view.name}"
    candidates = (header.parent / f"{name}{end}" for end in PICTURE_ENDINGS)
    path = next((candidate for candidate in candidates if candidate.is_file()), None)
    overlay = next(
        (p for end in ("", ".gz") if (p := header.parent / f"{name}.OVERLAY{end}").is_file()), None
    )
    if path is None:
        if overlay is not None:
            notes.defect(Trouble.NO_IMAGE, overlay, f"{name}: no converted PNG or TIFF for this outline")
        else:
            notes.warn(f"{name}: no converted PNG or TIFF beside the original")
        return None
    lesions: tuple[Abnormality, ...] = ()
    # A view without a lesion is normal, whatever the other views of its case show; one whose lesions
    # cannot be read is not.
    worst = "NORMAL"
    if overlay is not None:
        try:
            lesions = parse_overlay(_text(overlay, notes) or "", view.pixels_per_line, view.lines)
            worst = max((a.pathology for a in lesions), key=_rank)
        except ValueError as error:
            notes.unreadable(overlay, error)
            worst = "UNPROVEN"
    elif view.has_overlay:
        notes.defect(Trouble.NO_MASK, path, f"{name}.OVERLAY: announced by the .ics file, missing")
        worst = "UNPROVEN"
    if worst != "UNPROVEN" and _rank(worst) > _rank(kind or "MALIGNANT"):
        notes.conflict(
            tuple(p for p in (path, overlay) if p), f"{name}: {worst.lower()} in a {kind.lower()} case"
        )
    return Sample(
        id=name,
        dataset=NAME,
        discipline=MAMMOGRAPHY,
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
        extra={"digitizer": case.digitizer, "age": str(case.age), "case": kind.lower()},
    )


def _text(path: Path, notes: Notes) -> str | None:
    """The text of a file that may be gzipped; None, and noted, where it cannot be read."""
    if path.suffix != ".gz":
        return text_of(path, notes)
    try:
        return gzip.decompress(path.read_bytes()).decode("latin-1")
    except (OSError, EOFError, zlib.error) as error:
        notes.unreadable(path, error)
        return None


def _rank(pathology: str) -> int:
    return _SEVERITY.index(pathology) if pathology in _SEVERITY else _SEVERITY.index("UNPROVEN")


def parse_ics(text: str) -> Case:
    """A case from its `.ics` text; fields may be missing."""
    words = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.split()}

    def number(key: str) -> int:
        return int(_number(words[key][0])) if words.get(key) else -1

    views = []
    for line in text.splitlines():
        parts = line.split()
        if parts and parts[0] in VIEWS:
            fields = {parts[i]: parts[i + 1] for i in range(1, len(parts) - 1) if parts[i].isupper()}
            views.append(
                View(
                    parts[0],
                    int(_number(fields.get("LINES"))),
                    int(_number(fields.get("PIXELS_PER_LINE"))),
                    int(_number(fields.get("BITS_PER_PIXEL"))),
                    _number(fields.get("RESOLUTION")),
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


def _number(word: str | None) -> float:
    """-1 for what is missing or no number."""
    try:
        value = float(word or -1)
    except ValueError:
        return -1
    return value if math.isfinite(value) else -1


def parse_overlay(text: str, columns: int, rows: int) -> tuple[Abnormality, ...]:
    """The abnormalities of an `.OVERLAY` text with their chain-coded outlines, clamped to the film (a side of
    unknown length, -1, clamps nothing).

    The first outline (`BOUNDARY`) encloses the others (`CORE`).

    Raises
    ------
    ValueError
        A chain code with a word that is no direction 0–7 or without its end, a number that is none, or fewer
        abnormalities or outlines than announced (a file that was cut off).
    """
    found = []
    head, *blocks = re.split(r"^\s*ABNORMALITY\s+\d+\s*$", text, flags=re.MULTILINE)
    announced = re.search(r"^\s*TOTAL_ABNORMALITIES\s+(\d+)", head, flags=re.MULTILINE)
    if not blocks or (announced and int(announced[1]) != len(blocks)):
        raise ValueError(f"{len(blocks)} abnormalities, {announced[1] if announced else 'some'} announced")
    for block in blocks:
        fields: dict[str, str] = {}
        types, outlines = [], []
        kind = ""
        for line in (line.strip() for line in block.splitlines()):
            word, _, rest = line.partition(" ")
            if word == "LESION_TYPE":
                types.append(rest.strip())
            elif word in {"BOUNDARY", "CORE"}:
                kind = word.lower()
            elif kind and word.isdigit():
                outlines.append(Outline(kind, chain(line, columns, rows)))
            elif word.isupper():
                fields[word] = rest.strip()
        if int(fields.get("TOTAL_OUTLINES") or len(outlines)) != len(outlines):
            raise ValueError(f"{len(outlines)} outlines, {fields['TOTAL_OUTLINES']} announced")
        found.append(
            Abnormality(
                tuple(types),
                int(fields.get("ASSESSMENT") or -1),
                int(fields.get("SUBTLETY") or -1),
                fields.get("PATHOLOGY") or "UNPROVEN",
                tuple(outlines),
            )
        )
    return tuple(found)


def chain(line: str, columns: int, rows: int) -> tuple[Point, ...]:
    """`column row d d d … #` as points; direction 0 is north, then clockwise.

    Raises
    ------
    ValueError
        A word that is no direction 0–7, or no `#` at the end.
    """
    codes, end, _ = line.partition("#")
    words = codes.split()
    if not end:
        raise ValueError("a chain code without its end")
    if len(words) < 2 or not all(word.isdigit() for word in words[:2]):
        raise ValueError("a chain code without its start")
    x, y = int(words[0]), int(words[1])
    right, bottom = (side - 1 if side > 0 else math.inf for side in (columns, rows))
    points = [(float(min(x, right)), float(min(y, bottom)))]
    for word in words[2:]:
        if not word.isdigit() or int(word) not in _STEP:
            raise ValueError(f"{word} is no direction of a chain code")
        dx, dy = _STEP[int(word)]
        x, y = x + dx, y + dy
        points.append((float(min(max(x, 0), right)), float(min(max(y, 0), bottom))))
    return tuple(points)

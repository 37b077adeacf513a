"""BreakHis H&E photographs (Spanhol 2016, CC BY 4.0): 700×460 PNG at 40, 100, 200 and 400 times.

The label stands in the name: `SOB_B_A-14-22549AB-40-001.png` is a biopsy (SOB), benign, adenosis, slide
14-22549AB. The 82 official "patients" are slides: section letters make one woman several, and 14-13412 stands
under both DC and LC. `group_id` is therefore year and digits without letters; the official folds are read as
they are, and `official` names the women that they put on both sides.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from pathlib import Path

from inference.datasets.notes import Notes
from inference.datasets.sample import HISTOPATHOLOGY, DatasetError, Manifest, Sample, Split
from inference.datasets.tables import text_of

NAME = "breakhis"
LICENCE = "CC BY 4.0 (Spanhol et al. 2016)"
SUBTYPES = {
    "A": "adenosis",
    "F": "fibroadenoma",
    "PT": "phyllodes_tumor",
    "TA": "tubular_adenoma",
    "DC": "ductal_carcinoma",
    "LC": "lobular_carcinoma",
    "MC": "mucinous_carcinoma",
    "PC": "papillary_carcinoma",
}
PUBLISHED = dict(zip(SUBTYPES.values(), (444, 1014, 453, 569, 3451, 626, 792, 560), strict=True))
#: images of all classes by magnification
PUBLISHED_MAGNIFIED = {"40×": 1995, "100×": 2081, "200×": 2013, "400×": 1820}
_KINDS = dict.fromkeys(("A", "F", "PT", "TA"), "B") | dict.fromkeys(("DC", "LC", "MC", "PC"), "M")
_FILE = re.compile(
    r"^(?P<procedure>SOB|CNB)_(?P<kind>[BM])_(?P<subtype>A|F|PT|TA|DC|LC|MC|PC)-(?P<year>\d{2})-"
    r"(?P<slide>(?P<digits>\d+)[A-Z]*)-(?P<magnification>40|100|200|400)-(?P<number>\d{3})\.png$"
)
_FOLD_LINE = re.compile(
    r"^(?P<file>[^|]+\.png)\|(?P<magnification>\d+)\|(?P<fold>\d+)\|(?P<part>train|test)\s*$"
)


def read(root: Path) -> Manifest:
    """Every PNG below `root` whose name follows the grammar; the folders above it do not matter.

    Raises
    ------
    DatasetError
        No such name anywhere.
    """
    notes = Notes()
    samples = []
    by_woman: dict[str, set[str]] = defaultdict(set)
    by_slide: dict[str, dict[str, Path]] = defaultdict(dict)
    for path in sorted(p for p in root.rglob("*") if p.suffix.lower() == ".png"):
        match = _FILE.match(path.name)
        if match is None:
            notes.warn(f"{path.relative_to(root)}: not a name of this set, left out")
            continue
        if _KINDS[match["subtype"]] != match["kind"]:
            notes.conflict(path, f"{path.name}: {match['subtype']} is not a subtype of class {match['kind']}")
        group, slide = f"{match['year']}-{match['digits']}", f"{match['year']}-{match['slide']}"
        by_woman[group].add(match["subtype"])
        by_slide[slide].setdefault(match["subtype"], path)
        samples.append(
            Sample(
                id=path.stem,
                dataset=NAME,
                discipline=HISTOPATHOLOGY,
                path=path,
                group_id=group,
                patient_id=group,
                label=SUBTYPES[match["subtype"]],
                label_binary=match["kind"] == "M",
                magnification=match["magnification"],
                extra={"slide": slide, "procedure": match["procedure"]},
            )
        )
    if not samples:
        raise DatasetError(f"no BreakHis file name under {root.name}")
    for group, subtypes in sorted(by_woman.items()):
        if len(subtypes) > 1:
            notes.warn(f"{group}: one woman under {' and '.join(sorted(subtypes))}")
    for slide, examples in sorted(by_slide.items()):
        if len(examples) > 1:
            notes.conflict(
                tuple(examples.values()), f"{slide}: one slide listed as {' and as '.join(sorted(examples))}"
            )
    notes.counts(NAME, Manifest(NAME, LICENCE, tuple(samples)).counts, PUBLISHED)
    magnified = Counter(f"{sample.magnification}×" for sample in samples)
    notes.counts(NAME, dict(magnified), PUBLISHED_MAGNIFIED)
    for table in _fold_tables(root):
        _fold(table, {sample.path.name: number for number, sample in enumerate(samples)}, notes)
    return Manifest.noted(NAME, LICENCE, samples, notes)


def official(root: Path, manifest: Manifest) -> list[Split]:
    """The splits of `dsfold1.txt` … `dsfold5.txt`: five random 70/30 hold-outs by slide, one for each file.

    They are returned as published; `Split.straddling` names the women on both sides.
    """
    index = {sample.path.name: number for number, sample in enumerate(manifest.samples)}
    splits = []
    for table in _fold_tables(root):
        parts = _fold(table, index, Notes())
        splits.append(Split.published(table.stem, manifest.samples, parts["train"], parts["test"]))
    return splits


def _fold_tables(root: Path) -> list[Path]:
    return sorted(root.rglob("dsfold*.txt"))


def _fold(table: Path, index: dict[str, int], notes: Notes) -> dict[str, list[int]]:
    """Indices of one official fold; lines out of the grammar are noted, absent files counted."""
    parts: dict[str, list[int]] = {"train": [], "test": []}
    absent = 0
    for number, line in enumerate((text_of(table, notes) or "").splitlines(), start=1):
        match = _FOLD_LINE.match(line)
        if match is None:
            if line.strip():
                notes.unreadable(table, f"line {number} is not file|magnification|fold|part")
        elif match["file"] in index:
            parts[match["part"]].append(index[match["file"]])
        else:
            absent += 1
    if absent:
        notes.warn(f"{table.name}: {absent} of its images are not here")
    return parts


def patient_recognition_rate(samples: list[Sample], correct: list[bool]) -> float:
    """Mean over slides ("patients" of the paper) of the share of their images that are right."""
    by_slide: dict[str, list[bool]] = {}
    for sample, right in zip(samples, correct, strict=True):
        by_slide.setdefault(sample.extra["slide"], []).append(right)
    return sum(sum(rights) / len(rights) for rights in by_slide.values()) / len(by_slide)

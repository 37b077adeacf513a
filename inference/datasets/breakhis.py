"""BreakHis H&E photographs (Spanhol 2016, CC BY 4.0): 700×460 PNG at 40, 100, 200 and 400 times.

The label stands in the name: `SOB_B_A-14-22549AB-40-001.png` is a biopsy (SOB), benign, adenosis, slide
14-22549AB. The 82 official "patients" are slides: section letters make one woman several, and 14-13412 stands
under both DC and LC. `group_id` is therefore year and digits without letters; the official folds are read as
they are, and `official` names the women that they put on both sides.
"""

from __future__ import annotations

import re
from pathlib import Path

from inference.contract import Modality
from inference.datasets.sample import DatasetError, Manifest, Sample, Split, expected_counts

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
_FILE = re.compile(
    r"^(?P<procedure>SOB|CNB)_(?P<kind>[BM])_(?P<subtype>A|F|PT|TA|DC|LC|MC|PC)-(?P<year>\d{2})-"
    r"(?P<slide>(?P<digits>\d+)[A-Z]*)-(?P<magnification>40|100|200|400)-(?P<number>\d{3})\.png$"
)
_FOLD_LINE = re.compile(
    r"^(?P<file>[^|]+\.png)\|(?P<magnification>\d+)\|(?P<fold>\d+)\|(?P<part>train|test)\s*$"
)


def read(root: Path) -> Manifest:
    """Every PNG below `root` whose name follows the grammar; the folders above it do not matter.

    Raises:
        DatasetError: no such name anywhere.
    """
    samples, warnings = [], []
    subtypes_of: dict[str, set[str]] = {}
    for path in sorted(root.rglob("*.png")):
        match = _FILE.match(path.name)
        if match is None:
            warnings.append(f"{path.relative_to(root)}: not a name of this set, left out")
            continue
        group = f"{match['year']}-{match['digits']}"
        subtypes_of.setdefault(group, set()).add(match["subtype"])
        samples.append(
            Sample(
                id=path.stem,
                dataset=NAME,
                modality=Modality.SLIDE_MICROSCOPY,
                path=path,
                group_id=group,
                patient_id=group,
                label=SUBTYPES[match["subtype"]],
                label_binary=match["kind"] == "M",
                magnification=match["magnification"],
                extra={"slide": f"{match['year']}-{match['slide']}", "procedure": match["procedure"]},
            )
        )
    if not samples:
        raise DatasetError(f"no BreakHis file name under {root.name}")
    for group, subtypes in sorted(subtypes_of.items()):
        if len(subtypes) > 1:
            warnings.append(f"{group}: one woman under {' and '.join(sorted(subtypes))}")
    counts = Manifest(NAME, LICENCE, tuple(samples)).counts
    return Manifest(NAME, LICENCE, tuple(samples), (*warnings, *expected_counts(NAME, counts, PUBLISHED)))


def official(root: Path, manifest: Manifest) -> list[Split]:
    """The splits of `dsfold1.txt` … `dsfold5.txt`: five random 70/30 hold-outs by slide, one for each file.

    They are returned as published; `Split.straddling` names the women on both sides.
    """
    index = {sample.path.name: number for number, sample in enumerate(manifest.samples)}
    splits = []
    for table in sorted(root.rglob("dsfold*.txt")):
        parts: dict[str, list[int]] = {"train": [], "test": []}
        for line in table.read_text(encoding="utf-8").splitlines():
            match = _FOLD_LINE.match(line)
            if match and match["file"] in index:
                parts[match["part"]].append(index[match["file"]])
        splits.append(Split.published(table.stem, manifest.samples, parts["train"], parts["test"]))
    return splits


def patient_recognition_rate(samples: list[Sample], correct: list[bool]) -> float:
    """Mean over slides ("patients" of the paper) of the share of their images that are right."""
    by_slide: dict[str, list[bool]] = {}
    for sample, right in zip(samples, correct, strict=True):
        by_slide.setdefault(sample.extra["slide"], []).append(right)
    return sum(sum(rights) / len(rights) for rights in by_slide.values()) / len(by_slide)

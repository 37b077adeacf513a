"""The CBIS-DDSM mass films at 256×256 (Sawyer-Lee 2016, CC BY 3.0), each with one mass mask.

Every film has a mass: BENIGN means a benign mass, not a normal breast. `mixed` films hold both kinds.
"""

from __future__ import annotations

import csv
from pathlib import Path

from inference.contract import Modality
from inference.datasets.sample import DatasetError, Manifest, Sample, missing_files

NAME = "cbis_mass_256"
LICENCE = "CC BY 3.0 (Sawyer-Lee et al. 2016, Lee et al. 2017)"


def read(root: Path) -> Manifest:
    """The samples of `root/split.csv` with `root/images` and `root/masks`.

    Raises:
        DatasetError: `split.csv` is missing or another set's.
    """
    table = root / "split.csv"
    if not table.is_file():
        raise DatasetError(f"{root.name} has no split.csv")
    with table.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    if not rows or not {"file", "mask", "pathology"} <= set(rows[0]):
        raise DatasetError(f"{root.name}/split.csv is not the table of this set")
    samples, warnings = [], []
    for row in rows:
        image, mask = root / "images" / row["file"], root / "masks" / row["mask"]
        absent = missing_files((image, mask))
        if absent:
            warnings += absent
            continue
        samples.append(
            Sample(
                id=image.stem,
                dataset=NAME,
                modality=Modality.MAMMOGRAPHY,
                path=image,
                patient_id=row["patient"],
                group_id=row["patient"],
                laterality={"LEFT": "L", "RIGHT": "R"}.get(row["side"]),
                view=row["view"],
                label="malignant" if row["malignant"] == "1" else "benign",
                label_binary=row["malignant"] == "1",
                density=row["density"],
                birads=row["birads"],
                split=row["split"],
                masks=(mask,),
                extra={"mixed": row["mixed"], "subtlety": row["subtlety"], "pathology": row["pathology"]},
            )
        )
    return Manifest(NAME, LICENCE, tuple(samples), tuple(warnings))

"""The CBIS-DDSM mass films at 256×256 (Sawyer-Lee 2016, CC BY 3.0), each with one mass mask.

Every film has a mass: BENIGN means a benign mass, not a normal breast. `mixed` films hold both kinds.
"""

from __future__ import annotations

from pathlib import Path

from inference.datasets.notes import Notes, Trouble
from inference.datasets.sample import MAMMOGRAPHY, DatasetError, Manifest, Sample
from inference.datasets.tables import by_key, table_rows

NAME = "cbis_mass_256"
LICENCE = "CC BY 3.0 (Sawyer-Lee et al. 2016, Lee et al. 2017)"
PUBLISHED_FILMS = 1231


def read(root: Path) -> Manifest:
    """The samples of `root/split.csv` with `root/images` and `root/masks`.

    Raises
    ------
    DatasetError
        `split.csv` is missing or another set's.
    """
    table = root / "split.csv"
    if not table.is_file():
        raise DatasetError(f"{root.name} has no split.csv")
    notes = Notes()
    rows = by_key(
        table_rows(table, ("file", "mask", "patient", "pathology", "split"), notes), "file", table, notes
    )
    if not rows:
        raise DatasetError(f"{root.name}/split.csv is not the table of this set")
    samples = []
    for row in rows.values():
        image, mask = root / "images" / row["file"], root / "masks" / row["mask"]
        if not image.is_file():
            if mask.is_file():
                notes.defect(Trouble.NO_IMAGE, mask, f"{image.name} is named but missing, its mask is there")
            else:
                notes.warn(f"{image.name} is named but missing")
            continue
        if not mask.is_file():
            notes.defect(Trouble.NO_MASK, image, f"{mask.name} is named but missing")
            continue
        malignant = "MALIGNANT" in row["pathology"].split("|")
        if row.get("malignant") not in {None, "", str(int(malignant))}:
            notes.conflict(
                (image, table), f"{image.name}: pathology {row['pathology']}, malignant {row['malignant']}"
            )
        samples.append(
            Sample(
                id=image.stem,
                dataset=NAME,
                discipline=MAMMOGRAPHY,
                path=image,
                patient_id=row["patient"],
                group_id=row["patient"],
                laterality={"LEFT": "L", "RIGHT": "R"}.get(row.get("side", "")),
                view=row.get("view"),
                label="malignant" if malignant else "benign",
                label_binary=malignant,
                density=row.get("density"),
                birads=row.get("birads"),
                split=row["split"],
                masks=(mask,),
                extra={name: row.get(name, "") for name in ("mixed", "subtlety", "pathology")},
            )
        )
    listed = {row["mask"] for row in rows.values()}
    for path in sorted((root / "images").glob("*.png")):
        if path.name not in rows:
            notes.warn(f"{path.name}: not in split.csv, left out")
    for path in sorted((root / "masks").glob("*.png")):
        if path.name not in listed:
            notes.defect(Trouble.NO_IMAGE, path, f"{path.name}: a mask that split.csv does not name")
    notes.counts(NAME, {"mass": len(samples)}, {"mass": PUBLISHED_FILMS}, what="films")
    return Manifest.noted(NAME, LICENCE, samples, notes)

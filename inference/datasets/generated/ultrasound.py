"""Tiny ultrasound sets.

BUSI: several masks, black masks of normals, RGBA and bilevel files, a stray file, a missing mask. BUS-BRA: images as
PNG and as AVIF, two halves of a screen, a box that counts from 1, a size that is wrong in the table, rows without
files and files without rows. A hospital's own set: a picture that is another than its row says, and a row without a file.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

from PIL import Image, features

from imaging.digest import sha256_of
from inference.datasets.generated import pictures

_SIZE = (120, 90)


def busi(root: Path) -> None:
    tree = root / "Dataset_BUSI_with_GT"
    rows = ["image,class,group,split"]
    for number in range(1, 7):
        for label, disc in (
            ("benign", (40 + number, 45, 12)),
            ("malignant", (70 - number, 40, 18)),
            ("normal", None),
        ):
            stem = tree / label / f"{label} ({number}).png"
            pictures.gray(stem, *_SIZE, disc=disc)
            if not (label == "malignant" and number == 6):  # an outline that was forgotten
                pictures.mask(stem.with_name(f"{label} ({number})_mask.png"), *_SIZE, disc=disc)
            # Images 1 and 2 of each class are near-duplicates: one group.
            group = f"{label}-{1 if number <= 2 else number}"
            rows.append(f"{label} ({number}).png,{label},{group},{'val' if number == 3 else 'train'}")
    # A second lesion, a mask saved as RGB, an image saved with an alpha channel, a bilevel mask.
    pictures.mask(tree / "benign" / "benign (4)_mask_1.png", *_SIZE, disc=(90, 20, 8))
    for name, mode in (
        ("benign (1)_mask.png", "RGB"),
        ("benign (2).png", "RGBA"),
        ("benign (3)_mask.png", "1"),
    ):
        path = tree / "benign" / name
        with Image.open(path) as picture:
            converted = picture.convert(mode)
        converted.save(path)
    pictures.text(tree / "benign" / "Thumbs.db", "not an image")
    pictures.mask(tree / "normal" / "normal (99)_mask.png", *_SIZE, disc=None)  # a mask without its image
    pictures.text(root / "split.csv", "\n".join(rows) + "\n")


def busbra(root: Path) -> None:
    devices = ("GE Logiq 7 @10-14MHz", "GE Logiq 5 @10-12MHz")
    rows = ["ID,Case,Histology,Pathology,BIRADS,Device,Width,Height,Side,BBOX"]
    split = ["image,patient,fold"]
    for case in range(1, 13):
        malignant = case % 3 == 0
        histology, pathology = (
            ("invasive ductal carcinoma", "malignant") if malignant else ("fibroadenoma", "benign")
        )
        birads = (5 if case == 3 else 4) if malignant else 2 + case % 2
        for side, word in (("l", "left"), ("r", "right")) if case % 4 else (("s", "single"),):
            disc = (50 + 2 * case, 45, 14 if malignant else 9)
            name = f"{case:04d}-{side}"
            ending = "avif" if case > 6 and features.check("avif") else "png"
            pictures.gray(root / "Images" / f"bus_{name}.{ending}", *_SIZE, disc=disc)
            if name != "0011-r":  # an outline that was forgotten
                path = root / "Masks" / f"mask_{name}.png"
                pictures.mask(path, *_SIZE, disc=disc)
                with Image.open(path) as picture:
                    bilevel = picture.convert("1")
                bilevel.save(path)
            radius = disc[2]
            box = f"[{disc[0] - radius + 1}, {45 - radius + 1}, {2 * radius + 1}, {2 * radius + 1}]".replace(
                " ", ""
            )
            width = _SIZE[0] + (case == 2)  # the table's size is not the file's
            rows.append(
                f'bus_{name},{case},{histology},{pathology},{birads},{devices[case % 2]},{width},{_SIZE[1]},{word},"{box}"'
            )
            split.append(f"bus_{name}.avif,{case},{case % 5}")
    rows.append(
        'bus_0099-s,99,cyst,benign,2,GE Logiq 7 @10-14MHz,10,10,single,"[1,1,2,2]"'
    )  # a row without its file
    pictures.gray(root / "Images" / "bus_0098-s.png", *_SIZE)  # a file without its row
    pictures.text(root / "Images" / "Thumbs.db", "not an image")
    pictures.text(root / "bus_data.csv", "\n".join(rows) + "\n")
    pictures.text(root / "split.csv", "\n".join(split) + "\n")


def hospital(root: Path) -> None:
    rows = []
    for subject in range(1, 17):
        label = ("benign", "malignant", "benign", "normal")[subject % 4]
        for view in range(1 + subject % 2):
            name = f"image-{2 * subject + view:06d}.png"
            disc = {"benign": (50, 45, 9), "malignant": (60, 45, 16)}.get(label)
            pictures.gray(root / "images" / name, *_SIZE, disc=disc)
            box = (
                []
                if disc is None
                else [{"box": [40.0, 30.0, 80.0, 60.0], "label": "mass", "marked_by": "model"}]
            )
            rows.append(
                {
                    "image": name, "subject": f"s-{subject:010x}", "label": label,
                    "label_from": "pathology" if label == "malignant" else "report", "side": "LR"[subject % 2],
                    "view": "", "assessment": {"benign": "2", "malignant": "5", "normal": "1"}[label],
                    "reader_role": "radiologist", "report_version": 1,
                    "sha256": sha256_of(root / "images" / name), "findings": json.dumps(box),
                }
            )  # fmt: skip
    rows[-1]["sha256"] = "0" * 64
    rows.append(rows[0] | {"image": "image-000099.png"})
    with (root / "images.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    told = {"format": 1, "discipline": "ultrasound", "labels": {"benign": 8, "malignant": 8, "normal": 8}}
    pictures.text(root / "dataset.json", json.dumps(told))

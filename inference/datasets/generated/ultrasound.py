"""A tiny BUSI: several masks, black masks of normals, RGBA and bilevel files, a stray file, a missing mask."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

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

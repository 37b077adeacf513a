"""The served models never read a file's name or metadata, which hold the label in BUSI and in IDC."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from imaging.phantoms import histology, ultrasound
from inference.contract import AnalysisError
from inference.datasets.generated import write
from inference.datasets.pixels import read_gray
from tests.inference.conftest import ServedModel, image


def pictures(model: str, folder: Path) -> list[tuple[Path, dict[str, object]]]:
    """Images under names that say their label, as in BUSI and IDC."""
    if model == "ultrasound":
        for number, kind in enumerate(("benign", "malignant", "none"), start=1):
            ultrasound.write_png(ultrasound.phantom(number, kind), folder / f"malignant ({number}).png")
        return [(path, {}) for path in sorted(folder.glob("*.png"))]
    if model == "histopathology":
        path = folder / "10253_idx5_x1001_y751_class1.png"
        Image.fromarray(histology.photograph(1, "malignant", shape=(300, 300)).pixels).save(path)
        return [(path, {"spacing_um": (0.5, 0.5)})]
    tree = write("cbis_mass_256", folder / "cbis")
    return [(path, {}) for path in sorted((tree / "images").glob("*MALIGNANT*.png"))[:2]] or [
        (path, {}) for path in sorted((tree / "images").glob("*.png"))[:2]
    ]


@pytest.mark.parametrize("model", ["ultrasound", "mammography", "histopathology"])
def test_a_champion_answers_alike_when_files_are_renamed_and_stripped(
    model: str, served: Callable[[str], ServedModel], tmp_path: Path
) -> None:
    one = served(model)
    answered = 0
    (tmp_path / "named").mkdir()
    for number, (path, facts) in enumerate(pictures(model, tmp_path / "named")):
        note = PngImagePlugin.PngInfo()
        note.add_text("Description", "class1 malignant")
        with Image.open(path) as picture:
            pixels = np.asarray(picture)
            picture.save(path, pnginfo=note)
        copy = tmp_path / f"{(number + 1) * 7919}.png"
        Image.fromarray(pixels).save(copy)
        assert np.array_equal(read_gray(copy), read_gray(path))
        try:
            first = one.analyse(image(path, **facts)).images[0]
        except AnalysisError as error:
            with pytest.raises(type(error)):
                one.analyse(image(copy, **facts))
            continue
        second = one.analyse(image(copy, **facts)).images[0]
        assert first.probabilities == second.probabilities
        assert first.flags == second.flags and first.findings == second.findings
        answered += 1
    assert answered > 0

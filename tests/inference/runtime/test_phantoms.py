"""The demo's phantoms are near enough to what the models have learnt from: a first look shows results, not refusals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from imaging.phantoms import mammography, ultrasound
from imaging.phantoms.phantom import Lesion
from inference.contract import Flag
from tests.inference.conftest import ServedModel, image

Served = Callable[[str], ServedModel]


@pytest.mark.parametrize(
    ("seed", "lesion"), [(1, "malignant"), (2, "benign"), (3, "none"), (4, "malignant"), (5, "benign")]
)
def test_an_ultrasound_phantom_is_judged(served: Served, tmp_path: Path, seed: int, lesion: Lesion) -> None:
    ultrasound.write_png(ultrasound.phantom(seed, lesion), tmp_path / "us.png")
    (read,) = served("ultrasound").analyse(image(tmp_path / "us.png")).images

    assert Flag.OUT_OF_DISTRIBUTION not in read.flags
    if lesion != "none":
        assert max(read.probabilities, key=lambda name: read.probabilities[name]) == lesion


@pytest.mark.parametrize(("seed", "side", "lesion"), [(1, "L", "malignant"), (2, "R", "none")])
def test_a_mammography_phantom_is_judged(
    served: Served, tmp_path: Path, seed: int, side: str, lesion: Lesion
) -> None:
    views = []
    for view in ("CC", "MLO"):
        path = tmp_path / f"{view}.dcm"
        mammography.write_dicom(mammography.phantom(seed, side, view, lesion), path)  # type: ignore[arg-type]
        views.append(image(path, laterality=side, view=view))
    result = served("mammography").analyse(*views)

    assert all(Flag.OUT_OF_DISTRIBUTION not in read.flags for read in result.images)
    assert result.breasts[side]["abnormal"] > 0.9 if lesion == "malignant" else True

"""What `imaging.slides` asks of an opened slide, whatever its format."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from imaging.description import SlideLevel, Spacing


class Source(Protocol):
    """The levels of an opened slide, whatever the format. Values are H×W×3 uint8 RGB."""

    @property
    def vendor(self) -> str:
        """What wrote it: `dicom`, `aperio`, …"""

    @property
    def columns(self) -> int:
        """Of level 0."""

    @property
    def rows(self) -> int:
        """Of level 0."""

    @property
    def levels(self) -> tuple[SlideLevel, ...]:
        """From fine to coarse."""

    @property
    def mpp(self) -> Spacing | None:
        """µm per level-0 pixel, (x, y)."""

    @property
    def objective_power(self) -> float | None:
        """Magnification of the objective."""

    @property
    def focal_planes_um(self) -> tuple[float, ...]:
        """From the glass upwards; one at least."""

    @property
    def optical_paths(self) -> tuple[str, ...]:
        """Their names; one at least."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Sentences: what of the slide is not there."""

    def read_level(
        self, level: int, x: int, y: int, columns: int, rows: int, plane: int, path: int
    ) -> NDArray[np.uint8]:
        """From (`x`, `y`) in the level's own pixels, white where nothing was scanned."""

    def prove(self) -> None:
        """Decode what `_prove` below does not reach."""

    def close(self) -> None:
        """Close all files."""

"""What the arrays of one image may take, asked before any of them is there.

A contract says which scales and sizes a model reads; this holds whatever a contract says. A pipeline asks once for an
image, by what it makes of every stored pixel and of every one that it enlarges it to, and whatever enlarges asks again
for its own result.
"""

from __future__ import annotations

from dataclasses import dataclass

from inference.contract import NotApplicable, Spacing, spacing_in_words

#: Below what a worker of the platform may grow to (3 GB) by what its libraries and networks take.
MOST_BYTES = 5 * 2**29


@dataclass(frozen=True)
class Array:
    """So many bytes for each of `width` × `height` pixels: of one array, or of all that are there at a time."""

    width: float
    height: float
    bytes_per_px: float

    @property
    def nbytes(self) -> float:
        return self.width * self.height * self.bytes_per_px


def afford(columns: int, rows: int, spacing_um: Spacing | None, *arrays: Array) -> None:
    """See that `arrays`, all there at a time, of an image of `columns` × `rows` stored pixels fit the budget.

    Raises
    ------
    NotApplicable
        They do not; the sentence names the image's size and scale.
    """
    needed = sum(array.nbytes for array in arrays)
    if needed <= MOST_BYTES:
        return
    most = MOST_BYTES / 1e9
    if spacing_um is None:
        raise NotApplicable(
            f"not analysed: an image of {columns} × {rows} pixels would take {needed / 1e9:.1f} GB of memory, "
            f"at most {most:.1f} GB are spent on one"
        )
    raise NotApplicable(
        f"not analysed: an image of {columns} × {rows} pixels at {spacing_in_words(spacing_um)} µm per pixel "
        f"would take {needed / 1e9:.1f} GB of memory, at most {most:.1f} GB are spent on one"
    )

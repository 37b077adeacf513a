"""How far two outlines agree."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def dice(outline: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Dice's coefficient 2·|A∩B| / (|A|+|B|) (Dice 1945).

    Parameters
    ----------
    outline, truth
        Two outlines of the same shape, True inside.

    Returns
    -------
    float
        0 to 1; 1 where both are empty.
    """
    total = int(outline.sum()) + int(truth.sum())
    return 2 * int((outline & truth).sum()) / total if total else 1.0

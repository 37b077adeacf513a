"""Stored values as they come from a decoder, made native: one place for byte order, High Bit, overlays and signs.

PS3.5 8.1.1 and PS3.3 C.7.6.3: a cell of `allocated` bits holds a value of `stored` bits whose highest is `high`; above
and below it there may be anything, overlays of old devices for example.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def native(values: NDArray[Any], *, allocated: int, stored: int, high: int, signed: bool) -> NDArray[Any]:
    """The values alone, in this machine's order.

    Parameters
    ----------
    values
        Integers of any byte order, as wide as `allocated` says or wider.
    high
        From 0. `stored − 1` where a decoder gave the values without their cells.

    Returns
    -------
    NDArray
        Of the same shape, contiguous: uint8 or int16 from cells of 8 bits, uint16 or int16 from 16, uint32 or int32
        from 32. No copy is made of values that are so already.
    """
    width = values.dtype.itemsize * 8
    order = values.dtype.newbyteorder("=")
    values = np.ascontiguousarray(values.astype(order, copy=False))
    # One bit in eight is a mask; some write it as 0 and 255.
    if stored > 1 and (high + 1 < width or stored < width):
        values = values.view(f"i{width // 8}" if signed else f"u{width // 8}")
        above, below = width - 1 - high, width - stored
        values = (values << above if above else values) >> below
    elif values.dtype.kind == "u" and signed:
        values = values.view(f"i{width // 8}")
    if allocated <= 8:
        return values.astype(np.int16 if signed else np.uint8, copy=False)
    if allocated == 16:
        return values.astype(np.int16 if signed else np.uint16, copy=False)
    return values.astype(np.int32 if signed else np.uint32, copy=False)


def as_stored(value: int, *, stored: int, signed: bool) -> int:
    """A value of the header that means one of the pixels (Pixel Padding Value), whatever sign its VR gave it."""
    value &= 2**stored - 1
    return value - 2**stored if signed and value >= 2 ** (stored - 1) else value

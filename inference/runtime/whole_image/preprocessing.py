"""A whole image at the size that its network was trained at. What that is stands in the manifest's `preprocessing`.

Training stretches images by the same function (`inference.recipes.pictures`), so that both see the same pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.pixels import Pixels
from inference.runtime.geometry import Gray, Placement

#: (height, width).
Size = tuple[int, int]


def described(
    sizes: Sequence[Size], colour: str, blocks: Sequence[str] = (), more: Mapping[str, object] | None = None
) -> dict[str, object]:
    """What stands in a manifest's `preprocessing`: the sizes that an image is brought to, one after the other, and
    whether its network looks at `gray` or `rgb`; `blocks` in words and as `more` says, after the first size
    (`runtime.whole_image.steps`)."""
    stretches = [f"the whole image stretched to {width} × {height} px" for height, width in sizes]
    steps = ["RGB" if colour == "rgb" else "luma of colour images", stretches[0], *blocks, *stretches[1:]]
    return {
        "steps": [*steps, "network scales 0–255 to ±1"],
        "sizes": [list(size) for size in sizes],
        "colour": colour,
        "version": 1,
        **(more or {}),
    }


def sizes_of(preprocessing: Mapping[str, object]) -> tuple[Size, ...]:
    """The sizes of `described`, the network's own last."""
    return tuple((height, width) for height, width in cast(list[Size], preprocessing["sizes"]))


def is_rgb(preprocessing: Mapping[str, object]) -> bool:
    """Whether the network looks at colour."""
    return preprocessing["colour"] == "rgb"


def stretched(image: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    """H×W or H×W×3 at another size, its aspect lost: averaged over areas where neither side grows."""
    height, width = size
    if image.shape[:2] == (height, width):
        return image
    smaller = image.shape[0] >= height and image.shape[1] >= width
    way = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=way), np.uint8)


def looked_at(pixels: Pixels, preprocessing: Mapping[str, object]) -> NDArray[np.uint8]:
    """Of an image what its network looks at, as stored: H×W, or H×W×3."""
    if not is_rgb(preprocessing):
        return pixels.gray()
    shown = pixels.display()
    return shown if shown.ndim == 3 else np.repeat(shown[:, :, None], 3, axis=2)


def working_canvas(image: NDArray[np.uint8], preprocessing: Mapping[str, object]) -> NDArray[np.uint8]:
    """`looked_at` at the network's size."""
    for size in sizes_of(preprocessing):
        image = stretched(image, size)
    return image


def placement_of(columns: int, rows: int, preprocessing: Mapping[str, object]) -> Placement:
    """Where the canvas lies: over the whole image."""
    height, width = sizes_of(preprocessing)[-1]
    return Placement(
        columns, rows, (0, 0, columns, rows), width / columns, height / rows, 0, 0, width, height
    )


def network_input(canvas: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The canvas as the network takes it: 1×1×H×W, or 1×H×W×3."""
    return np.ascontiguousarray(canvas[None, None] if canvas.ndim == 2 else canvas[None])


def gray_of(canvas: NDArray[np.uint8]) -> Gray:
    """H×W of either kind of canvas."""
    return canvas if canvas.ndim == 2 else np.asarray(cv2.cvtColor(canvas, cv2.COLOR_RGB2GRAY), np.uint8)

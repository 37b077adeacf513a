"""The row that describes an image: what every feature says of it, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.blocks.features.region import Pixels, Row, luma


def row_of(features: Sequence[Callable[..., Row]], image: Pixels, mask: NDArray[Any] | None) -> Row:
    """What is not a number is 0."""
    return np.concatenate([np.nan_to_num(feature(image, mask)) for feature in features])


def outline_of(segment: Callable[[Pixels], NDArray[np.bool_]], image: Pixels) -> NDArray[np.bool_]:
    """What a segmentation, which looks at grey values, finds in an image of either kind."""
    return segment(luma(image))

"""Whether two pictures are one: an affine alignment, then the local correlation inside tissue.

The third step of `inference.datasets.audit.near_duplicates`, which says what it was measured on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Gray = NDArray[np.uint8]
Field = NDArray[np.float32]

#: Pictures are compared on so many pixels a side.
FINE = 256
_WINDOW = 17


def agreement_of(first: Gray, second: Gray) -> float:
    """The median local correlation of two fine pictures (256×256, turned alike) after alignment, 0 where no
    plausible alignment exists or too little tissue is common to both."""
    import cv2

    warp = _aligned(first, second)
    if warp is None:
        return 0.0
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = np.asarray(cv2.warpAffine(second, warp, (FINE, FINE), flags=how), dtype=np.uint8)
    covered = cv2.warpAffine(np.full_like(second, 255), warp, (FINE, FINE), flags=how) == 255
    tissue = (_tissue(first) & _tissue(moved) & covered).astype(np.uint8)
    inside = cv2.erode(tissue, np.ones((9, 9), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    a, b = _high_pass(first), _high_pass(moved)

    def window(values: Field) -> Field:
        return np.asarray(cv2.boxFilter(values, -1, (_WINDOW, _WINDOW)), dtype=np.float32)

    mean_a, mean_b = window(a), window(b)
    spread_a = np.sqrt(np.maximum(window(a * a) - mean_a**2, 0))
    spread_b = np.sqrt(np.maximum(window(b * b) - mean_b**2, 0))
    usable = (window(inside.astype(np.float32)) > 0.95) & (np.minimum(spread_a, spread_b) > 0.3)
    usable = usable[::8, ::8]
    if usable.sum() < 12:
        return 0.0
    correlation = (window(a * b) - mean_a * mean_b) / (spread_a * spread_b + 1e-3)
    return float(np.median(correlation[::8, ::8][usable]))


def _tissue(picture: Gray) -> NDArray[np.bool_]:
    """Where the blurred picture is brighter than a tenth of its bright parts."""
    import cv2

    blurred = cv2.GaussianBlur(picture, (0, 0), 4)
    return np.asarray(blurred > 0.1 * np.percentile(picture, 99.5))


def _high_pass(picture: Gray) -> Field:
    import cv2

    smooth = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 1.0)
    return np.asarray(smooth - cv2.GaussianBlur(smooth, (0, 0), 4.0), dtype=np.float32)


def _aligned(first: Gray, second: Gray) -> Field | None:
    """The affine map from places of `first` to places of `second` on 256×256 pixels, or None."""
    import cv2

    warp = np.eye(2, 3, dtype=np.float32)
    side = FINE
    for side in (64, 128):
        if side == 128:
            warp = _on_twice_the_side(warp)
        small = [
            cv2.GaussianBlur(
                levelled(
                    np.asarray(cv2.resize(p, (side, side), interpolation=cv2.INTER_AREA), dtype=np.float32),
                    side / 16,
                ),
                (0, 0),
                1.0,
            )
            for p in (first, second)
        ]
        stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 30, 1e-4)
        try:
            _, found = cv2.findTransformECC(small[0], small[1], warp, cv2.MOTION_AFFINE, stop)
        except cv2.error:  # it did not converge: the pictures have nothing in common
            return None
        warp = np.asarray(found, dtype=np.float32)
        if not _plausible(warp, side):
            return None
    return _on_twice_the_side(warp)


def _on_twice_the_side(warp: Field) -> Field:
    """The same map for pictures of twice the side; places are pixel centres."""
    doubled = warp.copy()
    doubled[:, 2] = 2 * warp[:, 2] + (warp[:, :2].sum(axis=1) - 1) / 2
    return doubled


def _plausible(warp: Field, side: int) -> bool:
    """Whether crops of some 5 % a side of either picture explain the map: no turn, scales near 1, no corner
    further away than both crops together."""
    scales = (float(warp[0, 0]), float(warp[1, 1]))
    if not all(0.86 <= scale <= 1.17 for scale in scales) or max(abs(warp[0, 1]), abs(warp[1, 0])) > 0.04:
        return False
    corners = np.array([[0, 0, 1], [side, 0, 1], [0, side, 1], [side, side, 1]], dtype=np.float32)
    return bool(np.abs(corners @ warp.T - corners[:, :2]).max() <= 0.14 * side)


def levelled(field: Field, sigma: float) -> Field:
    """The field less its blur, over its local contrast."""
    import cv2

    high = field - cv2.GaussianBlur(field, (0, 0), sigma)
    spread = np.sqrt(cv2.GaussianBlur(high * high, (0, 0), sigma))
    return np.asarray(high / (spread + 0.1 * spread.max() + 1e-3), dtype=np.float32)

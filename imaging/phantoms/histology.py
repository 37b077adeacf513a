"""Breast tissue stained with haematoxylin and eosin: lobules, ducts, collagen, fat, and perhaps a carcinoma.

Stains are optical densities that add up (Beer-Lambert; stain vectors after Ruifrok 2001): nuclei are stamped
into the haematoxylin map, fibres, cytoplasm and membranes into the eosin map, and the colours follow.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from imaging.phantoms.phantom import (
    Box,
    Lesion,
    Phantom,
    box_of,
    power_law_noise,
    radial_contour,
    smooth_noise,
)

PHOTO_SHAPE = (1200, 1600)
PHOTO_UM_PER_PX = 0.5
SLIDE_SHAPE = (5120, 6656)
SLIDE_UM_PER_PX = 0.5
_COARSE = 8
_HAEMATOXYLIN = np.array([0.66, 0.70, 0.28], dtype=np.float32)
_EOSIN = np.array([0.07, 0.88, 0.40], dtype=np.float32)

Map = NDArray[np.float32]


@dataclass(slots=True)
class _Canvas:
    """Stain densities of an area, and where what may lie. Lengths are µm; `px` turns them into pixels."""

    rng: np.random.Generator
    shape: tuple[int, int]
    um_per_px: float
    haematoxylin: Map = field(init=False)
    eosin: Map = field(init=False)
    occupied: NDArray[np.bool_] = field(init=False)
    """Coarse: lumens, nests and fat, where no stroma nuclei lie."""

    def __post_init__(self) -> None:
        self.haematoxylin = np.zeros(self.shape, dtype=np.float32)
        self.eosin = np.zeros(self.shape, dtype=np.float32)
        self.occupied = np.zeros(self.coarse_shape, dtype=bool)

    @property
    def coarse_shape(self) -> tuple[int, int]:
        return -(-self.shape[0] // _COARSE), -(-self.shape[1] // _COARSE)

    def px(self, micrometres: float) -> float:
        return micrometres / self.um_per_px

    def fine(self, coarse: NDArray[np.generic]) -> Map:
        """A coarse map at full size, linearly interpolated."""
        from PIL import Image

        image = Image.fromarray(np.asarray(coarse, dtype=np.float32))
        wide = image.resize(
            (self.coarse_shape[1] * _COARSE, self.coarse_shape[0] * _COARSE), Image.Resampling.BILINEAR
        )
        return np.asarray(wide, dtype=np.float32)[: self.shape[0], : self.shape[1]]

    def tiled(self, texture: Map) -> Map:
        """A periodic texture repeated over the area."""
        repeats = [-(-side // size) for side, size in zip(self.shape, texture.shape, strict=True)]
        return np.tile(texture, repeats)[: self.shape[0], : self.shape[1]]


def photograph(
    seed: int,
    lesion: Lesion = "none",
    *,
    shape: tuple[int, int] = PHOTO_SHAPE,
    um_per_px: float = PHOTO_UM_PER_PX,
) -> Phantom:
    """A microscope photograph, H×W×3 uint8. `label` is normal, benign (crowded glands) or malignant (nests
    and cords without lumens); `mask` and `boxes` outline the lesion."""
    rng = np.random.default_rng([seed, {"none": 0, "benign": 1, "malignant": 2}[lesion], 5])
    canvas = _Canvas(rng, shape, um_per_px)
    lesion_map = np.zeros(canvas.coarse_shape, dtype=bool)
    if lesion == "malignant":
        lesion_map = _blob(canvas, (rng.uniform(0.4, 0.6), rng.uniform(0.4, 0.6)), 0.46, 0.22)
    tissue = np.ones(canvas.coarse_shape, dtype=bool)
    crowded = np.ones_like(tissue) if lesion == "benign" else np.zeros_like(tissue)
    pixels = _paint(canvas, tissue, lesion_map, crowded)
    truth = crowded if lesion == "benign" else lesion_map
    return _phantom(pixels, truth, seed, lesion, um_per_px)


def slide(
    seed: int,
    lesion: Lesion = "malignant",
    *,
    shape: tuple[int, int] = SLIDE_SHAPE,
    um_per_px: float = SLIDE_UM_PER_PX,
) -> Phantom:
    """A whole section on glass, for `write_slide`. `mask` is at 1/8 of the resolution."""
    rng = np.random.default_rng([seed, {"none": 0, "benign": 1, "malignant": 2}[lesion], 6])
    canvas = _Canvas(rng, shape, um_per_px)
    tissue = _blob(canvas, (0.5, 0.5), 0.84, 0.16)
    empty = np.zeros_like(tissue)
    place = (rng.uniform(0.38, 0.62), rng.uniform(0.36, 0.64))
    patch = _blob(canvas, place, 0.36, 0.25) & ndimage.binary_erosion(tissue, iterations=12)
    malignant = patch if lesion == "malignant" else empty
    crowded = patch if lesion == "benign" else empty
    pixels = _paint(canvas, tissue, malignant, crowded)
    return _phantom(pixels, malignant | crowded, seed, lesion, um_per_px)


def write_image(made: Phantom, path: Path) -> None:
    """PNG or TIFF by the name's ending, with its resolution (µm per pixel) written into it."""
    from PIL import Image

    dots_per_inch = 25_400 / made.um_per_px
    compression = {"compression": "tiff_deflate"} if path.suffix.lower().startswith(".tif") else {}
    Image.fromarray(made.pixels).save(path, dpi=(dots_per_inch, dots_per_inch), **compression)


def write_slide(made: Phantom, path: Path, *, tile: int = 256) -> None:
    """A tiled pyramidal JPEG TIFF that OpenSlide reads, with its scale. Halves until a side is below 512."""
    import tifffile
    from PIL import Image

    level, um_per_px = made.pixels, made.um_per_px
    with tifffile.TiffWriter(path) as writer:
        first = True
        while first or max(level.shape[:2]) >= 512:
            if not first:
                smaller = (max(1, level.shape[1] // 2), max(1, level.shape[0] // 2))
                level = np.asarray(Image.fromarray(level).resize(smaller, Image.Resampling.BOX))
                um_per_px *= 2
            writer.write(
                level,
                photometric="rgb",
                tile=(tile, tile),
                compression="jpeg",
                compressionargs={"level": 86},
                resolution=(10_000 / um_per_px, 10_000 / um_per_px),
                resolutionunit="CENTIMETER",
                subfiletype=0 if first else 1,
                description=f"Synthetic H&E phantom, seed {made.seed}" if first else None,
                metadata=None,
                maxworkers=1,
            )
            first = False


def _phantom(
    pixels: NDArray[np.uint8], truth: NDArray[np.bool_], seed: int, lesion: Lesion, um_per_px: float
) -> Phantom:
    boxes: tuple[Box, ...] = ()
    if truth.any():
        x0, y0, x1, y1 = (side * _COARSE for side in box_of(truth))
        boxes = ((x0, y0, min(x1, float(pixels.shape[1])), min(y1, float(pixels.shape[0]))),)
    return Phantom(
        pixels=pixels,
        um_per_px=um_per_px,
        label="normal" if lesion == "none" else lesion,
        seed=seed,
        mask=truth,
        mask_downsample=_COARSE,
        boxes=boxes,
    )


def _blob(canvas: _Canvas, centre: tuple[float, float], size: float, roughness: float) -> NDArray[np.bool_]:
    rows, columns = canvas.coarse_shape
    contour = radial_contour(canvas.rng, roughness, 9)
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    u, v = (x - centre[1] * columns) / (columns / 2), (y - centre[0] * rows) / (rows / 2)
    index = ((np.arctan2(v, u) + np.pi) / (2 * np.pi) * len(contour)).astype(int) % len(contour)
    return np.asarray(np.hypot(u, v) < size * contour[index])


def _paint(
    canvas: _Canvas,
    tissue: NDArray[np.bool_],
    malignant: NDArray[np.bool_],
    crowded: NDArray[np.bool_],
) -> NDArray[np.uint8]:
    _stroma(canvas)
    fat = _fat(canvas, tissue & ~ndimage.binary_dilation(malignant | crowded, iterations=6))
    free = tissue & ~malignant & ~fat
    _lobules(canvas, free & ~crowded, per_mm2=1.5, acini=(6, 14))
    if crowded.any():
        _lobules(canvas, crowded & free, per_mm2=26, acini=(5, 12))
    _ducts(canvas, free)
    if malignant.any():
        _carcinoma(canvas, malignant)
    _stroma_nuclei(canvas, free & ~canvas.occupied)
    present = canvas.fine(ndimage.gaussian_filter(tissue.astype(np.float32), 1.2))
    edge = np.clip((present - 0.5) * 6 + 0.5, 0, 1)
    return _developed(canvas, edge)


def _developed(canvas: _Canvas, tissue: Map) -> NDArray[np.uint8]:
    """Densities to colours, in bands to keep memory low; a little blur as any lens has."""
    rows = canvas.shape[0]
    out = np.empty((*canvas.shape, 3), dtype=np.uint8)
    uneven = canvas.fine(0.05 * smooth_noise(canvas.rng, canvas.coarse_shape, 90))
    for top in range(0, rows, 512):
        band = slice(top, min(rows, top + 512))
        wide = slice(max(0, top - 4), min(rows, top + 516))
        inner = slice(band.start - wide.start, band.start - wide.start + band.stop - band.start)
        gain = tissue[band] * (1 + uneven[band])
        haematoxylin = ndimage.gaussian_filter(canvas.haematoxylin[wide], 0.7)[inner] * gain
        eosin = ndimage.gaussian_filter(canvas.eosin[wide], 0.6)[inner] * gain
        for channel in range(3):
            density = haematoxylin * _HAEMATOXYLIN[channel] + eosin * _EOSIN[channel] + 0.025
            out[band, :, channel] = np.clip(np.exp(-density) * 255, 0, 255).astype(np.uint8)
    return out


def _stroma(canvas: _Canvas) -> None:
    """Wavy collagen: noise much longer along the fibre, bent by a slow field, with clefts between bundles."""
    size = 2048 if max(canvas.shape) > 2048 else 1024
    grain = smooth_noise(canvas.rng, (size, size), canvas.px(1.4), 14)
    bundles = smooth_noise(canvas.rng, (size, size), canvas.px(7), 7)
    bend_y = smooth_noise(canvas.rng, (size, size), canvas.px(90)) * canvas.px(28)
    bend_x = smooth_noise(canvas.rng, (size, size), canvas.px(90)) * canvas.px(16)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    places = [(y + bend_y) % size, (x + bend_x) % size]
    grain = ndimage.map_coordinates(grain, places, order=1, mode="wrap")
    bundles = ndimage.map_coordinates(bundles, places, order=1, mode="wrap")
    texture = 0.46 + 0.09 * grain + 0.10 * bundles
    clefts = 1 / (1 + np.exp(np.clip((bundles - 1.75) * 9, -40, 40)))
    slow = canvas.fine(0.07 * power_law_noise(canvas.rng, canvas.coarse_shape, 1.4))
    canvas.eosin += canvas.tiled(np.clip(texture, 0.12, None) * clefts) + slow
    canvas.haematoxylin += canvas.tiled(np.clip(0.035 + 0.012 * grain, 0, None) * clefts)


def _fat(canvas: _Canvas, where: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Adipocytes: white cells of some 60 µm with thin pink walls, where a slow field is high."""
    slow = smooth_noise(canvas.rng, canvas.coarse_shape, canvas.px(420) / _COARSE)
    fat = ndimage.binary_opening((slow > 0.75) & where, iterations=3)
    if not fat.any():
        return np.asarray(fat)
    step = canvas.px(58)
    rows, columns = canvas.shape
    grid_y, grid_x = np.mgrid[0 : rows + step : step, 0 : columns + step : step]
    grid_x[1::2] += step / 2
    jitter = canvas.rng.normal(0, step * 0.17, (2, *grid_y.shape))
    tree = cKDTree(np.stack([(grid_y + jitter[0]).ravel(), (grid_x + jitter[1]).ravel()], axis=1))
    half = 2
    ys, xs = np.nonzero(np.repeat(np.repeat(fat, _COARSE // half, 0), _COARSE // half, 1))
    nearest = tree.query(np.stack([ys * half, xs * half], axis=1).astype(np.float32), k=2)[0]
    wall = np.exp(-(((nearest[:, 1] - nearest[:, 0]) / canvas.px(3.6)) ** 2)).astype(np.float32)
    walls = np.zeros(
        (canvas.coarse_shape[0] * _COARSE // half, canvas.coarse_shape[1] * _COARSE // half), np.float32
    )
    walls[ys, xs] = wall
    from PIL import Image

    full = Image.fromarray(walls).resize(
        (walls.shape[1] * half, walls.shape[0] * half), Image.Resampling.BILINEAR
    )
    fine_walls = np.asarray(full)[:rows, :columns]
    amount = np.clip(
        (canvas.fine(ndimage.gaussian_filter(fat.astype(np.float32), 1.5)) - 0.5) * 6 + 0.5, 0, 1
    )
    canvas.eosin *= 1 - amount
    canvas.eosin += amount * fine_walls * 0.38
    canvas.haematoxylin *= 1 - amount * (1 - 0.4 * fine_walls)
    canvas.occupied |= fat
    return np.asarray(fat)


def _lobules(canvas: _Canvas, where: NDArray[np.bool_], *, per_mm2: float, acini: tuple[int, int]) -> None:
    """Clusters of small round glands, each a ring of epithelium around a lumen."""
    area = where.sum() * (_COARSE * canvas.um_per_px / 1000) ** 2
    for _ in range(max(1, round(float(area) * per_mm2))):
        centre = _somewhere(canvas, where)
        if centre is None:
            return
        count = int(canvas.rng.integers(*acini))
        reach = canvas.px(30) * np.sqrt(count)
        # Those that would overlap are left out.
        for _ in range(3 * count):
            offset = canvas.rng.normal(0, reach * 0.55, 2)
            _gland(canvas, centre + offset, canvas.px(canvas.rng.uniform(17, 30)), layers=2, room=where)


def _ducts(canvas: _Canvas, where: NDArray[np.bool_]) -> None:
    area = where.sum() * (_COARSE * canvas.um_per_px / 1000) ** 2
    for _ in range(max(1, round(float(area) * 1.2))):
        centre = _somewhere(canvas, where)
        if centre is not None:
            _gland(canvas, centre, canvas.px(canvas.rng.uniform(50, 90)), layers=3, room=where)


def _somewhere(canvas: _Canvas, where: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    places = np.flatnonzero(where & ~canvas.occupied)
    if not len(places):
        return None
    chosen = np.unravel_index(int(canvas.rng.choice(places)), where.shape)
    return np.array([chosen[0] * _COARSE, chosen[1] * _COARSE], dtype=np.float64)


def _gland(
    canvas: _Canvas, centre: NDArray[np.float64], radius: float, *, layers: int, room: NDArray[np.bool_]
) -> None:
    rng = canvas.rng
    reach = int(radius * 1.6) + 4
    y0, x0 = int(centre[0]) - reach, int(centre[1]) - reach
    if y0 < 0 or x0 < 0 or y0 + 2 * reach >= canvas.shape[0] or x0 + 2 * reach >= canvas.shape[1]:
        return
    coarse = np.s_[
        y0 // _COARSE : (y0 + 2 * reach) // _COARSE + 1, x0 // _COARSE : (x0 + 2 * reach) // _COARSE + 1
    ]
    disc = _disc(canvas.occupied[coarse].shape)
    if (canvas.occupied[coarse] & disc).any() or not room[coarse][disc].all():
        return
    canvas.occupied[coarse] |= disc
    contour = radial_contour(rng, 0.13, 5)
    y, x = np.mgrid[0 : 2 * reach, 0 : 2 * reach].astype(np.float32) - reach
    angle = ((np.arctan2(y, x) + np.pi) / (2 * np.pi) * 720).astype(int) % 720
    relative = np.hypot(y, x) / (radius * contour[angle].astype(np.float32))
    thickness = canvas.px(7.5 * layers) / radius
    lumen, inside = relative < 1 - thickness, relative < 1.04
    here = np.s_[y0 : y0 + 2 * reach, x0 : x0 + 2 * reach]
    eosin, haematoxylin = canvas.eosin[here], canvas.haematoxylin[here]
    eosin[inside] = 0.42
    haematoxylin[inside] = 0.16
    eosin[lumen] = 0.03 if rng.random() < 0.7 else 0.20
    haematoxylin[lumen] = 0.0
    # The basement membrane: a thin pink line around the epithelium.
    eosin += 0.35 * np.exp(-(((relative - 1.07) * radius / canvas.px(2.2)) ** 2))
    for layer in range(layers):
        at = radius * (1 - (layer + 0.55) * canvas.px(7.2) / radius)
        if at < canvas.px(3):
            continue
        count = max(4, int(2 * np.pi * at / canvas.px(6.6)))
        turns = (np.arange(count) + rng.uniform(-0.25, 0.25, count)) * 2 * np.pi / count
        radii = at * contour[((turns + np.pi) / (2 * np.pi) * 720).astype(int) % 720]
        radii += rng.normal(0, canvas.px(0.9), count)
        _stamp(
            canvas,
            centre[0] + radii * np.sin(turns),
            centre[1] + radii * np.cos(turns),
            length=rng.normal(6.6, 0.5, count),
            width=rng.normal(5.0, 0.4, count),
            angle=turns,
            density=rng.normal(0.95, 0.10, count),
        )


def _disc(shape: tuple[int, int]) -> NDArray[np.bool_]:
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    return np.asarray(
        np.hypot((y - (shape[0] - 1) / 2) / (shape[0] / 2), (x - (shape[1] - 1) / 2) / (shape[1] / 2)) < 0.85
    )


def _carcinoma(canvas: _Canvas, where: NDArray[np.bool_]) -> None:
    """Nests and cords of large, uneven nuclei without lumens, in a stroma that answers with fibres."""
    rng = canvas.rng
    field_ = smooth_noise(rng, canvas.coarse_shape, canvas.px(48) / _COARSE, 1.4)
    nests = where & (field_ > -0.05)
    amount = np.clip(
        (canvas.fine(ndimage.gaussian_filter(nests.astype(np.float32), 0.7)) - 0.5) * 5 + 0.5, 0, 1
    )
    canvas.eosin += amount * (0.34 - canvas.eosin) * 0.75
    canvas.haematoxylin += amount * 0.20
    canvas.occupied |= nests
    ys, xs = _scattered(canvas, nests, spacing=9.2)
    count = len(ys)
    size = np.clip(rng.normal(9.6, 1.7, count), 5.5, 15)
    _stamp(
        canvas, ys, xs,
        length=size, width=size * rng.uniform(0.68, 0.98, count),
        angle=rng.uniform(0, np.pi, count), density=rng.normal(0.98, 0.22, count), vesicular=True,
    )  # fmt: skip
    # Lymphocytes at the border: small, round, very dark.
    rim = ndimage.binary_dilation(nests, iterations=4) & ~nests
    ys, xs = _scattered(canvas, rim & (smooth_noise(rng, canvas.coarse_shape, 20) > 0.3), spacing=10)
    small = np.clip(rng.normal(5.4, 0.4, len(ys)), 4, 7)
    _stamp(
        canvas, ys, xs,
        length=small, width=small * 0.95, angle=np.zeros(len(ys)), density=rng.normal(1.5, 0.12, len(ys)),
    )  # fmt: skip


def _stroma_nuclei(canvas: _Canvas, where: NDArray[np.bool_]) -> None:
    rng = canvas.rng
    ys, xs = _scattered(canvas, where, spacing=27)
    count = len(ys)
    _stamp(
        canvas, ys, xs,
        length=np.clip(rng.normal(10.5, 2.2, count), 5, 17),
        width=np.clip(rng.normal(2.6, 0.5, count), 1.6, 4.5),
        angle=rng.normal(0, 0.5, count), density=rng.normal(1.0, 0.15, count),
    )  # fmt: skip


def _scattered(
    canvas: _Canvas, where: NDArray[np.bool_], spacing: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places about `spacing` µm apart inside a coarse map: a jittered hexagonal grid."""
    step = canvas.px(spacing)
    grid_y, grid_x = np.mgrid[0 : canvas.shape[0] : step * 0.87, 0 : canvas.shape[1] : step]
    grid_x[1::2] += step / 2
    ys = (grid_y + canvas.rng.normal(0, step * 0.16, grid_y.shape)).ravel()
    xs = (grid_x + canvas.rng.normal(0, step * 0.16, grid_x.shape)).ravel()
    cy, cx = (ys // _COARSE).astype(int), (xs // _COARSE).astype(int)
    valid = (cy >= 0) & (cx >= 0) & (cy < where.shape[0]) & (cx < where.shape[1])
    valid[valid] = where[cy[valid], cx[valid]]
    return ys[valid], xs[valid]


def _stamp(
    canvas: _Canvas,
    ys: NDArray[np.float64],
    xs: NDArray[np.float64],
    *,
    length: NDArray[np.float64],
    width: NDArray[np.float64],
    angle: NDArray[np.float64],
    density: NDArray[np.float64],
    vesicular: bool = False,
) -> None:
    """Draw elliptical nuclei (axes in µm). Vesicular ones are pale inside, with a rim and a nucleolus."""
    if not len(ys):
        return
    reach = int(np.ceil(canvas.px(float(length.max())) / 2)) + 2
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32)
    grain = canvas.rng.normal(1.0, 0.13, (64, *y.shape)).astype(np.float32)
    grain = ndimage.gaussian_filter(grain, (0, 0.8, 0.8))
    rows, columns = canvas.shape
    half_length, half_width = length / canvas.um_per_px / 2, width / canvas.um_per_px / 2
    cos, sin = np.cos(angle), np.sin(angle)
    for n in range(len(ys)):
        cy, cx = int(ys[n]), int(xs[n])
        if cy < reach or cx < reach or cy >= rows - reach or cx >= columns - reach:
            continue
        u = (x * cos[n] + y * sin[n]) / half_length[n]
        v = (y * cos[n] - x * sin[n]) / half_width[n]
        radius = u * u + v * v
        nucleus = np.clip((1.12 - radius) * 3.0, 0, 1) * density[n] * grain[n % 64]
        if vesicular:
            nucleus *= 0.62 + 0.38 * np.clip(radius, 0, 1) + 0.9 * np.exp(-(((u - 0.2) ** 2 + v * v) * 22))
        here = canvas.haematoxylin[cy - reach : cy + reach + 1, cx - reach : cx + reach + 1]
        np.maximum(here, nucleus, out=here)

"""Four-view mammograms: a soft skin line, thickness falling off at the edge, 1/f parenchyma and strands drawn towards
the nipple on grey fat, pectoral muscle in the oblique views, masses and calcifications. Near enough to films that the
model's gate takes them for such.

Geometry is drawn for a left breast (chest wall at the left edge) and mirrored for a right one, which is how
the four views hang back to back.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from imaging.phantoms.phantom import (
    Box,
    Lesion,
    Phantom,
    box_of,
    power_law_noise,
    radial_contour,
    smooth_noise,
)

ROWS, COLUMNS = 1792, 1344
UM_PER_PX = 130.0
FULL_SCALE = 4095
VIEWS: tuple[tuple[Literal["R", "L"], str], ...] = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))

Field = NDArray[np.float32]


def phantom(
    seed: int,
    laterality: Literal["L", "R"],
    view: str,
    lesion: Lesion = "none",
    *,
    density: float | None = None,
    rows: int = ROWS,
    columns: int = COLUMNS,
) -> Phantom:
    """One view, `rows`×`columns` uint16 with 12 bits at 130 µm per pixel (scaled with `rows`).

    The same seed is the same woman: shape and density agree between views and sides. `density` is 0 (fatty)
    to 1 (dense). `lesion` is in this breast; `label` is normal, benign or malignant.
    """
    if view not in ("CC", "MLO"):
        raise ValueError(f"no phantom for view {view}")
    woman = np.random.default_rng([seed, 77])
    size, dense = woman.uniform(0.8, 1.0), woman.uniform(0.15, 0.85)
    dense = dense if density is None else density
    rng = np.random.default_rng([seed, laterality == "L", view == "MLO", 11])
    lesion_rng = np.random.default_rng([seed, laterality == "L", 13])

    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    y, x = y / rows, x / rows
    inside, nipple = _outline(rng, view, float(size), x, y)
    tissue = _tissue(rng, inside, nipple, float(dense), x, y)
    mask = np.zeros((rows, columns), dtype=bool)
    if lesion != "none":
        mask = _add_mass(lesion_rng, rng, lesion, tissue, inside, nipple, x, y)
        if lesion == "malignant":
            _add_calcifications(rng, tissue, mask)
    exposure = _exposure(tissue, inside, rows)
    if view == "MLO":
        _add_pectoral(rng, exposure, inside, x, y)
    air = 40 + 6 * rng.standard_normal((rows, columns), dtype=np.float32)
    noise = rng.standard_normal((rows, columns), dtype=np.float32)
    values = np.where(inside > 0.004, exposure + 14 * noise, air)
    pixels = np.clip(values, 0, FULL_SCALE).astype(np.uint16)
    if laterality == "R":
        pixels, mask = pixels[:, ::-1].copy(), mask[:, ::-1].copy()
    boxes: tuple[Box, ...] = (box_of(mask),) if mask.any() else ()
    return Phantom(
        pixels=pixels,
        um_per_px=UM_PER_PX * ROWS / rows,
        label="normal" if lesion == "none" else lesion,
        seed=seed,
        mask=mask,
        boxes=boxes,
        laterality=laterality,
        view=view,
    )


def exam(seed: int, left: Lesion = "none", right: Lesion = "none", *, rows: int = ROWS) -> list[Phantom]:
    """The four views of one woman, in hanging order: R CC, L CC, R MLO, L MLO."""
    columns = round(rows * COLUMNS / ROWS)
    return [
        phantom(seed, side, view, left if side == "L" else right, rows=rows, columns=columns)
        for side, view in VIEWS
    ]


def write_dicom(made: Phantom, path: Path, **tags: str) -> None:
    """Digital Mammography X-Ray Image Storage, for presentation. `tags` are DICOM keywords, for instance
    PatientID; UIDs under 2.25 follow from seed and patient, so the views of one exam share a study."""
    from imaging.phantoms.dicom_writer import write

    number = 1 + list(VIEWS).index((made.laterality or "L", made.view or "CC"))
    write(
        made,
        path,
        modality="MG",
        sop_class="1.2.840.10008.5.1.4.1.1.1.2",
        stack=made.pixels,
        tags={"InstanceNumber": str(number), **tags},
    )


def write_png(made: Phantom, path: Path) -> None:
    """16-bit gray PNG of the stored values."""
    from PIL import Image

    Image.fromarray(made.pixels).save(path)


def _outline(
    rng: np.random.Generator, view: str, size: float, x: Field, y: Field
) -> tuple[Field, tuple[float, float]]:
    """Distance from the skin into the breast (0 outside), as a fraction of the height, and the nipple."""
    oblique = view == "MLO"
    centre_y = 0.60 if oblique else 0.50
    reach = size * (0.50 if oblique else 0.46)
    # The axilla leaves the oblique view at the top instead of closing.
    above, below = (0.78, 0.36) if oblique else (0.42 * size + 0.03, 0.42 * size + 0.03)
    v = np.where(y < centre_y, (centre_y - y) / above, (y - centre_y) / below)
    power = 2.1 if not oblique else np.where(y < centre_y, 1.6, 2.2)
    wobble = 0.008 * smooth_noise(rng, (y.shape[0], 8), y.shape[0] / 3)[:, :1]
    border = reach * np.power(np.clip(1 - np.power(v, power), 0, None), 1 / 2.1) + wobble * np.clip(
        1 - v**6, 0, 1
    )
    nipple = (float(reach) + 0.005, float(centre_y))
    bump = 0.018 * np.exp(-(((y - nipple[1]) / 0.016) ** 2))
    inside = x < border + bump
    inside[:, -2:] = False
    small = ndimage.zoom(inside.astype(np.uint8), 0.25, order=0)
    padded = np.pad(small, ((0, 0), (200, 0)), mode="edge")
    if oblique:
        padded = np.pad(padded, ((200, 0), (0, 0)), mode="edge")
    distance = ndimage.distance_transform_edt(padded)[200 if oblique else 0 :, 200:]
    scale = [a / b for a, b in zip(inside.shape, distance.shape, strict=True)]
    full = ndimage.zoom(distance.astype(np.float32), scale, order=1)[: inside.shape[0], : inside.shape[1]]
    return np.where(inside, full * 4 / inside.shape[0] + 0.005, 0).astype(np.float32), nipple


def _tissue(
    rng: np.random.Generator, inside: Field, nipple: tuple[float, float], dense: float, x: Field, y: Field
) -> Field:
    """Share of gland in the beam's way, about 0 to 1."""
    shape = inside.shape
    cloud = power_law_noise(rng, shape, 1.55)
    # Fibres run towards the nipple: noise that is smooth along the radius, sharp across it.
    angle = np.arctan2(y - nipple[1], nipple[0] + 0.05 - x)
    radius = np.hypot(y - nipple[1], nipple[0] + 0.05 - x)
    polar = smooth_noise(rng, (1024, 256), 7, 5.0)
    rays = ndimage.map_coordinates(
        polar, [(angle / np.pi + 1) * 512, np.clip(radius * 256, 0, 255)], order=1, mode="wrap"
    )
    reach = max(nipple[0], 0.1)
    core = np.exp(
        -(((x - reach * 0.62) / (reach * 0.40)) ** 2) - ((y - nipple[1]) / (0.17 + 0.12 * dense)) ** 2
    )
    deep = np.clip((inside - 0.022) / 0.05, 0, 1)
    cone = 1 / (1 + np.exp(-(core * (1.1 + 1.6 * dense) - 0.75 + 0.40 * cloud + 0.04 * rays) * 2.6))
    gland = deep * cone * (0.42 + 0.34 * dense + 0.12 * cloud + 0.015 * rays)
    # Cooper's ligaments and vessels: thin bright strands where slow fields cross zero, drawn towards the nipple.
    strands = np.zeros(shape, dtype=np.float32)
    for width, strength in ((0.06, 0.13), (0.05, 0.10), (0.04, 0.10), (0.03, 0.08)):
        polar = smooth_noise(rng, (1024, 256), 9, 2.6)
        wave = ndimage.map_coordinates(
            polar,
            [(angle / np.pi + 1) * 512 + 6 * cloud, np.clip(radius * 200 + 5 * cloud, 0, 255)],
            order=1,
            mode="wrap",
        )
        strands += strength * np.exp(-((wave / width) ** 2)).astype(np.float32)
    strands = ndimage.gaussian_filter(strands, shape[0] / 1800) * np.clip(inside / 0.05, 0, 1)
    veil = 0.045 * cloud + 0.012 * rays * np.clip(core * 2, 0, 1)
    tissue = np.clip(gland + strands + veil + 0.06, 0, 1.2)
    return np.asarray(ndimage.gaussian_filter(tissue, shape[0] / 600), dtype=np.float32)


def _exposure(tissue: Field, inside: Field, rows: int) -> Field:
    """Presentation values: compressed thickness (even inside, falling off over a wide rim), grey fat, gland."""
    near = np.clip(inside / 0.11, 0, 1)
    thickness = np.power(1 - (1 - near) ** 2, 0.9)
    skin = 90 * np.exp(-(((inside - 0.008) / 0.005) ** 2))
    values = 120 + thickness * (1500 + 1750 * tissue) + skin
    return np.asarray(ndimage.gaussian_filter(values, rows / 1800), dtype=np.float32)


def _add_pectoral(rng: np.random.Generator, exposure: Field, inside: Field, x: Field, y: Field) -> None:
    width, height = rng.uniform(0.19, 0.24), rng.uniform(0.48, 0.60)
    bulge = 0.02 * np.sin(np.clip(y / height, 0, 1) * np.pi)
    edge = width * (1 - y / height) + bulge
    amount = 1 / (1 + np.exp(np.clip((x - edge) * 110, -40, 40))) * np.clip(inside / 0.03, 0, 1)
    fibres = smooth_noise(rng, (exposure.shape[0], exposure.shape[1]), 9, 0.25)
    exposure += amount * (3150 + 500 * (edge - x) + 25 * fibres - exposure) * 0.85


def _add_mass(
    shared: np.random.Generator,
    rng: np.random.Generator,
    lesion: Lesion,
    tissue: Field,
    inside: Field,
    nipple: tuple[float, float],
    x: Field,
    y: Field,
) -> NDArray[np.bool_]:
    """Same depth and size in both views (`shared`), its own outline in each."""
    depth, offset = shared.uniform(0.42, 0.66), shared.uniform(-0.12, 0.12)
    radius = shared.uniform(0.026, 0.038)
    malignant = lesion == "malignant"
    cx, cy = nipple[0] * depth, nipple[1] + offset
    contour = radial_contour(rng, 0.16 if malignant else 0.06, 12 if malignant else 4)
    dx, dy = x - cx, y - cy
    angle = ((np.arctan2(dy, dx) + np.pi) / (2 * np.pi) * 720).astype(int) % 720
    distance = np.hypot(dx, dy)
    relative = distance / (radius * contour[angle].astype(np.float32))
    body = 1 / (1 + np.exp(np.clip((relative - 1) * (7 if malignant else 11), -40, 40)))
    tissue += body * (0.34 if malignant else 0.22) * (1.0 - 0.25 * np.clip(relative, 0, 1) ** 2)
    if malignant:
        # Spicules: rays of different length and strength that leave the mass.
        ray = np.zeros(720)
        for _ in range(int(rng.integers(22, 34))):
            at = rng.integers(0, 720)
            ray[(at + np.arange(-3, 4)) % 720] += rng.uniform(0.5, 1.0) * np.exp(
                -((np.arange(-3, 4) / 1.6) ** 2)
            )
        fade = np.exp(-np.clip(relative - 0.8, 0, None) / 0.75)
        wavy = (angle + 10 * np.sin(distance * 140) * distance / radius * 0.4).astype(int) % 720
        tissue += 0.16 * ray[wavy].astype(np.float32) * fade * (relative > 0.8)
    else:
        # The thin dark rim of fat that a smooth mass pushes aside.
        tissue -= 0.06 * np.exp(-(((relative - 1.10) / 0.07) ** 2))
    return np.asarray((relative < 1) & (inside > 0))


def _add_calcifications(rng: np.random.Generator, tissue: Field, mask: NDArray[np.bool_]) -> None:
    x0, y0, x1, y1 = box_of(mask)
    for _ in range(int(rng.integers(9, 18))):
        px = int(np.clip(rng.normal((x0 + x1) / 2, (x1 - x0) / 3.2), 4, tissue.shape[1] - 5))
        py = int(np.clip(rng.normal((y0 + y1) / 2, (y1 - y0) / 3.2), 4, tissue.shape[0] - 5))
        yy, xx = np.mgrid[-4:5, -4:5]
        turn = rng.uniform(0, np.pi)
        u, v = xx * np.cos(turn) + yy * np.sin(turn), -xx * np.sin(turn) + yy * np.cos(turn)
        spot = np.exp(-((u / rng.uniform(1.0, 2.6)) ** 2) - (v / rng.uniform(0.8, 1.3)) ** 2)
        tissue[py - 4 : py + 5, px - 4 : px + 5] += (rng.uniform(0.35, 0.8) * spot).astype(np.float32)

"""B-mode ultrasound of a breast: skin, fat, gland, muscle and perhaps a lesion, seen through speckle.

Speckle is the envelope of a filtered complex Gaussian field whose local power is the tissue's echogenicity
(Wagner 1983), widened with depth, then compressed logarithmically as a scanner does.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from imaging.phantoms.phantom import Box, Lesion, Phantom, box_of, radial_contour, smooth_noise

ROWS, COLUMNS = 480, 640
UM_PER_PX = 80.0
_DYNAMIC_RANGE_DB = 58.0

# Mean echo in dB relative to fat.
_SKIN, _FAT, _GLAND, _MUSCLE, _FASCIA, _CHEST = 11.0, 0.0, 8.5, 0.5, 14.0, -5.0


def phantom(seed: int, lesion: Lesion = "none", *, rows: int = ROWS, columns: int = COLUMNS) -> Phantom:
    """One image, `rows`×`columns` uint8 at 80 µm per pixel. `label` is benign, malignant or normal."""
    rng = np.random.default_rng([seed, {"none": 0, "benign": 1, "malignant": 2}[lesion]])
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    echo, gland_top, gland_bottom = _layers(rng, rows, columns, y)
    attenuation = np.zeros((rows, columns), dtype=np.float32)
    mask = np.zeros((rows, columns), dtype=bool)
    if lesion != "none":
        mask = _add_lesion(rng, lesion, echo, attenuation, x, y, float(gland_top), float(gland_bottom))
    # Gain compensation is never perfect: a slow fall with depth and uneven contact along the probe.
    falloff = 5.0 * (y / rows) ** 1.7 + 1.2 * smooth_noise(rng, (rows, columns), 260)
    image = _speckled(rng, echo + attenuation - falloff)
    boxes: tuple[Box, ...] = (box_of(mask),) if mask.any() else ()
    return Phantom(
        pixels=image,
        um_per_px=UM_PER_PX,
        label={"none": "normal"}.get(lesion, lesion),
        seed=seed,
        mask=mask,
        boxes=boxes,
        laterality="L" if seed % 2 else "R",
    )


def write_png(made: Phantom, path: Path) -> None:
    """8-bit gray PNG, without scale: a PNG from a scanner has none either."""
    from PIL import Image

    Image.fromarray(made.pixels).save(path)


def write_dicom(made: Phantom, path: Path, *, frames: int = 1, **tags: str) -> None:
    """Ultrasound Image Storage with one calibrated region; with `frames` a short cine loop (uncompressed).
    `tags` are DICOM keywords, for instance PatientID. UIDs under 2.25 follow from the seed."""
    from imaging.phantoms.dicom_writer import write

    sop_class = "1.2.840.10008.5.1.4.1.1.6.1" if frames == 1 else "1.2.840.10008.5.1.4.1.1.3.1"
    stack = made.pixels if frames == 1 else np.stack([made.pixels] * frames)
    write(made, path, modality="US", sop_class=sop_class, stack=stack, ultrasound=True, tags=tags)


def _layers(
    rng: np.random.Generator, rows: int, columns: int, y: NDArray[np.float32]
) -> tuple[NDArray[np.float32], float, float]:
    """Echogenicity in dB, and the depth of the gland's upper and lower border in the middle."""

    def border(depth: float, roughness: float, scale: float) -> NDArray[np.float32]:
        wave = smooth_noise(rng, (1, 2 * columns), scale)[0, :columns]
        return np.asarray(depth * rows + roughness * rows * wave, dtype=np.float32)

    skin = border(0.035, 0.002, 160)
    gland_top = border(rng.uniform(0.17, 0.25), 0.022, 110)
    gland_bottom = border(rng.uniform(0.60, 0.68), 0.018, 130)
    muscle_top = gland_bottom + np.abs(border(0.04, 0.008, 150))
    muscle_bottom = muscle_top + np.abs(border(0.17, 0.006, 200))

    echo = np.full((rows, columns), _FAT, dtype=np.float32)
    fat_texture = smooth_noise(rng, (rows, columns), 26, 2.4)
    # Septa: thin bright sheets between fat lobules, along the zero crossings of a slow field.
    lobules = smooth_noise(rng, (rows, columns), 34, 2.2)
    echo += 9.0 * np.exp(-((lobules / 0.055) ** 2)) + 1.2 * fat_texture - 1.5
    in_gland = (y >= gland_top) & (y < gland_bottom)
    islands = smooth_noise(rng, (rows, columns), 30, 2.0)
    ducts = smooth_noise(rng, (rows, columns), 9, 4.0)
    gland = _GLAND + 2.2 * smooth_noise(rng, (rows, columns), 14, 2.5)
    gland -= 9.0 / (1.0 + np.exp(-(islands - 1.1) * 6)) + 4.0 * (ducts > 1.5)
    echo = np.where(in_gland, gland, echo)
    in_muscle = (y >= muscle_top) & (y < muscle_bottom)
    fibres = np.sin((y - muscle_top) * 0.62 + 1.6 * smooth_noise(rng, (rows, columns), 60, 4.0))
    echo = np.where(in_muscle, _MUSCLE + 3.2 * fibres, echo)
    echo = np.where(y >= muscle_bottom, _CHEST - 10 * (y - muscle_bottom) / rows, echo)
    for sheet, brightness, thickness in (
        (gland_top, 4.0, 1.6), (muscle_top, _FASCIA, 1.8), (muscle_bottom, _FASCIA - 2, 2.2),
    ):  # fmt: skip
        echo += brightness * np.exp(-(((y - sheet) / thickness) ** 2))
    echo = np.where(y < skin, _SKIN, echo)
    echo = np.where(y < 0.012 * rows, _SKIN + 6, echo)
    middle = columns // 2
    return echo.astype(np.float32), float(gland_top[middle]), float(gland_bottom[middle])


def _add_lesion(
    rng: np.random.Generator,
    lesion: Lesion,
    echo: NDArray[np.float32],
    attenuation: NDArray[np.float32],
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    top: float,
    bottom: float,
) -> NDArray[np.bool_]:
    """Changes `echo` and `attenuation` in place; returns the lesion's outline, filled."""
    columns = echo.shape[1]
    malignant = lesion == "malignant"
    height = rng.uniform(0.46, 0.62) * (bottom - top) * (1.0 if malignant else 0.8)
    width = height * (rng.uniform(0.85, 1.15) if malignant else rng.uniform(1.5, 1.9))
    cx = columns * rng.uniform(0.36, 0.64)
    cy = (top + bottom) / 2 + rng.uniform(-0.08, 0.08) * (bottom - top)
    contour = radial_contour(rng, 0.16 if malignant else 0.035, 14 if malignant else 4)
    tilt = rng.uniform(-0.15, 0.15)
    dx, dy = x - cx, y - cy
    u, v = dx * np.cos(tilt) + dy * np.sin(tilt), -dx * np.sin(tilt) + dy * np.cos(tilt)
    angle = np.arctan2(v / height, u / width)
    index = ((angle + np.pi) / (2 * np.pi) * len(contour)).astype(int) % len(contour)
    radius = np.hypot(u / (width / 2), v / (height / 2)) / contour[index].astype(np.float32)
    inside = radius < 1
    edge = 14 if malignant else 30
    amount = 1 / (1 + np.exp((radius - 1) * edge))
    texture = smooth_noise(rng, echo.shape, 9 if malignant else 22)
    level = (-13.0 + 3.2 * texture) if malignant else (-9.5 + 1.0 * texture)
    echo += amount * (level - echo)
    if malignant:
        # An echogenic, uneven halo where the tumour invades the fat.
        echo += 6.0 * np.exp(-(((radius - 1.15) / 0.14) ** 2)) * (0.6 + 0.5 * texture)
        spots = rng.integers(2, 6)
        for _ in range(int(spots)):
            px, py = cx + rng.normal(0, width / 7), cy + rng.normal(0, height / 7)
            echo += 19 * np.exp(-(((x - px) / 1.8) ** 2 + ((y - py) / 1.4) ** 2))
    else:
        echo += 5.0 * np.exp(-(((radius - 1.03) / 0.04) ** 2))
    # What lies behind: a tumour absorbs, a cyst or fibroadenoma lets more through, its edges refract.
    behind = np.cumsum(inside, axis=0).astype(np.float32) / height
    shade = np.where(inside, 0, behind) * (-13.0 if malignant else 5.0)
    attenuation += ndimage.gaussian_filter(shade, (3, 7))
    if not malignant:
        for side in (-1, 1):
            edge_x = cx + side * width * 0.49
            attenuation -= 5.0 * np.exp(-(((x - edge_x) / 5.0) ** 2)) * (y > cy)
    return np.asarray(inside)


def _speckled(rng: np.random.Generator, echo: NDArray[np.float32]) -> NDArray[np.uint8]:
    rows, columns = echo.shape
    amplitude = np.power(10.0, echo / 20).astype(np.float32)
    depth = np.linspace(0, 1, rows, dtype=np.float32)[:, None]
    envelope = np.zeros_like(amplitude)
    # Near and far focus, blended: the beam widens with depth.
    near_far: list[NDArray[np.float32]] = []
    for lateral in (1.9, 3.3):
        real = rng.standard_normal((rows, columns), dtype=np.float32) * amplitude
        imaginary = rng.standard_normal((rows, columns), dtype=np.float32) * amplitude
        sigma = (1.15, lateral)
        norm = np.sqrt(4 * np.pi * sigma[0] * sigma[1])
        near_far.append(
            np.hypot(
                ndimage.gaussian_filter(real, sigma, mode="reflect") * norm,
                ndimage.gaussian_filter(imaginary, sigma, mode="reflect") * norm,
            )
        )
    envelope = near_far[0] * (1 - depth) + near_far[1] * depth
    decibels = 20 * np.log10(envelope + 10 ** (-30 / 20))
    shown = (decibels + _DYNAMIC_RANGE_DB * 0.38) / _DYNAMIC_RANGE_DB
    # The scan converter smooths what it draws.
    shown = ndimage.gaussian_filter(np.clip(shown, 0, 1), 0.8)
    return np.asarray(shown * 245, dtype=np.uint8)

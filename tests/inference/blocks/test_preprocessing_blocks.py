"""Preprocessing blocks: what each changes, and what it leaves alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from imaging.phantoms import mammography, ultrasound
from inference.blocks.learned import NotFitted
from inference.blocks.preprocess.breast import pectoral_mask
from inference.blocks.preprocess.film import breast_mask
from inference.blocks.registry import build

Pixels = NDArray[np.uint8]


def make(name: str, **parameters: Any) -> Any:
    return build("preprocess", name, **parameters)


# --- films ---------------------------------------------------------------------------------------------


def drawn_film(
    noise: float = 6.0, mirrored: bool = False, step: float = 60.0
) -> tuple[Pixels, NDArray[np.bool_]]:
    """An oblique breast with a bright triangle of 90×160 px in its corner: the film, and the triangle."""
    rows, columns = np.mgrid[0:384, 0:288]
    breast = ((columns / 220) ** 2 + ((rows - 170) / 200) ** 2 < 1) | ((rows < 170) & (columns < 150))
    muscle = columns / 90 + rows / 160 < 1
    values = np.where(breast, 90.0, 3.0) + np.where(muscle, step, 0.0)
    values = ndimage.gaussian_filter(values, 1.5) + np.random.default_rng(5).normal(0, noise, values.shape)
    film = np.clip(values, 0, 255).astype(np.uint8)
    return (film[:, ::-1].copy(), muscle[:, ::-1].copy()) if mirrored else (film, muscle)


def iou(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    return float((first & second).sum() / (first | second).sum())


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_pectoral_muscle_is_found_on_either_side(mirrored: bool) -> None:
    film, muscle = drawn_film(mirrored=mirrored)
    breast = breast_mask(film) > 0

    assert iou(pectoral_mask(film, breast), muscle & breast) > 0.85


def test_a_phantoms_pectoral_muscle_goes_and_its_lesion_stays() -> None:
    made = mammography.phantom(3, "R", "MLO", "malignant", rows=448, columns=336)
    film = (made.pixels >> 4).astype(np.uint8)

    cleaned = make("pectoral_removal")(film)

    assert made.mask is not None
    assert (cleaned[made.mask] > 0).all()
    assert (cleaned[:60, -40:] == 0).mean() > 0.9
    assert 0.05 < (cleaned == 0)[breast_mask(film) > 0].mean() < 0.45


@pytest.mark.parametrize("seed", [0, 1])
def test_a_craniocaudal_view_has_no_pectoral_muscle_to_lose(seed: int) -> None:
    made = mammography.phantom(seed, "L", "CC", rows=448, columns=336)
    film = (made.pixels >> 4).astype(np.uint8)

    assert not pectoral_mask(film, breast_mask(film) > 0).any()


def test_a_film_without_a_bright_corner_keeps_its_breast() -> None:
    film, _ = drawn_film(step=0.0)

    assert not pectoral_mask(film, breast_mask(film) > 0).any()


def test_an_empty_film_has_no_pectoral_muscle() -> None:
    assert not make("pectoral_removal")(np.zeros((200, 150), np.uint8)).any()


def test_labels_beside_the_breast_go_black() -> None:
    film, _ = drawn_film()
    film[40:80, 240:275] = 250

    cleaned = make("breast_mask")(film)

    assert not cleaned[40:80, 240:275].any()
    assert np.array_equal(cleaned[150:200, 20:150], film[150:200, 20:150])


def test_every_breast_ends_with_its_chest_wall_on_the_left() -> None:
    left, _ = drawn_film()
    right, _ = drawn_film(mirrored=True)
    flip = make("side_flip")

    assert np.array_equal(flip(left), left)
    assert np.array_equal(flip(right), left)


def test_an_outline_is_flipped_with_its_film() -> None:
    right, muscle = drawn_film(mirrored=True)

    film, outline = make("side_flip").with_mask(right, muscle.astype(np.uint8))

    assert np.array_equal(film, right[:, ::-1])
    assert np.array_equal(outline, muscle[:, ::-1])


# --- contrast and size ---------------------------------------------------------------------------------


def test_clahe_raises_local_contrast_and_keeps_colour_images_in_colour() -> None:
    faint = np.random.default_rng(0).normal(110, 4, (128, 128)).astype(np.uint8)
    colour = np.stack([faint, faint // 2, faint], axis=-1)

    assert make("clahe")(faint).std() > 1.5 * faint.std()
    assert make("clahe")(colour).shape == colour.shape


def test_a_window_stretches_what_is_lit_and_leaves_black_black() -> None:
    image = np.zeros((60, 60), np.uint8)
    image[10:50, 10:50] = np.random.default_rng(0).integers(100, 140, (40, 40))

    stretched = make("window", low=0, high=100)(image)

    assert stretched.max() == 255
    assert not stretched[image == 0].any()


def test_a_flat_image_survives_the_window() -> None:
    flat = np.full((20, 20), 77, np.uint8)

    assert np.array_equal(make("window")(flat), flat)


def test_resizing_with_the_aspect_kept_pads_with_black() -> None:
    image = np.full((100, 50, 3), 200, np.uint8)

    small = make("resize", size=32, keep_aspect=True)(image)

    assert small.shape == (32, 32, 3)
    assert (small[:, :16] == 200).all()
    assert not small[:, 16:].any()


def test_an_outline_is_resized_without_new_values() -> None:
    outline = np.zeros((90, 60), np.uint8)
    outline[30:60, 20:40] = 255

    image, small = make("resize", size=(30, 20)).with_mask(outline, outline)

    assert image.shape == small.shape == (30, 20)
    assert set(np.unique(small)) == {0, 255}
    assert small.sum() / 255 == pytest.approx(67, abs=8)


def test_two_haar_levels_are_the_means_of_4_by_4_squares() -> None:
    image = np.random.default_rng(1).integers(0, 256, (64, 48, 3)).astype(np.uint8)

    low = make("haar", levels=2)(image)

    means = image.reshape(16, 4, 12, 4, 3).mean(axis=(1, 3))
    assert low.shape == (16, 12, 3)
    assert np.abs(low - means).max() <= 0.5 + 1e-9


def test_haar_takes_odd_sizes_and_brings_the_outline_along() -> None:
    image = np.full((45, 31), 90, np.uint8)

    low, outline = make("haar", levels=1).with_mask(image, np.full((45, 31), 255, np.uint8))

    assert low.shape == outline.shape == (23, 16)
    assert (low == 90).all()


# --- noise ---------------------------------------------------------------------------------------------


def speckled(looks: float = 8.0) -> Pixels:
    """Two levels with an edge at column 64, under multiplicative noise."""
    clean = np.where(np.arange(128) < 64, 60, 140) * np.ones((128, 1))
    noise = np.random.default_rng(2).gamma(looks, 1 / looks, clean.shape)
    return np.clip(clean * noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("block", ["srad", "median"])
def test_speckle_is_reduced_on_both_sides_of_an_edge_that_stays(block: str) -> None:
    noisy = speckled()

    smooth = make(block)(noisy).astype(float)

    for side in (slice(8, 56), slice(72, 120)):
        assert smooth[:, side].std() < 0.6 * noisy[:, side].astype(float).std()
    step = smooth[:, 67:70].mean() - smooth[:, 58:61].mean()
    assert step > 0.6 * (140 - 60)


def test_srad_leaves_a_flat_image_and_a_black_one_as_they_are() -> None:
    for level in (0, 90):
        flat = np.full((40, 40), level, np.uint8)
        assert np.array_equal(make("srad")(flat), flat)


def test_srad_smooths_an_ultrasound_phantom_without_moving_its_brightness() -> None:
    image = ultrasound.phantom(seed=1, lesion="benign").pixels
    image = image[: image.shape[0] // 2, : image.shape[1] // 2].astype(np.uint8)

    smooth = make("srad", iterations=10)(image)

    assert np.abs(np.diff(smooth.astype(float))).mean() < np.abs(np.diff(image.astype(float))).mean()
    assert smooth.mean() == pytest.approx(image.mean(), abs=4)


def test_salt_and_pepper_go_and_other_pixels_stay() -> None:
    rng = np.random.default_rng(3)
    clean = ndimage.gaussian_filter(rng.normal(128, 60, (80, 80)), 4)
    clean = np.clip(clean, 40, 220).astype(np.uint8)
    hit = rng.random(clean.shape) < 0.1
    noisy = np.where(hit, np.where(rng.random(clean.shape) < 0.5, 0, 255), clean).astype(np.uint8)

    restored = make("fuzzy_median")(noisy)

    assert np.array_equal(restored[~hit], clean[~hit])
    assert np.abs(restored[hit].astype(int) - clean[hit]).mean() < 4


def test_the_fuzzy_median_leaves_a_black_background_black() -> None:
    film, _ = drawn_film(noise=0)
    film[film < 5] = 0

    restored = make("fuzzy_median")(film)

    assert np.array_equal(restored[300:, 250:], film[300:, 250:])


# --- stain ---------------------------------------------------------------------------------------------

HAEMATOXYLIN, EOSIN = np.array([0.56, 0.72, 0.41]), np.array([0.22, 0.80, 0.56])


def stained(
    haematoxylin: NDArray[np.float64] = HAEMATOXYLIN,
    eosin: NDArray[np.float64] = EOSIN,
    strength: float = 1.0,
    seed: int = 0,
) -> Pixels:
    """One scene of nuclei and stroma beside empty glass, in the given stains."""
    rng = np.random.default_rng(seed)
    nuclei = ndimage.gaussian_filter(rng.normal(0, 1, (96, 96)), 3)
    nuclei = np.clip((nuclei / nuclei.std() - 0.5) * 0.9, 0, 1.6)
    stroma = np.clip(0.7 + 0.25 * ndimage.gaussian_filter(rng.normal(0, 6, (96, 96)), 5), 0.3, 1.4)
    amounts = np.stack([nuclei, stroma], axis=-1) * strength
    amounts[:, 72:] = 0
    pair = np.stack([haematoxylin / np.linalg.norm(haematoxylin), eosin / np.linalg.norm(eosin)])
    return np.round(255 * np.exp(-amounts @ pair)).astype(np.uint8)


def other_laboratory(seed: int = 0) -> Pixels:
    return stained(np.array([0.65, 0.70, 0.29]), np.array([0.10, 0.92, 0.38]), strength=1.35, seed=seed)


@pytest.mark.parametrize("block", ["reinhard", "macenko"])
def test_two_stainings_of_one_scene_become_alike(block: str) -> None:
    here, there = stained(), other_laboratory()
    normalise = make(block).fit([here])
    tissue = slice(0, 72)

    before = np.abs(here[:, tissue].astype(int) - there[:, tissue]).mean()
    after = np.abs(normalise(here)[:, tissue].astype(int) - normalise(there)[:, tissue]).mean()

    assert after < (0.5 if block == "reinhard" else 0.35) * before


@pytest.mark.parametrize("block", ["reinhard", "macenko"])
def test_white_stays_white(block: str) -> None:
    assert (make(block).fit([stained()])(other_laboratory())[:, 72:] == 255).all()


@pytest.mark.parametrize("block", ["reinhard", "macenko"])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_an_image_without_tissue_comes_back_unchanged(block: str, level: int) -> None:
    empty = np.full((40, 40, 3), level, np.uint8)

    assert np.array_equal(make(block).fit([stained()])(empty), empty)


def test_macenko_leaves_an_image_of_one_colour_unchanged() -> None:
    plain = np.full((40, 40, 3), (150, 80, 150), np.uint8)

    assert np.array_equal(make("macenko").fit([stained()])(plain), plain)


def test_macenko_brings_its_own_reference_back_almost_exactly() -> None:
    image = stained()

    away = np.abs(make("macenko").fit([image])(image).astype(int) - image)

    assert away.mean() < 1
    assert np.percentile(away, 99) <= 3


@pytest.mark.parametrize("block", ["reinhard", "macenko"])
def test_a_stain_block_refuses_to_work_before_it_was_fitted(block: str) -> None:
    with pytest.raises(NotFitted, match=block):
        make(block)(stained())


@pytest.mark.parametrize("block", ["reinhard", "macenko"])
def test_a_stain_block_says_when_no_reference_holds_tissue(block: str) -> None:
    with pytest.raises(ValueError, match="no reference image holds tissue"):
        make(block).fit([np.full((40, 40, 3), 255, np.uint8)])


@pytest.mark.parametrize("block", ["reinhard", "macenko"])
def test_a_stain_block_names_the_groups_that_it_was_fitted_on(block: str) -> None:
    made = make(block)
    assert made.fitted_on is None

    made.fit([stained(seed=1), other_laboratory(seed=2)], groups=["patient 1", "patient 2"])

    assert made.fitted_on == {"patient 1", "patient 2"}


@pytest.mark.parametrize("block", ["reinhard", "macenko"])
def test_using_a_stain_block_teaches_it_nothing(block: str) -> None:
    made = make(block).fit([stained()])
    first = made(other_laboratory())

    made(stained(strength=0.4, seed=9))

    assert np.array_equal(made(other_laboratory()), first)


def test_the_tissue_mask_whitens_glass_and_pen_and_keeps_tissue() -> None:
    image = stained(strength=1.5)
    image[10:40, 80:90] = 30

    kept = make("tissue_mask")(image)

    assert (kept[:, 74:] == 255).all()
    assert (kept[8:88, 8:64] == image[8:88, 8:64]).all(axis=-1).mean() > 0.95

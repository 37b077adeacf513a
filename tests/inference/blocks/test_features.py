"""Hand-crafted features against values that are known on paper, or from another implementation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from inference.blocks.features.fractal import box_counting, surface_dimension
from inference.blocks.features.region import FeatureError
from inference.blocks.features.texture import HARALICK, cooccurrence, haralick
from inference.blocks.registry import build

ALL = ("glcm", "lbp", "hog", "gabor", "pftas", "fractal", "shape", "intensity")


def measure(name: str, image: Any, mask: Any = None, **parameters: Any) -> dict[str, float]:
    made = build("features", name, **parameters)
    return dict(zip(made.names, made(image, mask), strict=True))


def noise(seed: int = 0, size: int = 64) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (size, size)).astype(np.uint8)


def ellipse(height: float, width: float, size: int = 256, turn: float = 0.0) -> NDArray[np.bool_]:
    """A filled ellipse of the given half axes in the middle of a square."""
    y, x = np.mgrid[0:size, 0:size] - (size - 1) / 2
    u, v = x * np.cos(turn) + y * np.sin(turn), -x * np.sin(turn) + y * np.cos(turn)
    return np.asarray((u / width) ** 2 + (v / height) ** 2 <= 1)


def star(spikes: int = 12, depth: float = 0.35, size: int = 256) -> NDArray[np.bool_]:
    y, x = np.mgrid[0:size, 0:size] - (size - 1) / 2
    radius = 0.3 * size * (1 + depth * np.cos(spikes * np.arctan2(y, x)))
    return np.asarray(np.hypot(x, y) <= radius)


# --- every feature -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("colour", [False, True])
def test_every_feature_gives_a_finite_number_for_each_of_its_names(name: str, colour: bool) -> None:
    image = noise()
    if colour:
        image = np.stack([image, image.T, 255 - image], axis=-1)
    mask = ellipse(20, 14, 64)
    made = build("features", name)

    row = made(image, mask)

    assert row.dtype == np.float64
    assert row.shape == (len(made.names),)
    assert len(set(made.names)) == len(made.names)
    assert np.isfinite(row).all()


@pytest.mark.parametrize("name", ALL)
def test_a_flat_image_gives_no_infinities(name: str) -> None:
    assert np.isfinite(build("features", name)(np.full((48, 48), 90, np.uint8), ellipse(15, 15, 48))).all()


@pytest.mark.parametrize("name", [name for name in ALL if name not in ("hog", "pftas", "intensity", "gabor")])
def test_what_lies_outside_the_outline_does_not_matter(name: str) -> None:
    image, mask = noise(), ellipse(20, 14, 64)
    # Patterns of a pixel's surroundings look a few pixels beyond the outline.
    far = ~ellipse(26, 20, 64)
    changed = np.where(far, 7, image).astype(np.uint8)
    made = build("features", name)

    assert np.allclose(made(image, mask), made(changed, mask))


@pytest.mark.parametrize("name", ALL)
def test_an_empty_outline_is_refused(name: str) -> None:
    with pytest.raises(FeatureError, match="empty"):
        build("features", name)(noise(), np.zeros((64, 64), bool))


def test_an_outline_of_another_size_is_refused() -> None:
    with pytest.raises(FeatureError, match="does not go with"):
        build("features", "glcm")(noise(), np.ones((32, 32), bool))


# --- co-occurrence -------------------------------------------------------------------------------------


def test_a_checkerboards_neighbours_always_differ() -> None:
    board = (np.indices((16, 16)).sum(axis=0) % 2).astype(np.uint8) * 255
    found = measure("glcm", board, distances=(1,), levels=2)

    # Beside and above: contrast 1; diagonally: 0. Mean of the four directions 0.5, range 1.
    assert found["glcm_contrast_1_mean"] == pytest.approx(0.5)
    assert found["glcm_contrast_1_range"] == pytest.approx(1.0)
    assert found["glcm_energy_1_mean"] == pytest.approx(0.5, abs=1e-3)
    assert found["glcm_entropy_1_mean"] == pytest.approx(1.0, abs=1e-3)
    assert found["glcm_correlation_1_range"] == pytest.approx(2.0, abs=0.01)


def test_a_flat_images_energy_is_one_and_its_contrast_nought() -> None:
    found = measure("glcm", np.full((20, 20), 130, np.uint8))

    assert found["glcm_energy_1_mean"] == pytest.approx(1)
    assert found["glcm_homogeneity_1_mean"] == pytest.approx(1)
    assert found["glcm_contrast_1_mean"] == found["glcm_entropy_1_mean"] == 0


def test_co_occurrence_agrees_with_scikit_image() -> None:
    from skimage.feature import graycomatrix, graycoprops

    levels = noise(3, 40) // 32
    theirs = graycomatrix(levels, [2], [0, np.pi / 2], levels=8, symmetric=True, normed=True)
    everywhere = np.ones(levels.shape, bool)

    for index, step in enumerate([(0, 2), (2, 0)]):
        ours = cooccurrence(levels.astype(np.int64), everywhere, step, 8)
        assert np.allclose(ours, theirs[:, :, 0, index])
        named = dict(zip(HARALICK, haralick(ours), strict=True))
        for name in ("contrast", "homogeneity", "correlation"):
            assert named[name] == pytest.approx(graycoprops(theirs, name)[0, index])


def test_haralicks_features_agree_with_mahotas() -> None:
    from mahotas.features import haralick as other
    from mahotas.features.texture import cooccurence

    levels = (noise(4, 40) // 32).astype(np.uint8)
    theirs = other(levels, distance=1)[0]
    assert cooccurence(levels, 0, symmetric=True).sum() == 2 * 40 * 39

    ours = haralick(cooccurrence(levels.astype(np.int64), np.ones((40, 40), bool), (0, 1), 8))

    # mahotas takes the variance of the numbers themselves for "difference variance" (the tenth).
    same = [index for index in range(13) if index != 9]
    assert np.allclose(ours[same], theirs[same], rtol=1e-6)


def test_only_pairs_inside_the_outline_count() -> None:
    image = np.zeros((10, 10), np.uint8)
    image[:, 5:] = 255
    left = np.zeros((10, 10), bool)
    left[:, :5] = True

    assert measure("glcm", image, left, distances=(1,))["glcm_contrast_1_mean"] == 0


# --- patterns, gradients, waves ------------------------------------------------------------------------


def test_local_binary_patterns_add_up_to_one_and_ignore_brightness() -> None:
    image = noise() // 2
    made = build("features", "lbp", radii=(1, 2))

    row = made(image, None)

    assert row.shape == (10 + 18,)
    assert row[:10].sum() == pytest.approx(1)
    assert row[10:].sum() == pytest.approx(1)
    assert np.allclose(row, made(image + 60, None), atol=0.005)


def test_gradients_of_vertical_stripes_lie_in_one_direction() -> None:
    stripes = np.tile((np.arange(64) // 8 % 2 * 200).astype(np.uint8), (64, 1))
    made = build("features", "hog")

    row = made(stripes, None).reshape(-1, 9)

    assert row.sum(axis=0).argmax() == 0
    assert row[:, 0].sum() > 0.95 * row.sum()
    with pytest.raises(ValueError, match="no two cells"):
        build("features", "hog", size=16, cell=16)


def test_gabor_answers_most_at_the_stripes_own_wavelength() -> None:
    x = np.arange(128)
    answers = {}
    for period in (4, 8, 16):
        stripes = np.tile(np.round(128 + 100 * np.sin(2 * np.pi * x / period)).astype(np.uint8), (128, 1))
        found = measure("gabor", stripes)
        answers[period] = max((4, 8, 16), key=lambda wave: found[f"gabor_{wave}_magnitude_range"])

    assert answers == {4: 4, 8: 8, 16: 16}


def test_gabor_reads_a_turned_image_alike() -> None:
    image = noise(8, 96)

    assert np.allclose(
        build("features", "gabor")(image), build("features", "gabor")(np.rot90(image)), rtol=0.05
    )


def test_pftas_is_54_numbers_of_each_channel_alone() -> None:
    red, green, blue = noise(1), noise(2) // 2, noise(3) // 3
    row = build("features", "pftas")(np.stack([red, green, blue], axis=-1), None)

    assert row.shape == (162,)
    for index, plane in enumerate((red, green, blue)):
        alone = build("features", "pftas", channels_of=1)(plane, None)
        assert np.allclose(row[54 * index : 54 * index + 54], alone)


# --- fractal -------------------------------------------------------------------------------------------


def sierpinski(order: int) -> NDArray[np.bool_]:
    """Pascal's triangle modulo 2, 2^order rows: i & j == 0."""
    edge = np.arange(1 << order)
    return np.asarray((edge[:, None] & edge[None, :]) == 0)


def test_a_filled_square_has_dimension_two() -> None:
    assert box_counting(np.ones((128, 128), bool)) == pytest.approx(2.0)


def test_a_line_has_dimension_one() -> None:
    line = np.zeros((128, 128), bool)
    line[64] = True

    assert box_counting(line) == pytest.approx(1.0)
    assert box_counting(np.eye(128, dtype=bool)) == pytest.approx(1.0)


def test_sierpinskis_triangle_has_dimension_log_3_over_log_2() -> None:
    assert box_counting(sierpinski(8)) == pytest.approx(np.log2(3), abs=1e-6)


def test_a_point_and_nothing_have_dimension_nought() -> None:
    assert box_counting(np.zeros((8, 8), bool)) == 0
    assert box_counting(np.ones((1, 1), bool)) == 0


def test_a_discs_area_is_two_dimensional_and_its_margin_one() -> None:
    found = measure("fractal", np.zeros((256, 256), np.uint8), ellipse(100, 100))

    assert found["fractal_area"] == pytest.approx(2, abs=0.2)
    assert found["fractal_margin"] == pytest.approx(1, abs=0.15)


def test_a_rough_surface_is_nearer_to_three_than_a_smooth_one() -> None:
    everywhere = np.ones((128, 128), bool)
    slope = np.tile(np.arange(128, dtype=np.uint8), (128, 1))

    assert surface_dimension(np.full((128, 128), 9, np.uint8), everywhere) == pytest.approx(2)
    assert surface_dimension(slope, everywhere) < 2.3 < surface_dimension(noise(5, 128), everywhere)


# --- shape ---------------------------------------------------------------------------------------------


def shape(mask: NDArray[np.bool_]) -> dict[str, float]:
    found = measure("shape", np.zeros(mask.shape, np.uint8), mask)
    return {name.removeprefix("shape_"): value for name, value in found.items()}


def test_a_disc_is_compact_round_and_regular() -> None:
    found = shape(ellipse(80, 80))

    assert found["area"] == pytest.approx(np.pi * 80**2, rel=0.01)
    assert found["perimeter"] == pytest.approx(2 * np.pi * 80, rel=0.01)
    assert found["compactness"] == pytest.approx(1, abs=0.02)
    assert found["depth_width"] == pytest.approx(1)
    assert found["aspect"] == pytest.approx(1, abs=0.01)
    assert found["solidity"] > 0.98
    assert found["irregularity"] < 0.02


def test_a_square_is_less_compact_than_a_disc() -> None:
    square = np.zeros((256, 256), bool)
    square[64:192, 64:192] = True
    found = shape(square)

    # π / 4 on paper.
    assert found["compactness"] == pytest.approx(np.pi / 4, abs=0.02)
    assert found["extent"] == pytest.approx(1)


def test_taller_than_wide_reads_above_one() -> None:
    assert shape(ellipse(90, 45))["depth_width"] == pytest.approx(2, abs=0.05)
    assert shape(ellipse(45, 90))["depth_width"] == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("degrees", [0, 30, 90])
def test_orientation_is_the_longer_axis_against_the_horizontal(degrees: int) -> None:
    found = shape(ellipse(30, 90, turn=np.radians(degrees)))

    assert found["orientation"] == pytest.approx(degrees, abs=2)
    assert found["aspect"] == pytest.approx(3, abs=0.1)
    assert found["irregularity"] < 0.04


def test_a_spiculated_outline_is_told_from_a_smooth_one_by_every_margin_number() -> None:
    smooth, spiculated = shape(ellipse(60, 85)), shape(star())

    assert spiculated["compactness"] < smooth["compactness"]
    assert spiculated["solidity"] < smooth["solidity"]
    assert spiculated["convexity"] < smooth["convexity"]
    assert spiculated["irregularity"] > 5 * smooth["irregularity"]
    assert spiculated["radial_crossings"] == 24
    assert spiculated["lobes"] == 12
    assert smooth["lobes"] == 2


def test_specks_beside_the_lesion_do_not_change_its_shape() -> None:
    mask = ellipse(60, 60)
    with_speck = mask.copy()
    with_speck[5:8, 5:8] = True

    assert shape(with_speck) == shape(mask)


def test_shape_without_an_outline_is_refused() -> None:
    with pytest.raises(FeatureError, match="needs an outline"):
        build("features", "shape")(noise(), None)


def test_a_single_pixel_has_a_finite_shape() -> None:
    dot = np.zeros((20, 20), bool)
    dot[4, 4] = True

    assert all(np.isfinite(value) for value in shape(dot).values())


# --- intensity -----------------------------------------------------------------------------------------


def test_grey_values_have_the_moments_that_numpy_gives() -> None:
    image, mask = noise(6), ellipse(20, 20, 64)
    found = measure("intensity", image, mask)

    assert found["intensity_mean"] == pytest.approx(image[mask].mean())
    assert found["intensity_spread"] == pytest.approx(image[mask].std())
    assert found["intensity_p50"] == pytest.approx(np.median(image[mask]))
    assert found["intensity_skewness"] == pytest.approx(0, abs=0.2)


def test_a_dark_lesion_with_enhancement_below_reads_so() -> None:
    lesion = ellipse(20, 30, 128)
    image = np.full((128, 128), 120, np.uint8)
    image[84:, 40:90] = 200
    image[lesion] = 40
    found = measure("intensity", image, lesion)

    assert found["intensity_surround"] < -60
    assert found["intensity_below"] > 20

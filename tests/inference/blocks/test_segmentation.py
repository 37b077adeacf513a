"""Classic segmentation: thresholds, regions, contours, and the one that is tuned on outlines."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from inference.blocks.learned import NotFitted
from inference.blocks.preprocess.segmentation import kapur_thresholds
from inference.blocks.registry import build


def make(name: str, **parameters: Any) -> Any:
    return build("segment", name, **parameters)


def disc(
    radius: float = 20,
    at: tuple[int, int] = (48, 48),
    inside: float = 170,
    outside: float = 80,
    seed: int = 0,
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A 96×96 picture with a disc, and the disc."""
    rows, columns = np.mgrid[0:96, 0:96]
    truth = (rows - at[0]) ** 2 + (columns - at[1]) ** 2 <= radius**2
    values = np.where(truth, inside, outside) + np.random.default_rng(seed).normal(0, 8, truth.shape)
    return np.clip(ndimage.gaussian_filter(values, 0.8), 0, 255).astype(np.uint8), truth


def dice(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    return float(2 * (found & truth).sum() / (found.sum() + truth.sum()))


@pytest.mark.parametrize(
    "block", ["otsu", "multi_otsu", "kapur", "region_growing", "watershed", "active_contour"]
)
def test_a_bright_disc_is_outlined(block: str) -> None:
    image, truth = disc()
    parameters: dict[str, Any] = {
        "multi_otsu": {"classes": 2},
        "kapur": {"thresholds": 1, "keep": "largest"},  # it cuts into the background's own tail
        "region_growing": {"tolerance": 40.0},
    }.get(block, {})

    assert dice(make(block, **parameters)(image), truth) > 0.93


@pytest.mark.parametrize("block", ["otsu", "multi_otsu", "kapur", "watershed", "active_contour"])
def test_a_dark_disc_is_outlined_when_dark_is_asked_for(block: str) -> None:
    image, truth = disc(inside=60, outside=150)
    parameters: dict[str, Any] = {
        "multi_otsu": {"classes": 2},
        "kapur": {"thresholds": 1, "keep": "largest"},
    }.get(block, {})

    assert dice(make(block, side="dark", **parameters)(image), truth) > 0.93


@pytest.mark.parametrize("side", ["bright", "dark"])
@pytest.mark.parametrize("block", ["otsu", "multi_otsu", "kapur", "watershed"])
@pytest.mark.parametrize("level", [0, 90, 255])
def test_an_image_in_which_nothing_stands_out_is_one_region(block: str, side: str, level: int) -> None:
    assert make(block, side=side)(np.full((40, 40), level, np.uint8)).all()


def test_the_brightest_of_three_levels_is_kept_by_multi_otsu() -> None:
    image = np.repeat(np.array([20, 120, 220], np.uint8), 32)[None, :].repeat(30, axis=0)

    assert np.array_equal(make("multi_otsu", classes=3)(image), image == 220)


def test_kapurs_thresholds_are_the_best_of_all_pairs() -> None:
    rng = np.random.default_rng(4)
    values = np.concatenate([rng.normal(40, 8, 900), rng.normal(110, 12, 700), rng.normal(190, 10, 500)])
    image = (np.clip(values, 0, 255) // 8 * 8).astype(np.uint8).reshape(-1, 30)
    share = np.bincount(image.ravel(), minlength=256) / image.size

    def total(levels: tuple[int, ...]) -> float:
        edges = [0, *(level + 1 for level in levels), 256]
        sums = 0.0
        for low, high in pairwise(edges):
            part = share[low:high]
            if part.sum() == 0:
                return -np.inf
            part = part[part > 0] / part.sum()
            sums -= float((part * np.log(part)).sum())
        return sums

    greys = [int(grey) for grey in np.unique(image)]

    assert total(kapur_thresholds(image, 2)) == pytest.approx(
        max(total(pair) for pair in combinations(greys, 2))
    )


def test_a_swarm_comes_near_kapurs_optimum_and_finds_the_same_again() -> None:
    rng = np.random.default_rng(1)
    image = np.clip(rng.normal(60, 20, (40, 40)), 0, 255).astype(np.uint8)
    image[10:25, 10:25] = np.clip(rng.normal(190, 15, (15, 15)), 0, 255)
    found = make("kapur", thresholds=1, method="shell_game")(image)
    exact = make("kapur", thresholds=1)(image)
    assert (found == exact).mean() > 0.9
    assert (found == make("kapur", thresholds=1, method="shell_game")(image)).all()
    flat = np.full((9, 9), 3, np.uint8)
    assert make("kapur", method="shell_game")(flat).all()


def test_kapur_finds_no_thresholds_where_there_are_too_few_greys() -> None:
    assert kapur_thresholds(np.full((9, 9), 3, np.uint8), 2) == ()


def test_region_growing_starts_where_it_is_told() -> None:
    image, truth = disc(radius=12, at=(24, 70))

    found = make("region_growing", seed_at="brightest", tolerance=45.0, sigma=1.0)(image)

    assert dice(found, truth) > 0.9


def test_the_central_region_is_preferred_to_a_larger_one_at_the_rim() -> None:
    image, truth = disc(radius=14)
    image[:14, :] = 200

    assert dice(make("otsu", keep="central")(image), truth) > 0.9
    assert dice(make("otsu", keep="largest")(image), truth) < 0.1


# --- tuned ---------------------------------------------------------------------------------------------


def dim_lesions(number: int, seed: int) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.bool_]]]:
    """Lesions at 60 % of the brightness of a streak beside them: Otsu's threshold cuts at the wrong place."""
    images, truths = [], []
    rng = np.random.default_rng(seed)
    for index in range(number):
        at = (int(rng.integers(40, 56)), int(rng.integers(40, 56)))
        image, truth = disc(
            radius=float(rng.uniform(12, 18)), at=at, inside=130, outside=70, seed=seed + index
        )
        image[:, 88:] = 240
        images.append(image)
        truths.append(truth)
    return images, truths


@pytest.fixture(scope="module")
def tuned() -> Any:
    images, truths = dim_lesions(6, seed=10)
    return make("tuned", agents=8, iterations=8, working_px=64).fit(images, truths, groups=list("aabbcc"))


def test_tuning_on_outlines_beats_otsu_on_new_images(tuned: Any) -> None:
    images, truths = dim_lesions(5, seed=50)

    own = np.mean([dice(tuned(image), truth) for image, truth in zip(images, truths, strict=True)])
    otsu = make("otsu", keep="central")
    other = np.mean([dice(otsu(image), truth) for image, truth in zip(images, truths, strict=True)])

    assert own > 0.85
    assert own > other + 0.1


def test_a_tuned_segmentation_names_its_groups_and_its_training_dice(tuned: Any) -> None:
    assert tuned.fitted_on == {"a", "b", "c"}
    assert tuned.dice > 0.85


def test_a_tuned_segmentation_never_answers_with_nothing(tuned: Any) -> None:
    speck = np.full((96, 96), 20, np.uint8)
    speck[50, 50] = 255

    assert tuned(speck).any()
    assert tuned(np.zeros((96, 96), np.uint8)).all()


def test_tuning_is_deterministic_by_seed(tuned: Any) -> None:
    images, truths = dim_lesions(6, seed=10)

    again = make("tuned", agents=8, iterations=8, working_px=64).fit(images, truths)

    assert again.settings == tuned.settings


def test_a_segmentation_that_was_not_tuned_refuses_to_work() -> None:
    with pytest.raises(NotFitted, match="tuned"):
        make("tuned")(np.zeros((20, 20), np.uint8))


def test_tuning_needs_an_outline() -> None:
    empty = np.zeros((20, 20), np.uint8)

    with pytest.raises(ValueError, match="no image of the training fold has an outline"):
        make("tuned").fit([empty], [empty])

"""What cannot become a version is told before it learns, with what would be needed; all else can."""

from __future__ import annotations

from typing import Any

import pytest

from inference.champions.whole_image.refusals import why_not
from inference.recipes.schema import Recipe
from inference.recipes.validation import parse
from tests.inference import plain_network  # noqa: F401 - registers `plain`
from tests.inference.recipes.trees import NEURAL

#: Images that the networks of the review can take.
LARGER = {**NEURAL["data"], "size": [64, 64]}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"preprocess": [{"resize": {"size": 20}}]}, "resize gives its network images of another size"),
        ({"preprocess": ["haar"]}, "haar gives its network images of another size"),
        ({"data": {**NEURAL["data"], "roi": "mask"}}, "cut out by the truth's outline"),
        (
            {
                "preprocess": ["haar"],
                "streams": [{"network": "plain", "patches": {"size": 16, "stride": 8}, "aggregate": "mean"}],
            },
            "haar gives its patches an image of another size",
        ),
        (
            {"streams": [{"network": {"classifier": {"backbone": "resnet18"}}}]},
            "11.2 million numbers, at least 22 MB, and a version has at most 20",
        ),
        (
            {"data": {**NEURAL["data"], "size": [4000, 5000]}},
            "one image is 19 MB for its graph, and a host takes at most 15",
        ),
        (
            {
                "data": {**NEURAL["data"], "size": [1024, 1024]},
                "streams": [{"network": "plain", "patches": {"size": 512, "stride": 32}, "aggregate": "mean"}],
            },
            "one image is 16 MB for its graph",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_exported_is_told_with_what_would_be_needed(
    changes: dict[str, Any], sentence: str
) -> None:
    recipe = parse({**NEURAL, **changes}, "toy")
    assert isinstance(recipe, Recipe)
    reason = why_not(recipe)
    assert sentence in reason and "would" in reason


@pytest.mark.parametrize(
    "streams",
    [
        [{"network": {"classifier": {"backbone": "densenet121"}}}],
        [{"network": "plain"}, {"features": ["intensity"]}],
        [{"network": "plain"}, {"network": "plain", "resize": [16, 16]}],
        [{"network": "plain", "patches": {"size": 16, "stride": 8}, "aggregate": "mean"}],
        [{"features": ["intensity"], "preprocess": "haar"}],
    ],
)
def test_what_can_be_exported_has_no_reason(streams: list[dict[str, Any]]) -> None:
    changes: dict[str, Any] = {
        "streams": [{k: v for k, v in each.items() if k != "preprocess"} for each in streams]
    }
    changes["preprocess"] = [each["preprocess"] for each in streams if "preprocess" in each]
    if not any("aggregate" in each for each in streams):
        changes["head"] = "naive_bayes"
    recipe = parse({**NEURAL, "data": LARGER, **changes}, "toy")
    assert isinstance(recipe, Recipe) and why_not(recipe) == ""


@pytest.mark.parametrize(
    ("stream", "head", "fits", "too_many", "sentence"),
    [
        (
            {"patches": {"size": 8, "stride": 8}, "features": ["intensity"], "aggregate": "non_parametric"}, None,
            1000, 900_000, "non_parametric keeps 10800000 patches of",
        ),
        (
            {"patches": {"size": 8, "stride": 8}, "features": ["intensity"],
             "aggregate": {"citation_knn": {"per_bag": 3}}},
            None, 1000, 900_000, "citation_knn keeps 2700000 patches of",
        ),
        ({"network": {"classifier": {"backbone": "densenet121"}}, "trained": False}, "knn", 5000, 20_000,
         "knn keeps 20000 rows of 1024 numbers, at least 41 MB"),
    ],
)  # fmt: skip
def test_what_would_keep_too_much_of_its_images_is_told_by_size(
    stream: dict[str, Any], head: str | None, fits: int, too_many: int, sentence: str
) -> None:
    data = LARGER if "network" in stream else NEURAL["data"]
    recipe = parse({**NEURAL, "data": data, "streams": [stream], "head": head}, "toy")
    assert isinstance(recipe, Recipe)
    assert why_not(recipe) == why_not(recipe, fits) == ""
    assert sentence in why_not(recipe, too_many)

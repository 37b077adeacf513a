"""Several stored runs of one page: one is chosen by rules that can be read, or the command refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from inference.recipes.part import digest_of_content
from inference.recipes.protocol import LEAKY
from inference.recipes.recipe_file import load
from inference.recipes.reproduction import WORDS
from inference.recipes.runfolder import RunError
from inference.recipes.taking_over import changed_since, in_todays_words, one_a_page, todays

NAME = "figure2_classic_table"
TODAY = load(NAME, ("port",)).hash


def page(hash_: str = TODAY, seed: int = 0, value: float = 0.9, **more: Any) -> dict[str, Any]:
    figures = [{"name": "accuracy", "value": value}]
    facts = {"variants": ["port"], "hash": hash_, "seed": seed, "images": 9, "groups": 9, "figures": figures}
    return {"id": NAME, **facts, **more}


def test_a_run_of_todays_recipe_comes_before_one_of_another_day(tmp_path: Path) -> None:
    runs = {Path("a-before"): page("0" * 64, value=0.99), Path("b-today"): page()}
    taken, left = one_a_page(runs, tmp_path)
    assert list(taken) == [Path("b-today")]
    assert left == [
        f"a-before: its page is made of b-today, which is of today's recipe ({TODAY[:12]}; this run of 000000000000)"
    ]


def test_of_several_seeds_the_first_is_shown_and_the_inflated_run_follows_it(tmp_path: Path) -> None:
    inflated = todays(page(leaky=LEAKY))
    assert inflated is not None and inflated.hash != TODAY
    leaky = inflated.hash
    runs = {
        Path("seed-2"): page(seed=2, value=0.99),
        Path("seed-1"): page(seed=1),
        Path("leaky-0"): page(leaky, seed=0, leaky=LEAKY),
        Path("leaky-1"): page(leaky, seed=1, leaky=LEAKY),
    }
    taken, left = one_a_page(runs, tmp_path)
    assert list(taken) == [Path("seed-1"), Path("leaky-1")]
    assert left == [
        "seed-2: its page is made of seed-1, which is of seed 1 (this run of 2)",
        "leaky-0: its page is made of leaky-1, which is of seed 1 (this run of 0)",
    ]


def test_two_runs_that_nothing_tells_apart_are_refused_by_name(tmp_path: Path) -> None:
    runs = {Path("one"): page(), Path("two"): page(value=0.8)}
    with pytest.raises(RunError, match=f"one and two are both runs for {NAME}.json: both are of recipe"):
        one_a_page(runs, tmp_path)
    runs = {Path("one"): page("1" * 64), Path("two"): page("2" * 64)}
    with pytest.raises(RunError, match="111111111111 and 222222222222, and neither is today's"):
        one_a_page(runs, tmp_path)
    taken, left = one_a_page({Path("one"): page(), Path("two"): page()}, tmp_path)
    assert list(taken) == [Path("one")]
    assert left == ["two: its page is made of one, which says the same"]


def test_a_page_of_todays_recipe_is_not_replaced_by_an_older_run(tmp_path: Path) -> None:
    kept = tmp_path / f"{NAME}.json"
    kept.write_text(json.dumps(page()))
    old = {Path("old"): page("0" * 64)}
    taken, left = one_a_page(old, tmp_path)
    assert taken == {} and "is of today's recipe" in left[0] and left[0].startswith("old: ")
    kept.write_text(json.dumps(page("1" * 64)))
    assert one_a_page(old, tmp_path) == (old, [])


def test_words_that_were_mended_since_stand_on_the_page_of_a_run_of_before() -> None:
    """What was run names its hash; what it substitutes is said as today's recipe says it."""
    recipe = load(NAME, ("port",))
    before = {**recipe.model_dump(mode="json"), "substitutions": ["at most 240 groups"]}
    ran = page(
        "1" * 64, substitutions=before["substitutions"], without_words=digest_of_content(before, WORDS)
    )
    assert not changed_since(ran)
    assert in_todays_words(ran) == {**ran, "substitutions": list(recipe.substitutions)}
    other = {**ran, "without_words": digest_of_content({**before, "head": "knn"}, WORDS)}
    assert changed_since(other) and in_todays_words(other) == other
    elsewhere = {**other, "id": "a_recipe_of_ones_own"}
    assert not changed_since(elsewhere) and in_todays_words(elsewhere) == elsewhere

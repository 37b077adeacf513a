"""Which of several stored runs a page of `docs/reproductions/` stands on: chosen in sight, or refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inference.recipes.part import digest_of
from inference.recipes.protocol import LEAKY
from inference.recipes.recipe_file import load
from inference.recipes.reproduction import INFLATED, WORDS, name_of, title_of
from inference.recipes.runfolder import RunError
from inference.recipes.schema import Recipe, RecipeError
from inference.recipes.validation import changed

Pages = Mapping[Path, dict[str, Any]]


def one_a_page(pages: Pages, kept: Path) -> tuple[dict[Path, dict[str, Any]], list[str]]:
    """One run for every page.

    A run of the recipe as it is today comes before one of another day; then the smallest seed, and for the inflated
    run that of the run with groups whole, so that both are of the same draw. Nobody picks the better figure.

    Parameters
    ----------
    pages
        The content of each run's page (`reproduction.collected`), by the run's folder.
    kept
        The folder of the pages: a file there of today's recipe is not replaced by a run of another day's.

    Returns
    -------
    dict
        The runs to take over.
    list of str
        A sentence about each run that is left out.

    Raises
    ------
    RunError
        Two runs that nothing tells apart, and that say different things.
    """
    taken: dict[Path, dict[str, Any]] = {}
    left: list[str] = []
    seeds: dict[str, int] = {}
    # the runs with groups whole come first: the inflated ones follow their seed
    for name in sorted({name_of(page) for page in pages.values()}, key=lambda name: INFLATED in name):
        runs = {run: page for run, page in pages.items() if name_of(page) == name}
        title = title_of(next(iter(runs.values())))
        run = _chosen(runs, name, seeds.get(title))
        left += [_why_left(other, run, runs) for other in runs if other != run]
        if _of_today(kept_page := _read(kept / name)) and not _of_today(runs[run]):
            assert kept_page is not None
            left.append(
                f"{run}: {name} is of today's recipe ({kept_page['hash'][:12]}), and this run of another "
                f"({runs[run]['hash'][:12]})"
            )
            continue
        seeds.setdefault(title, runs[run]["seed"])
        taken[run] = runs[run]
    return {run: page for run, page in pages.items() if run in taken}, left


def todays(page: Mapping[str, Any]) -> Recipe | None:
    """What a run like this one would run today; None of a recipe that lies elsewhere."""
    try:
        recipe = load(page["id"], page["variants"])
        return changed(recipe, {"data.protocol": "image_level"}) if page.get("leaky") == LEAKY else recipe
    except RecipeError:
        return None


def changed_since(page: Mapping[str, Any]) -> bool:
    """Whether today's recipe would run something else. Mended words are no change."""
    recipe = todays(page)
    return recipe is not None and page["hash"] != recipe.hash and not _by_other_words(page, recipe)


def in_todays_words(page: dict[str, Any]) -> dict[str, Any]:
    """The page of a run with what its recipe says today of its substitutions, where it differs from the recipe that was
    run in such words alone. The hash stays that of what was run."""
    recipe = todays(page)
    if recipe is None or not _by_other_words(page, recipe):
        return page
    return {**page, "substitutions": list(recipe.substitutions)}


def _by_other_words(page: Mapping[str, Any], recipe: Recipe) -> bool:
    return page.get("without_words") == digest_of(recipe, WORDS)


def review_measure(page: Mapping[str, Any]) -> str:
    """The measure of the review's number that a page names: the paper's own, unless a variant names a number of its
    own. A page in another measure (AUC on ultrasound of a method that was published with a rate) says both."""
    measure: str = page["measure"]
    try:
        paper = load(page["id"]).expect
    except RecipeError:
        return measure
    return paper.measure if paper.review == page["review_number"] else measure


def _of_today(page: Mapping[str, Any] | None) -> bool:
    return page is not None and todays(page) is not None and not changed_since(page)


def _chosen(runs: Pages, name: str, seed: int | None) -> Path:
    def rank(run: Path) -> tuple[bool, bool, int]:
        page = runs[run]
        return not _of_today(page), seed is not None and page["seed"] != seed, page["seed"]

    first, *others = sorted(runs, key=lambda run: (rank(run), run.name))
    for other in others:
        if rank(other) == rank(first) and not _same(runs[first], runs[other]):
            raise RunError(_which(first, other, runs, name))
    return first


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(one[key] == other[key] for key in ("hash", "figures", "images", "groups"))


def _which(first: Path, other: Path, runs: Pages, name: str) -> str:
    one, two = runs[first], runs[other]
    if one["hash"] == two["hash"]:
        why = f"both are of recipe {one['hash'][:12]} and seed {one['seed']}, and their figures differ"
    else:
        why = f"they are of the recipes {one['hash'][:12]} and {two['hash'][:12]}, and neither is today's"
    return f"{first} and {other} are both runs for {name}: {why}; move one out of the folder"


def _why_left(other: Path, run: Path, runs: Pages) -> str:
    one, two = runs[run], runs[other]
    if _of_today(one) and not _of_today(two):
        why = f"which is of today's recipe ({one['hash'][:12]}; this run of {two['hash'][:12]})"
    elif one["seed"] != two["seed"]:
        why = f"which is of seed {one['seed']} (this run of {two['seed']})"
    else:
        why = "which says the same"
    return f"{other}: its page is made of {run}, {why}"


def _read(file: Path) -> dict[str, Any] | None:
    page: dict[str, Any] | None = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
    return page

"""`python -m inference recipes`: every method, pipeline and data set of the review and every served model, whether it
can be run here, and what its runs have come to.

Of the state: `runs` where `train NAME` (of a data set, its importer) is there, `missing` where nobody has written it,
else what is wrong with it. `review_number` and `ours` (as committed in `docs/reproductions/`, with its interval) stand
side by side and are seldom of the same data.

The list only reads files: keys and types are held against the schema, no block is imported. `--check` holds every
recipe against its blocks, too, and lays its networks out to say what can be exported, which takes half a minute.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inference.recipes.recipe_file import Written
    from inference.recipes.schema import Recipe


def add_arguments(recipes: ArgumentParser) -> None:
    recipes.add_argument("--json", action="store_true")
    recipes.add_argument(
        "--check", action="store_true", help="hold each against its blocks and say whether it can be exported"
    )


def run(chosen: Namespace) -> int:
    """Exit status 0; a recipe that is not valid says so in its state."""
    found = [*_with_missing(_review(chosen.check)), *_datasets(), *_served(chosen.check)]
    print(json.dumps(found, ensure_ascii=False, indent=1) if chosen.json else as_text(found))
    return 0


def _review(check: bool) -> list[dict[str, Any]]:
    from inference.recipes.recipe_file import find, known, read_file
    from inference.recipes.review import committed
    from inference.recipes.runfolder import runs_of
    from inference.recipes.schema import RecipeError
    from inference.recipes.validation import parse, shaped

    found: list[dict[str, Any]] = []
    for name in known():
        try:
            written = read_file(find(name))
            recipe = (parse if check else shaped)(written.laid(), written.name)
        except RecipeError as error:
            found.append(
                {
                    "name": name,
                    "kind": "review",
                    "reference": None,
                    "title": name,
                    "datasets": [],
                    "review_number": None,
                    "ours": None,
                    "state": f"not valid: {error}",
                }
            )
            continue
        sets = {recipe.data.dataset}
        for variant in written.variants.values():
            data = variant.get("data") if isinstance(variant, dict) else None
            sets |= {data["dataset"]} if isinstance(data, dict) and "dataset" in data else set()
        runs = runs_of(recipe.id)
        found.append(
            {
                "name": name,
                "kind": "review",
                "reference": recipe.reference,
                "title": recipe.title,
                "task": recipe.task.kind,
                "datasets": sorted(sets),
                "variants": list(written.variants),
                "points": [point.name for point in written.points],
                "extends": [file.stem for file in written.files[1:]],
                "hash": recipe.hash,
                **(_exports(recipe, written) if check else {}),
                "runs": runs,
                "state": "runs",
                "review_number": recipe.expect.review,
                "ours": committed(recipe.id),
            }
        )
    return found


def _with_missing(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The recipes, and a line for what the review names and no recipe is of; by reference."""
    from inference.recipes.review import METHODS, PIPELINES

    known = {one["reference"] for one in found}
    names = [one["name"] for one in found]
    missing = [_missing("review", number, title) for number, title in METHODS.items() if number not in known]
    missing += [
        _missing("pipeline", None, title)
        for begin, title in PIPELINES.items()
        if not any(name.startswith(begin) for name in names)
    ]
    return sorted((*found, *missing), key=lambda one: (one["reference"] or 0, one["name"] or ""))


def _missing(kind: str, reference: int | None, title: str) -> dict[str, Any]:
    return {
        "name": None,
        "kind": kind,
        "reference": reference,
        "title": title,
        "datasets": [],
        "state": "missing",
        "review_number": None,
        "ours": None,
    }


def _datasets() -> list[dict[str, Any]]:
    """The review's data sets: of each an importer."""
    from inference.datasets import catalogue
    from inference.datasets.generated import TREES
    from inference.recipes.review import DATASETS

    return [
        {
            "name": name,
            "kind": "dataset",
            "reference": number,
            "title": name,
            "datasets": [name],
            "generated": name in TREES,
            "state": "runs" if name in catalogue.DATASETS else "missing",
            "review_number": None,
            "ours": None,
        }
        for name, number in DATASETS.items()
    ]


def _exports(recipe: Recipe, written: Written) -> dict[str, Any]:
    """Whether a run of it can become a version, and of each variant; where not, why."""
    from inference.champions.whole_image.refusals import why_not
    from inference.recipes.schema import RecipeError
    from inference.recipes.validation import parse

    reason, of_variants = why_not(recipe), {}
    for variant in written.variants:
        try:
            of_variants[variant] = why_not(parse(written.laid((variant,)), written.name))
        except RecipeError as error:
            of_variants[variant] = str(error)
    return {"exports": not reason, "why_not": reason, "why_not_variants": of_variants}


def _served(check: bool) -> list[dict[str, Any]]:
    from inference.champions import registry
    from inference.recipes.recipe_file import read
    from inference.recipes.schema import RecipeError
    from inference.runtime.store import versions_of

    found: list[dict[str, Any]] = []
    for name in registry.names():
        try:
            written = read(registry.recipe_file(name))
            checked = {"hash": registry.recipe_of(name).hash, "exports": True, "why_not": ""} if check else {}
        except RecipeError as error:
            found.append({**_missing("served", None, name), "name": name, "state": f"not valid: {error}"})
            continue
        versions = list(versions_of(name))
        found.append(
            {
                "name": name,
                "kind": "served",
                "reference": None,
                "title": written["title"],
                "datasets": list(written["datasets"]),
                **checked,
                "versions": versions,
                "review_number": None,
                "ours": None,
                "state": f"version {versions[-1]} is the newest in the store"
                if versions
                else "no version in the store",
            }
        )
    return found


def as_text(found: list[dict[str, Any]]) -> str:
    """Two lines a recipe, one for what is missing."""
    lines = []
    for one in found:
        number = f"[{one['reference']}]" if one["reference"] else one["kind"]
        lines.append(f"{number:10}{one['name'] or one['state']}  {one.get('title', '')}")
        if one["name"] is None or one["kind"] == "dataset":
            continue
        facts = [", ".join(one["datasets"])]
        facts += [f"{key} {', '.join(one[key])}" for key in ("variants", "points") if one.get(key)]
        if one.get("why_not_variants") and one["why_not"]:
            possible = [name for name, reason in one["why_not_variants"].items() if not reason]
            instead = f" (the variants {', '.join(possible)} can be)" if possible else ""
            facts.append(f"not exported: {one['why_not']}{instead}")
        facts += [f"{run['run']}: {run['state']}" for run in one.get("runs", ())]
        lines.append(" " * 10 + " · ".join((*(fact for fact in facts if fact), one["state"])))
    return "\n".join(lines)

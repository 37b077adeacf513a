"""`python -m inference recipes`: the methods that can be run, on which sets, and what their runs have come to."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inference.recipes.recipe_file import Written
    from inference.recipes.schema import Recipe


def add_arguments(recipes: ArgumentParser) -> None:
    recipes.add_argument("--json", action="store_true")


def run(chosen: Namespace) -> int:
    """Exit status 0; a recipe that is not valid says so in its state."""
    found = [*_review(), *_served()]
    print(json.dumps(found, ensure_ascii=False, indent=1) if chosen.json else as_text(found))
    return 0


def _review() -> list[dict[str, Any]]:
    from inference.recipes.recipe_file import find, known, read_file
    from inference.recipes.runfolder import runs_of
    from inference.recipes.schema import RecipeError
    from inference.recipes.validation import parse

    found: list[dict[str, Any]] = []
    for name in known():
        try:
            written = read_file(find(name))
            recipe = parse(written.laid(), written.name)
        except RecipeError as error:
            found.append(
                {
                    "name": name,
                    "kind": "review",
                    "exports": False,
                    "why_not": str(error),
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
                **_exports(recipe, written),
                "runs": runs,
                "state": "; ".join(f"{one['run']}: {one['state']}" for one in runs) or "never run here",
            }
        )
    return sorted(found, key=lambda one: (one.get("reference", 0), one["name"]))


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


def _served() -> list[dict[str, Any]]:
    from inference.champions import registry
    from inference.recipes.schema import RecipeError
    from inference.runtime.store import versions_of

    found: list[dict[str, Any]] = []
    for name in registry.names():
        try:
            recipe = registry.recipe_of(name)
        except RecipeError as error:
            found.append({"name": name, "kind": "served", "state": f"not valid: {error}"})
            continue
        versions = list(versions_of(name))
        found.append(
            {
                "name": name,
                "kind": "served",
                "reference": None,
                "title": recipe.title,
                "datasets": list(recipe.datasets),
                "hash": recipe.hash,
                "exports": True,
                "why_not": "",
                "versions": versions,
                "state": f"version {versions[-1]} is the newest in the store"
                if versions
                else "no version in the store",
            }
        )
    return found


def as_text(found: list[dict[str, Any]]) -> str:
    """Two lines a recipe."""
    lines = []
    for one in found:
        number = (
            f"[{one['reference']}]" if one.get("reference") else "served" if one["kind"] == "served" else ""
        )
        lines.append(f"{number:7}{one['name']}  {one.get('title', '')}")
        facts = [", ".join(one.get("datasets", []))]
        facts += [f"{key} {', '.join(one[key])}" for key in ("variants", "points") if one.get(key)]
        if one.get("why_not_variants") and one["why_not"]:
            possible = [name for name, reason in one["why_not_variants"].items() if not reason]
            instead = f" (the variants {', '.join(possible)} can be)" if possible else ""
            facts.append(f"not exported: {one['why_not']}{instead}")
        lines.append("       " + " · ".join((*(fact for fact in facts if fact), one["state"])))
    return "\n".join(lines)

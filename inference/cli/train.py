"""`python -m inference train RECIPE`: a recipe of the review, or the build of a served model."""

from __future__ import annotations

import json
import logging
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inference.cli.numbers import count, seed
from inference.runtime.store import DEFAULT_STORE, next_version

if TYPE_CHECKING:
    from inference.champions.recipe import ChampionRecipe
    from inference.recipes.recipe_file import Written
    from inference.recipes.schema import Recipe
    from inference.recipes.sweep import Point


def add_arguments(train: ArgumentParser, data: Path) -> None:
    """What `train` takes; those of the champions do nothing for other recipes, and the reverse."""
    train.add_argument(
        "recipe", metavar="RECIPE", help="a name in inference/recipes or inference/champions, or a YAML file"
    )
    source = train.add_mutually_exclusive_group()
    source.add_argument("--data", type=Path, default=data, help="the set's tree, or a folder of sets by name")
    source.add_argument(
        "--generated",
        action="store_true",
        help="learn from a tiny made-up tree of the recipe's set, which is made in the run folder",
    )
    train.add_argument(
        "--run", type=Path, help="an unfinished run in it goes on (default RECIPE in CAD_RUNS, or in runs/)"
    )
    train.add_argument("--seed", type=seed, default=0)
    train.add_argument("--threads", type=count, default=2)
    recipes = train.add_argument_group("recipes of the review")
    recipes.add_argument("--quick", action="store_true", help="the recipe's variant of seconds")
    recipes.add_argument("--port", action="store_true", help="the variant for the data at hand")
    recipes.add_argument("--variant", action="append", default=[], metavar="NAME", help="any other; in turn")
    recipes.add_argument(
        "--point", action="append", default=[], metavar="NAME", help="of a sweep; default all of its points"
    )
    recipes.add_argument("--folds", type=int, help="instead of the recipe's own number")
    recipes.add_argument("--shuffle-labels", action="store_true", help="a control: the AUC must be chance")
    recipes.add_argument(
        "--inflated",
        action="store_true",
        help="deal images instead of patients: leaky, to show inflation only; nothing of it can be exported",
    )
    recipes.add_argument("--mlflow", type=Path, metavar="DIR", help="write to an MLflow file store too")
    recipes.add_argument("--json", action="store_true", help="print the summary as it stands in the run")
    champions = train.add_argument_group("served models")
    champions.add_argument("--store", type=Path, default=DEFAULT_STORE)
    champions.add_argument(
        "--version", metavar="V", help="default: a patch number above the newest in the store"
    )
    served = champions.add_mutually_exclusive_group()
    served.add_argument("--no-refit", action="store_true", help="serve the first fold's network")
    served.add_argument(
        "--final-only", action="store_true", help="fit what is served, no folds; the store stays"
    )


def run(chosen: Namespace) -> int:
    """Exit status: 0, or 1 with a sentence on stderr."""
    from inference.blocks.parameters import BlockError
    from inference.champions import registry
    from inference.champions.plan import PlanError
    from inference.champions.recipe import parse as parse_champion
    from inference.datasets.sample import DatasetError, LeakError
    from inference.recipes.recipe_file import find, read_file
    from inference.recipes.reporting import as_text
    from inference.recipes.runfolder import RunError
    from inference.recipes.schema import RecipeError
    from inference.training.loop import TrainingError

    named = [name for name in ("port", "quick") if getattr(chosen, name)]
    variants = (*chosen.variant, *named)
    try:
        is_champion = chosen.recipe in registry.names()
        path = registry.recipe_file(chosen.recipe) if is_champion else find(chosen.recipe, registry.names())
        written = read_file(path)
        if "champion" in written.content:
            if chosen.generated:
                raise RecipeError(f"{chosen.recipe} is a served model, and none learns from made-up images")
            return _champion(parse_champion(written.laid(variants), path), chosen)
        if written.points or chosen.point:
            return _sweep(written, chosen, variants)
        page = _recipe(written, None, chosen, variants)
        print(json.dumps(page, ensure_ascii=False, indent=1) if chosen.json else as_text(page))
        return 0
    except (RecipeError, BlockError, DatasetError, RunError, TrainingError, PlanError) as error:
        print(f"inference: {error}", file=sys.stderr)
    except LeakError as error:
        print(f"inference: refused, a leak: {error}", file=sys.stderr)
    return 1


def _recipe(
    written: Written, point: Point | None, chosen: Namespace, variants: tuple[str, ...]
) -> dict[str, Any]:
    """The summary of one recipe's run; a sweep's points lie in one folder."""
    import torch

    from inference.champions.whole_image.refusals import why_not_here
    from inference.datasets.generated import tree_below
    from inference.recipes.rehearsal import rehearse
    from inference.recipes.runfolder import GENERATED
    from inference.recipes.runner import RunOptions
    from inference.recipes.runner import run as run_recipe

    torch.set_num_threads(chosen.threads)
    recipe = _validated(written, point, chosen, variants)
    rehearse(recipe)  # before it is asked whether its networks could be exported, which lays them out too
    folder = _folder(written, chosen, variants)
    data = tree_below(folder / GENERATED, recipe.data.dataset) if chosen.generated else chosen.data
    if chosen.generated and recipe.tissue is not None:
        tree_below(data, recipe.tissue.dataset)
    if reason := why_not_here(recipe, data, chosen.seed):
        print(f"note: a run of {recipe.id} cannot be exported: {reason}", file=sys.stderr)
    order = RunOptions(
        data=data,
        run=folder if point is None else folder / point.name,
        source=written.files[0],
        extended=written.files[1:],
        variants=variants,
        seed=chosen.seed,
        shuffle_labels=chosen.shuffle_labels,
        inflated=chosen.inflated,
        mlflow=chosen.mlflow,
    )
    return run_recipe(recipe, order, rehearsed=True)


def _folder(written: Written, chosen: Namespace, variants: tuple[str, ...]) -> Path:
    from inference.recipes.runfolder import folder_of

    how = [name for name in ("generated", "inflated") if getattr(chosen, name)]
    return folder_of("-".join((str(written.content.get("id")), *variants, *how)), chosen.run)


def _validated(written: Written, point: Point | None, chosen: Namespace, variants: tuple[str, ...]) -> Recipe:
    from inference.recipes.validation import changed, parse

    recipe = parse(written.laid(variants, point), written.name)
    if chosen.folds is not None:
        recipe = changed(recipe, {"data.folds": chosen.folds, "data.protocol": "folds"})
    if chosen.inflated:
        recipe = changed(recipe, {"data.protocol": "image_level"})
    return recipe


def _sweep(written: Written, chosen: Namespace, variants: tuple[str, ...]) -> int:
    """Every point, or those that were asked for, in turn; all are validated before the first is run."""
    from inference.datasets.sample import DatasetError, LeakError
    from inference.recipes.sweep import named, refuse_twins, table

    points = named(written.points, chosen.point, written.name)
    refuse_twins({p.name: _validated(written, p, chosen, variants) for p in points}, written.name)
    pages: dict[str, dict[str, Any]] = {}
    for point in points:
        try:
            pages[point.name] = _recipe(written, point, chosen, variants)
        except (DatasetError, LeakError) as error:  # one point's data; the others may have theirs
            pages[point.name] = {"error": str(error)}
            print(f"inference: {point.name}: {error}", file=sys.stderr)
    summary = json.dumps(pages, ensure_ascii=False, indent=1)
    folder = _folder(written, chosen, variants)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sweep.json").write_text(summary + "\n", encoding="utf-8")
    print(summary if chosen.json else table(pages))
    return 1 if any("error" in page for page in pages.values()) else 0


def _champion(recipe: ChampionRecipe, chosen: Namespace) -> int:
    """A served model is built by its champion, which writes it into the store."""
    import torch

    from inference.champions.plan import Plan, refuse_known_version
    from inference.champions.registry import build, fit_final
    from inference.recipes.runfolder import folder_of, working_in

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(chosen.threads)
    plan = Plan(
        data=chosen.data,
        run=folder_of(recipe.id, chosen.run),
        store=chosen.store,
        version=chosen.version or next_version(recipe.champion, chosen.store),
        recipe=recipe,
        seed=chosen.seed,
        refit=not chosen.no_refit,
    )
    if not chosen.final_only:
        refuse_known_version(recipe.champion, plan)
    with working_in(plan.run):
        if chosen.final_only:
            print(fit_final(recipe.champion, plan))
            return 0
        manifest = build(recipe.champion, plan)
    print(f"{manifest.name} {manifest.version}: {manifest.weights.sha256}")
    return 0

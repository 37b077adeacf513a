"""`python -m inference train RECIPE`: a recipe of the review, or the build of a served model."""

from __future__ import annotations

import logging
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from inference.runtime.store import DEFAULT_STORE, next_version


def add_arguments(train: ArgumentParser, data: Path) -> None:
    """What `train` takes; those of the champions do nothing for other recipes, and the reverse."""
    train.add_argument("recipe", metavar="RECIPE", help="a name in inference/recipes, or a YAML file")
    train.add_argument("--data", type=Path, default=data, help="the set's tree, or a folder of sets by name")
    train.add_argument("--run", type=Path, help="an unfinished run in it goes on (default runs/RECIPE)")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--threads", type=int, default=2)
    recipes = train.add_argument_group("recipes of the review")
    recipes.add_argument("--quick", action="store_true", help="the recipe's variant of seconds")
    recipes.add_argument("--port", action="store_true", help="the variant for the data at hand")
    recipes.add_argument("--variant", action="append", default=[], metavar="NAME", help="any other; in turn")
    recipes.add_argument("--folds", type=int, help="instead of the recipe's own number")
    recipes.add_argument("--shuffle-labels", action="store_true", help="a control: the AUC must be chance")
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
    from inference.champions.plan import PlanError
    from inference.datasets.sample import DatasetError, LeakError
    from inference.recipes.runfolder import RunError
    from inference.recipes.schema import ChampionRecipe, RecipeError, changed, load
    from inference.recipes.training import CheckpointError

    named = [name for name in ("port", "quick") if getattr(chosen, name)]
    variants = (*chosen.variant, *named)
    try:
        recipe = load(chosen.recipe, variants)
        if isinstance(recipe, ChampionRecipe):
            return _champion(recipe, chosen)
        if chosen.folds is not None:
            recipe = changed(recipe, {"data.folds": chosen.folds, "data.protocol": "folds"})
        return _recipe(recipe, chosen, variants)
    except (RecipeError, BlockError, DatasetError, RunError, CheckpointError) as error:
        print(f"inference: {error}", file=sys.stderr)
    except PlanError as error:
        print(f"inference: {error}", file=sys.stderr)
    except LeakError as error:
        print(f"inference: refused, a leak: {error}", file=sys.stderr)
    return 1


def _recipe(recipe: object, chosen: Namespace, variants: tuple[str, ...]) -> int:
    import json

    import torch

    from inference.recipes.reporting import as_text
    from inference.recipes.runner import Order
    from inference.recipes.runner import run as run_recipe
    from inference.recipes.schema import Recipe, find

    assert isinstance(recipe, Recipe)
    torch.set_num_threads(chosen.threads)
    order = Order(
        data=chosen.data,
        run=chosen.run or Path("runs") / "-".join((recipe.id, *variants)),
        source=find(chosen.recipe),
        variants=variants,
        seed=chosen.seed,
        shuffle_labels=chosen.shuffle_labels,
    )
    page = run_recipe(recipe, order)
    print(json.dumps(page, ensure_ascii=False, indent=1) if chosen.json else as_text(page))
    return 0


def _champion(recipe: object, chosen: Namespace) -> int:
    """All that is special to the served models: `inference.training` builds them and writes into the store."""
    import torch

    from inference.champions.build import BUILDERS, Plan, fit_final
    from inference.champions.plan import refuse_known_version
    from inference.recipes.schema import ChampionRecipe

    assert isinstance(recipe, ChampionRecipe)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(chosen.threads)
    plan = Plan(
        data=chosen.data,
        run=chosen.run or Path("runs") / recipe.id,
        store=chosen.store,
        version=chosen.version or next_version(recipe.champion, chosen.store),
        settings=recipe.train,
        seed=chosen.seed,
        recipe=recipe.id,
        recipe_sha256=recipe.hash,
        refit=not chosen.no_refit,
    )
    if chosen.final_only:
        print(fit_final(recipe.champion, plan))
        return 0
    refuse_known_version(recipe.champion, plan)
    manifest = BUILDERS[recipe.champion](plan)
    print(f"{manifest.name} {manifest.version}: {manifest.weights.sha256}")
    return 0

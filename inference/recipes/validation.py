"""A recipe's content held against the schema, the blocks that it names, and what these do with each other."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from inference.blocks.parameters import BlockError, check
from inference.recipes.fits import Misfit, refuse_misfits
from inference.recipes.part import Block, first_error
from inference.recipes.schema import Recipe, RecipeError, Search

#: What a search may set: the parts of a recipe that are made inside a fold.
SEARCHED = ("preprocess", "streams", "select", "head", "train")


def shaped(content: dict[str, Any], source: str) -> Recipe:
    """Keys and types alone: no block is looked at, so that a list of recipes is read in a second.

    Raises
    ------
    RecipeError
        Naming `source`, the key and what is wrong with it.
    """
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise RecipeError(f"{source}: {first_error(error)}") from None


def parse(content: dict[str, Any], source: str) -> Recipe:
    """Validate a recipe's content, blocks and their parameters too.

    Raises
    ------
    RecipeError
        Naming `source`, the key and what is wrong with it.
    """
    recipe = shaped(content, source)
    for key, family, block in blocks(recipe):
        try:
            check(family, block.name, block.parameters)
        except BlockError as error:
            raise RecipeError(f"{source}: {key}: {error}") from None
    try:
        refuse_misfits(recipe)
        for number, (train, _) in enumerate(recipe.train.staged()):
            try:
                refuse_misfits(recipe.model_copy(update={"train": train}))
            except Misfit as misfit:
                raise Misfit(f"train.stages.{number}", str(misfit)) from None
        if recipe.search is not None:
            _refuse_search(recipe, recipe.search)
    except Misfit as misfit:
        raise RecipeError(f"{source}: {misfit}") from None
    return recipe


def _refuse_search(recipe: Recipe, search: Search) -> None:
    """Every value of every axis makes a recipe, and what it changes is still to come where a search is made."""
    plain = recipe.model_copy(update={"search": None})
    for key, values in search.over.items():
        if key.split(".")[0] not in SEARCHED:
            raise Misfit(
                "search.over",
                f"{key} is settled before a fold's search begins; it may set {', '.join(SEARCHED)}",
            )
        for value in values:
            try:
                changed(plain, {key: value})
            except RecipeError as error:
                raise Misfit("search.over", f"{key}: {value!r} makes no recipe: {error}") from None


def blocks(recipe: Recipe) -> list[tuple[str, str, Block]]:
    """Every block that a recipe names: its dotted key, its family, and itself."""
    found = [(f"preprocess.{i}", "preprocess", block) for i, block in enumerate(recipe.preprocess)]
    for i, stream in enumerate(recipe.streams):
        at = f"streams.{i}"
        found += [(f"{at}.features.{j}", "features", block) for j, block in enumerate(stream.features)]
        parts = (("segment", stream.segment), ("network", stream.network), ("aggregate", stream.aggregate))
        found += [(f"{at}.{family}", family, block) for family, block in parts if block]
    found += [(f"select.{i}", "select", block) for i, block in enumerate(recipe.select)]
    if recipe.head:
        found.append(("head", "head", recipe.head))
    found += [(f"train.augment.{i}", "augment", block) for i, block in enumerate(recipe.train.augment)]
    for n, (train, _) in enumerate(recipe.train.staged() if recipe.train.stages else ()):
        at = f"train.stages.{n}"
        found += [(f"{at}.augment.{i}", "augment", block) for i, block in enumerate(train.augment)]
        found += [(f"{at}.schedule", "schedule", train.schedule), (f"{at}.loss", "loss", train.loss)]
    train = recipe.train
    trains = (("schedule", train.schedule), ("loss", train.loss), ("sampler", train.sampler))
    found += [(f"train.{family}", family, block) for family, block in trains]
    if recipe.search:
        found.append(("search.method", "search", recipe.search.method))
    return found


def changed(recipe: Recipe, settings: dict[str, Any]) -> Recipe:
    """The recipe with dotted keys set, as a search does: `head.parameters.C`, `train.learning_rate`.

    Raises
    ------
    RecipeError
        A key that the recipe does not have, or a value that does not fit it.
    """
    content = recipe.model_dump(mode="json")
    for key, value in settings.items():
        place: Any = content
        *path, last = key.split(".")
        for step in path:
            place = place[int(step)] if isinstance(place, list) else (place or {}).get(step)
        if not isinstance(place, dict):
            raise RecipeError(f"{recipe.id}: search.over: there is no {key}")
        place[last] = value
    return parse(content, recipe.id)

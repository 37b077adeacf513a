"""The champions by name: a folder of this package with a `recipe.yaml`, and in it the module `build`.

Nothing else names them: a new folder is found because it is there. Its module `explained` defines `EXPLAINED`
(`inference.champions.explained`), its module `build`

`build(plan) -> ModelManifest`
    trains, calibrates and writes the version into the store;
`fit_final(plan) -> Path`
    optional: the weights of the network that is served, where figures come from folds;
`retrain_fold(fold, plan) -> list[Record]`
    the predictions of record that one fold's networks made, by networks trained anew;
`networks_of_folds(plan) -> Iterator[FoldNetwork]`
    optional: the networks that the figures come from, of a run that has trained them.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, cast

from inference.runtime.pipelines import WHOLE_IMAGE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from inference.champions.explained import Explained
    from inference.champions.plan import FoldNetwork, Plan
    from inference.champions.recipe import ChampionRecipe
    from inference.contract import ModelManifest
    from inference.datasets.sample import Sample
    from inference.evaluation.records import Record

RECIPE = "recipe.yaml"


@cache
def names() -> tuple[str, ...]:
    """Every champion, sorted."""
    return tuple(sorted(file.parent.name for file in Path(__file__).parent.glob(f"*/{RECIPE}")))


def recipe_file(name: str, version: str = "") -> Path:
    """Where the champion's recipe lies; of an earlier version that was made by another its own, `recipe-2.2.0.yaml`."""
    folder = Path(__file__).parent / name
    earlier = folder / f"recipe-{version}.yaml"
    return earlier if version and earlier.is_file() else folder / RECIPE


def recipe_of(name: str, version: str = "") -> ChampionRecipe:
    """The champion's recipe, or that of an earlier `version`.

    Raises
    ------
    LookupError
        There is no champion of that name.
    RecipeError
        Its recipe is not valid.
    """
    from inference.champions.recipe import parse
    from inference.recipes.recipe_file import read

    if name not in names():
        raise LookupError(f"{name} is none of the served models {', '.join(names())}")
    path = recipe_file(name, version)
    return parse(read(path), path)


def datasets_of(name: str) -> tuple[str, ...]:
    """The sets that a champion's figures come from; none where the laboratory has no champion of that name."""
    return recipe_of(name).datasets if name in names() else ()


def build(name: str, plan: Plan) -> ModelManifest:
    """Train the champion and write it into the store of `plan`."""
    return cast("ModelManifest", _module(name).build(plan))


def fit_final(name: str, plan: Plan) -> Path:
    """The weights of the network that is served where figures come from folds; a full build goes on from its run.

    Raises
    ------
    PlanError
        The model has no fit apart from that behind its figures.
    """
    from inference.champions.plan import PlanError

    module = _module(name)
    if not hasattr(module, "fit_final"):
        raise PlanError(
            f"{name} serves the network that its figures were measured with: leave --final-only out"
        )
    return cast(Path, module.fit_final(plan))


def retrain_fold(name: str, fold: int, plan: Plan) -> list[Record]:
    """The fold's predictions of record, and those of `val` that a network of the same run made, by networks trained
    anew in `plan.run`.

    Raises
    ------
    RecordsError
        The model has no such fold.
    """
    return cast("list[Record]", _module(name).retrain_fold(fold, plan))


def networks_of_folds(name: str, plan: Plan) -> Iterator[FoldNetwork]:
    """The networks that a champion's figures come from, each with the samples that it never saw.

    Raises
    ------
    LookupError
        The model is not made of folds, or a fold was not trained yet in `plan.run`.
    """
    module = _module(name)
    if not hasattr(module, "networks_of_folds"):
        raise LookupError(f"{name} is not made of folds: its val part can be checked without --folds")
    return cast("Iterator[FoldNetwork]", module.networks_of_folds(plan))


def explained_of(name: str) -> Explained:
    """How the champion is explained.

    Raises
    ------
    LookupError
        There is no champion of that name.
    """
    if name not in names():
        raise LookupError(f"{name} is none of the served models {', '.join(names())}")
    return cast("Explained", import_module(f"inference.champions.{name}.explained").EXPLAINED)


def explained_as(manifest: ModelManifest) -> Explained:
    """How the version with that manifest is explained, a champion's or a recipe's.

    Raises
    ------
    LookupError
        It is neither.
    """
    if manifest.served_by == WHOLE_IMAGE:
        from inference.champions.whole_image.explained import explained

        return explained(manifest)
    return explained_of(manifest.name)


def sets_of(manifest: ModelManifest, folder: Path) -> tuple[str, ...]:
    """The sets that a version in `folder` learned from, of which its figures are; a champion's in the order of its
    recipe, which may name more of them today.

    Raises
    ------
    LeakError
        What it was trained on is not on record.
    """
    from inference.evaluation.training_manifest import read_training_manifest

    seen = read_training_manifest(folder)
    first = [name for name in datasets_of(manifest.name) if name in seen] if manifest.name in names() else []
    return (*first, *sorted(set(seen) - set(first)))


def as_asked(manifest: ModelManifest, folder: Path, samples: Sequence[Sample]) -> Sequence[Sample]:
    """Samples of any set as the model is asked about them: a recipe's network about the classes of its recipe, under
    the recipe's labels."""
    if manifest.served_by != WHOLE_IMAGE:
        return samples
    from inference.champions.whole_image.labels import as_asked as labelled

    return labelled(samples, folder)


def discipline_of(manifest: ModelManifest) -> str:
    """What kind of picture the model reads, as importers say it: the name of the pipeline that was made for it."""
    if manifest.served_by != WHOLE_IMAGE:
        return manifest.served_by
    modality = manifest.input.modality
    return next((name for name in names() if recipe_of(name).modality == modality), manifest.served_by)


def _module(name: str) -> ModuleType:
    """Training's libraries take seconds to import: only where something is built."""
    return import_module(f"inference.champions.{name}.build")

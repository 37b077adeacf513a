"""How a champion's networks are fitted: by its recipe and the one loop, stamped with whom they saw; and the border
that its held-out images lie behind."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from torch import nn

from imaging.digest import sha256_of
from inference.datasets.sample import Sample
from inference.recipes.boundary import NearDuplicates, guard
from inference.recipes.part import digest_of
from inference.recipes.provenance import Fitted, Rows, Stamp, fit, held_out
from inference.training.batches import Source
from inference.training.device import device
from inference.training.loop import Place

if TYPE_CHECKING:
    from inference.champions.plan import Plan
    from inference.champions.recipe import ChampionRecipe

Value = TypeVar("Value")


def fitted(
    plan: Plan, name: str, samples: Sequence[Sample], source: Source, folder: Path, *, classes: int,
    seed: int | None = None, decided_by: str | None = None,
) -> Fitted[nn.Module]:  # fmt: skip
    """Network `name` of the plan's recipe fitted to `samples`, whose pixels `source` holds; checkpoints and
    `log.jsonl` lie in `folder`. It leaves a stamp of whom it saw. `decided_by`: the digest of what of the recipe
    decides this training, where that is more than `decided`: a checkpoint of another is refused."""
    seed = plan.seed if seed is None else seed
    recipe = plan.recipe.network(name)
    decided_by = decided_by or decided(plan.recipe, name)
    depends = json.dumps([decided_by, name, seed, device().type, *_told_apart(samples)])
    place = Place(
        folder / f"{name}.pt",
        hashlib.sha256(depends.encode()).hexdigest(),
        partial(_log, folder / "log.jsonl", name),
    )
    rows = Rows(tuple(samples), tuple(samples))
    return fit(name, lambda _: recipe.fitted(source, place, classes=classes, seed=seed), rows)


def decided(recipe: ChampionRecipe, name: str) -> str:
    """The digest of what decides the training of network `name` besides its stages, each of which says for itself what
    it is (one that is added goes on from the checkpoints of those before it): its own part of the recipe, not what
    other networks learn and not how anything is calibrated."""
    return digest_of(recipe.network(name), without={"train"})


def _told_apart(samples: Sequence[Sample]) -> list[tuple[str, ...]]:
    """Everything about samples that a training depends on."""
    return [
        (
            sample.id,
            sample.group_id,
            sample.label,
            *(sha256_of(path) for path in (sample.path, *sample.masks)),
        )
        for sample in samples
    ]


def _log(path: Path, name: str, epoch: int, of: int, values: dict[str, float]) -> None:
    line = {
        "network": name,
        "epoch": epoch,
        "of": of,
        **{key: round(value, 4) for key, value in values.items()},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as log:
        log.write(json.dumps(line) + "\n")


def guarded(train: Sequence[Sample], outside: Sequence[Sample], twins: Sequence[NearDuplicates] = ()) -> None:
    """Nothing crosses the border between what is fitted on and what is measured or calibrated on.

    Raises
    ------
    LeakError
        A group, a patient, identical bytes or one of `twins` stands on both sides.
    """
    guard(train, outside, {sample.path: sha256_of(sample.path) for sample in (*train, *outside)}, twins)


def judged(samples: Sequence[Sample], values: Sequence[Value], *stamps: Stamp) -> list[Value]:
    """`values` said of `samples` by what left these stamps, where nothing of it has seen one of them.

    Raises
    ------
    LeakError
        Naming the step and the group or patient.
    """
    return list(held_out(Rows(tuple(samples), tuple(values), stamps)).values)


def seen(step: str, samples: Sequence[Sample]) -> Stamp:
    """The stamp of a step that was fitted to `samples`."""
    return Stamp(step, Rows(tuple(samples), tuple(samples)).keys)

"""A champion's training in words, for its card: made of its recipe, so that the card cannot say anything else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inference.champions.recipe import ChampionRecipe
from inference.recipes.part import Block
from inference.recipes.stages import NetworkRecipe, StageRecipe

_TIMES = ("once", "twice", "three times", "four times", "five times", "six times")


def method(recipe: ChampionRecipe) -> str:
    """Every network of the recipe with its stages, a sentence each, and the champion's own settings."""
    told = [
        f"{name}: {network_in_words(network)}" if len(recipe.networks) > 1 else network_in_words(network)
        for name, network in recipe.networks.items()
    ]
    told += [
        f"The network {name} was not trained anew: it is that of version {each.version} (SHA-256 of those weights "
        f"{each.weights_sha256[:16]}…)."
        for name, each in recipe.taken.items()
    ]
    if recipe.settings:
        told.append(f"Settings: {_numbers(recipe.settings)}.")
    return " ".join(told)


def facts(recipe: ChampionRecipe) -> dict[str, str]:
    """Rows of the card's table: where figures and calibration come from, and every stage's numbers."""
    protocol = recipe.protocol
    rows = {"folds": str(protocol.folds)} if protocol.folds else {}
    if protocol.kept_part:
        rows["kept for calibration"] = f"one of {protocol.kept_part} grouped parts of train"
    rows["calibration"] = _numbers(recipe.calibrate.model_dump())
    rows["gates"] = _numbers(recipe.gates.model_dump())
    for name, network in recipe.networks.items():
        for number, stage in enumerate(network.train, 1):
            rows[f"{name}, stage {number}"] = stage_facts(stage)
    return rows


def network_in_words(network: NetworkRecipe) -> str:
    """The network and every stage of its training, a sentence each."""
    stages = [f"Stage {number}: {_stage(stage)}." for number, stage in enumerate(network.train, 1)]
    return f"network {block_in_words(network.network)}. {' '.join(stages)}"


def _stage(stage: StageRecipe) -> str:
    epochs = "1 epoch" if stage.epochs == 1 else f"{stage.epochs} epochs"
    batches = f"{stage.steps} batches" if stage.steps else "batches"
    parts = [
        f"{epochs} of {batches} of {stage.batch} by {stage.optimiser} (rate {stage.learning_rate:g}, the backbone's "
        f"{stage.backbone_rate:g} times that, weight decay {stage.weight_decay:g}; {block_in_words(stage.schedule)})"
    ]
    if stage.freeze is not None:
        parts.append(
            f"the backbone's stem and first {'stage' if stage.freeze == 1 else f'{stage.freeze} stages'} frozen"
            if stage.freeze
            else "nothing of the backbone frozen"
        )
    if stage.views.name != "whole":
        parts.append(f"shown {block_in_words(stage.views)}")
    if stage.augment:
        parts.append(f"changed by {', '.join(block_in_words(block) for block in stage.augment)}")
    if stage.mix_pairs:
        parts.append(f"pairs mixed in {stage.mix_pairs:g} of the images")
    learned = stage.loss or stage.objective
    assert learned is not None
    parts.append(f"learned by {block_in_words(learned)}")
    if stage.averaging:
        parts.append(f"weights averaged over steps ({stage.averaging:g})")
    if stage.restarts > 1:
        parts.append(f"run {times(stage.restarts)} from the same weights, and the results averaged")
    if stage.renew_statistics:
        parts.append("batch statistics taken anew at the end")
    return "; ".join(parts)


def times(number: int) -> str:
    """`twice`, `seven times` as `7 times`."""
    return _TIMES[number - 1] if number <= len(_TIMES) else f"{number} times"


def stage_facts(stage: StageRecipe) -> str:
    """The stage's numbers, for a row of the card's table."""
    return _numbers(_said(stage))


def _said(stage: StageRecipe) -> dict[str, Any]:
    """What the stage says otherwise than every stage would."""
    said = stage.model_dump(exclude_defaults=True)
    return {key: _plain(value) for key, value in said.items() if key not in ("captured", "workers")}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping) and "name" in value:
        return block_in_words(Block(**value))
    if isinstance(value, tuple | list):
        return ", ".join(str(_plain(each)) for each in value)
    return value


def block_in_words(block: Block) -> str:
    return f"{block.name} ({_numbers(block.parameters)})" if block.parameters else block.name


def _numbers(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key.replace('_', ' ')} {_value(value)}" for key, value in values.items())


def _value(value: Any) -> str:
    if isinstance(value, tuple | list):
        return " · ".join(_value(each) for each in value)
    if isinstance(value, Mapping):
        return " ".join(f"{name} ({_numbers(inner or {})})" for name, inner in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)

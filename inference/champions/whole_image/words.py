"""A version's account for its card, made of the recipe and of the run: the card cannot say anything else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from inference.champions.method import block_in_words, network_in_words, stage_facts
from inference.champions.whole_image.stated import (
    cut_in_words,
    described_in_words,
    instances_of,
    is_described,
)
from inference.evaluation.account import Account
from inference.evaluation.records import Record
from inference.recipes.networks import stage_recipe
from inference.recipes.schema import Recipe
from inference.recipes.stages import NetworkRecipe, StageRecipe

#: Of a record: the Dice of serving's outline in the image as it is stored.
DICE_AS_STORED = "dice as stored"
#: Heads and aggregates whose weights are rows that they learned from.
_REMEMBERING = ("knn", "svm", "mi_svm", "mi_svm_bag", "citation_knn", "non_parametric")


def account(
    recipe: Recipe, page: Mapping[str, Any], facts: Mapping[str, Any], apart: float, records: Sequence[Record]
) -> Account:  # fmt: skip
    """
    Parameters
    ----------
    page
        The run's `summary.json`.
    facts
        Its `run.json`.
    apart
        The largest difference between a prediction of the run and what serving says with the same network.
    records
        The predictions of record.
    """
    folds, data = page["folds"], recipe.data
    return Account(
        data=f"{data.dataset}: {page['images']} images of {page['groups']} groups, read at "
        f"{data.size[1]} × {data.size[0]} px. {_sentences(page['declared'])}".rstrip(),
        method=_method(recipe),
        protocol=_protocol(recipe, page, apart, records),
        limits=_limits(recipe, folds),
        refitted=folds > 1,
        run=_facts(recipe, page, facts),
    )


def _stages(recipe: Recipe) -> tuple[StageRecipe, ...]:
    return tuple(stage_recipe(plan, of_stages) for plan, of_stages in recipe.train.staged())


def _networks(recipe: Recipe) -> Iterator[str]:
    """A sentence or more for each stream, and for the head."""
    if recipe.preprocess:
        changed = ", then ".join(block_in_words(block) for block in recipe.preprocess)
        yield f"Every image first goes through {changed}."
    for stream in recipe.streams:
        if stream.network is None:
            yield f"An image is {described_in_words(recipe, stream)}."
        else:
            cut = cut_in_words(recipe, stream) if stream.patches else ""
            if cut:
                yield f"An image is {cut}each looked at by itself."
            if stream.trained:
                yield f"One {network_in_words(NetworkRecipe(network=stream.network, train=_stages(recipe)))}"
            else:
                yield f"One network {block_in_words(stream.network)}, with the weights that it came with: not trained."
        if stream.patches is not None or stream.aggregate is not None:
            how = "their mean" if stream.aggregate is None else block_in_words(stream.aggregate)
            yield f"The {instances_of(recipe, stream)} of an image become one by {how}."
    if recipe.head is not None:
        chosen = "".join(f", chosen by {block_in_words(block)}" for block in recipe.select)
        yield (
            f"The head {block_in_words(recipe.head)} judges these numbers{chosen}."
            if is_described(recipe)
            else f"The head {block_in_words(recipe.head)} judges what it pools{chosen}."
        )


def _method(recipe: Recipe) -> str:
    told = [
        f"Made from a recipe of the review, number {recipe.reference}: {recipe.title}.",
        *_networks(recipe),
    ]
    if recipe.train.balance == "weights":
        told.append("Classes are weighted in the loss.")
    if recipe.train.patience is not None:
        told.append(
            f"Stopped after {recipe.train.patience} epochs without a better loss on an inner watching part."
        )
    if recipe.search is not None:
        keys = ", ".join(recipe.search.over)
        told.append(f"Chosen by {recipe.search.method.name} inside the training part: {keys}.")
    if recipe.substitutions:
        told.append(f"Substituted: {_sentences(recipe.substitutions)}")
    return " ".join(told)


def _protocol(recipe: Recipe, page: Mapping[str, Any], apart: float, records: Sequence[Record]) -> str:
    folds, dataset = page["folds"], recipe.data.dataset
    what = "head" if is_described(recipe) else "network"
    if folds == 1:
        where = f"Figures are of the held-out part of the published split of {dataset}, which the {what} never saw."
        served = f"The served {what} is that very {what}."
        points = "fitted on the other fifths of that part, by groups"
    else:
        drawn = "published splits" if recipe.data.protocol == "official" else "folds over groups"
        where = (
            f"Figures are pooled out-of-fold predictions over the {folds} {drawn} of {dataset}; a {what} never saw "
            "the group of an image that it judges."
        )
        served = f"The served {what} was fitted afterwards by the same recipe on all images of the run."
        points = "fitted on the held-out predictions of the other folds, without the image's group"
    ours, theirs = page["honest_number"], page["review_number"]
    number = "" if ours is None else f" The run's own {page['measure']} is {ours['value']:.3f}"
    number += "" if not number else "." if theirs is None else f"; the review says {theirs:.3f}."
    caveat = page["caveat_of_the_review"] if theirs is not None else ""
    why = f" Why they differ: {caveat}." if caveat else ""
    if recipe.task.kind == "segment":
        stored = [float(r.facts[DICE_AS_STORED]) for r in records if DICE_AS_STORED in r.facts]
        shown = (
            f"; brought to the image as it is stored they read {fmean(stored):.3f} on average"
            if stored
            else ""
        )
        return (
            f"{where} Each image was judged by gates {points.replace(' predictions', ' images')}. The Dice of record "
            f"is the run's own, at {recipe.data.size[1]} × {recipe.data.size[0]} px; the same network as ONNX outlines "
            f"again with a Dice within {apart:.2g}{shown}. Lesions found are counted in the served findings. "
            f"{served}{number}{why}"
        )
    return (
        f"{where} Each image was judged at operating points and by gates {points}; the served ones are fitted on all "
        f"held-out predictions. Probabilities of record are the run's own; the serving pipeline, with the same "
        f"{what} as ONNX, says them again to within {apart:.2g}. {served}{number}{why}"
    )


def _limits(recipe: Recipe, folds: int) -> tuple[str, ...]:
    limits = [
        "A recipe of the laboratory, not a model that was built to be served: nobody has chosen it for a clinic.",
        "The gate looks at plain statistics of the image (contrast, entropy, sharpness, colour) alone; an image that "
        "is strange in another way passes it.",
    ]
    if recipe.task.kind == "segment":
        limits += [
            "It outlines and judges nothing: its probability is that of the place that it is surest of, not one of "
            "malignancy, and none of a lesion being there.",
            "It has learned and was measured on images with an outline alone: how often it outlines something where "
            "nothing is, is not known.",
        ]
        return tuple(limits)
    limits.append("It answers for the whole image and marks no lesion.")
    judges = [block for block in (*(s.aggregate for s in recipe.streams), recipe.head) if block is not None]
    for block in judges:
        if block.name in _REMEMBERING:
            what = "an image" if block is recipe.head else "a patch"
            whose = "Its head" if block is recipe.head else "Its aggregate"
            limits.append(
                f"{whose} {block.name} carries features of images that it learned from, one row {what}; no image can "
                "be seen in them, but whoever has an image can tell whether it is among them."
            )
    if not recipe.calibrate:
        limits.append(
            "The recipe calibrates nothing (`calibrate: false`): probabilities are those of the "
            f"{'network' if recipe.head is None else 'head'} itself."
        )
    if any(stream.features for stream in recipe.streams):
        limits.append(
            "Its features were written by people: what they do not measure it cannot see. Serving computes them by the "
            "code that training used, and some need the laboratory's packages where it is served."
        )
    if folds == 1:
        limits.append(
            "The served operating points were fitted on the images that the figures are of; each image was judged at "
            "points that were fitted without its group."
        )
    return tuple(limits)


def _facts(recipe: Recipe, page: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, str]:
    rows = {
        "protocol": f"{recipe.data.protocol}, {page['folds']} {'part' if page['folds'] == 1 else 'folds'}",
        "seed": str(facts["seed"]),
        "variants": ", ".join(facts["variants"]) or "none",
        "trained at commit": str(facts["commit"])[:12] + ("+" if facts["uncommitted_changes"] else ""),
    }
    trained = any(stream.network is not None and stream.trained for stream in recipe.streams)
    for number, stage in enumerate(_stages(recipe) if trained else (), 1):
        rows[f"stage {number}"] = stage_facts(stage)
    return rows


def _sentences(parts: Sequence[str]) -> str:
    return " ".join(f"{part[:1].upper()}{part[1:]}." for part in parts)

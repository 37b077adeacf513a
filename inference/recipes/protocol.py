"""Which samples a recipe uses and on which side of each fold they stand; everything left out is said."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from inference.datasets.catalogue import DATASETS, official_splits
from inference.datasets.sample import DatasetError, Manifest, Sample, assert_disjoint, grouped_folds
from inference.recipes import slides
from inference.recipes.provenance import keys
from inference.recipes.schema import Data, Recipe, RecipeError

#: Said wherever a figure of the protocol `image_level` stands.
LEAKY = "leaky: image-level split, for showing inflation only"
_DRAWN = "{} of {} images were drawn, by groups"


def is_leaky(recipe: Recipe) -> bool:
    """Whether its figures are inflated by design."""
    return recipe.data.protocol == "image_level"


def images_apart(samples: Sequence[Sample]) -> tuple[Sample, ...]:
    """The samples each as a group of its own, nobody's: what the protocol `image_level` takes them for."""
    return tuple(
        replace(sample, group_id=f"image {number}", patient_id=None) for number, sample in enumerate(samples)
    )


def drawn_of(declared: Sequence[str]) -> int | None:
    """Of how many images a run took a part, by what it declares; None where it took all."""
    for text in declared:
        if found := re.fullmatch(_DRAWN.format(r"\d+", r"(\d+)"), text):
            return int(found[1])
    return None


@dataclass(frozen=True)
class Fold:
    """Samples to learn from and samples to be judged on. Nobody stands in both."""

    name: str
    train: tuple[Sample, ...]
    held_out: tuple[Sample, ...]


@dataclass(frozen=True)
class Chosen:
    """The samples of a run, labelled with the recipe's classes, and what was left out or changed."""

    root: Path
    manifest: Manifest
    samples: tuple[Sample, ...]
    declared: tuple[str, ...]


def choose(recipe: Recipe, folder: Path, seed: int) -> Chosen:
    """Read the recipe's data set in `folder` or in `folder/NAME`, filter, label and limit it.

    Raises
    ------
    DatasetError
        No such data there, or nothing of a class is left.
    RecipeError
        An unknown data set or attribute.
    """
    data = recipe.data
    if data.dataset not in DATASETS:
        raise RecipeError(f"{recipe.id}: data.dataset: {data.dataset!r} is none of {', '.join(DATASETS)}")
    root = folder / data.dataset if (folder / data.dataset).is_dir() else folder
    if not root.is_dir():
        raise DatasetError(f"{folder} is no folder")
    manifest = DATASETS[data.dataset].read(root)
    if manifest.of_table != recipe.of_table:
        kind = "a table: its recipe has streams: [{columns: true}]" if manifest.of_table else "no table"
        raise RecipeError(f"{recipe.id}: data.dataset: {data.dataset} is {kind}")
    declared: list[str] = []
    if data.pyramid is not None and data.pyramid.um_per_px is not None:
        manifest, declared = slides.fields_of(manifest, data.pyramid, recipe.task, data.size[1], seed)
    kept = [sample for sample in manifest.samples if _wanted(sample, data, recipe.id)]
    if data.where:
        declared.append(f"{len(kept)} of {len(manifest.samples)} images are {data.where}")
    named = [found for sample in kept if (found := labelled(sample, recipe)) is not None]
    if len(named) < len(kept):
        declared.append(f"{len(kept) - len(named)} images of other classes were left out")
    if recipe.task.kind != "classify" or data.roi == "mask":
        # of a detector an image without a lesion has nothing to outline
        spared = recipe.task.classes if recipe.task.kind == "detect" else ()
        outlined = [
            sample
            for sample in named
            if sample.masks or sample.outlines or sample.boxes
            or (sample.label in spared and sample.label != recipe.task.positive)
        ]  # fmt: skip
        if len(outlined) < len(named):
            declared.append(f"{len(named) - len(outlined)} images without an outline were left out")
        named = outlined
    if data.roi == "mask":
        declared.append("regions were cut out by the truth's outline, which nobody has in practice")
    limited = _limited(named, data, seed)
    if len(limited) < len(named):
        declared.append(_DRAWN.format(len(limited), len(named)))
    for label in recipe.task.classes:
        if recipe.task.kind != "segment" and not any(sample.label == label for sample in limited):
            raise DatasetError(f"{root.name} has no image of class {label}")
    return Chosen(root, manifest, tuple(limited), tuple(declared))


def tissue_of(recipe: Recipe, folder: Path, seed: int) -> tuple[Sample, ...]:
    """Images of the recipe's second set in `folder/NAME`, at most so many a label, drawn by chance; none where it has
    no second set.

    Raises
    ------
    DatasetError
        No such data there, or it has none of the labels that are to be dropped.
    RecipeError
        An unknown data set.
    """
    plan = recipe.tissue
    if plan is None:
        return ()
    if plan.dataset not in DATASETS:
        raise RecipeError(f"{recipe.id}: tissue.dataset: {plan.dataset!r} is none of {', '.join(DATASETS)}")
    root = folder / plan.dataset
    if not root.is_dir():
        raise DatasetError(f"{folder} has no folder {plan.dataset}, the recipe's second set (tissue)")
    samples = DATASETS[plan.dataset].read(root).samples
    labels = sorted({sample.label for sample in samples})
    if unknown := sorted(set(plan.irrelevant) - set(labels)):
        raise DatasetError(f"{plan.dataset} has no image of {unknown[0]}; it has {', '.join(labels)}")
    generator = np.random.default_rng(seed)
    chosen: list[Sample] = []
    for label in labels:
        own = [sample for sample in samples if sample.label == label]
        chosen += [own[int(i)] for i in sorted(generator.permutation(len(own))[: plan.limit])]
    return tuple(chosen)


def _wanted(sample: Sample, data: Data, recipe: str) -> bool:
    for name, value in data.where.items():
        if not hasattr(sample, name) and name not in sample.extra:
            raise RecipeError(f"{recipe}: data.where: samples of {data.dataset} have no {name!r}")
        if str(sample.extra.get(name, getattr(sample, name, None))) != value:
            return False
    return True


def labelled(sample: Sample, recipe: Recipe) -> Sample | None:
    """The sample under the recipe's label; None where that is no class of it."""
    task = recipe.task
    if task.read == "binary":
        if sample.label_binary is None:
            return None
        return replace(sample, label=task.classes[int(sample.label_binary)])
    label = task.labels.get(sample.label, sample.label)
    return replace(sample, label=label) if label in task.classes else None


def _limited(samples: list[Sample], data: Data, seed: int) -> list[Sample]:
    """At most so many groups, drawn class by class in turn, and so many images of each."""
    if data.limit_groups is None and data.limit_images_per_group is None:
        return samples
    generator = np.random.default_rng(seed)
    by_group: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_group[sample.group_id].append(sample)
    queues: dict[str, list[str]] = defaultdict(list)
    for group in generator.permutation(sorted(by_group)):
        queues[by_group[group][0].label].append(group)
    count = min(data.limit_groups or len(by_group), len(by_group))
    drawn: set[str] = set()
    while len(drawn) < count:
        for label in sorted(queues):
            if queues[label] and len(drawn) < count:
                drawn.add(queues[label].pop())
    picked: set[int] = set()
    for group in sorted(drawn):
        members = [index for index, sample in enumerate(samples) if sample.group_id == group]
        most = data.limit_images_per_group or len(members)
        picked |= {int(i) for i in generator.permutation(members)[:most]}
    return [sample for index, sample in enumerate(samples) if index in picked]


def divide(chosen: Chosen, data: Data, seed: int) -> tuple[list[Fold], list[str]]:
    """The folds, and what had to be said or dropped for them to be disjoint.

    Raises
    ------
    DatasetError
        The set has no official split, or too few groups for folds.
    LeakError
        Never by design: each fold is asserted to be disjoint all the same.
    """
    samples = chosen.samples
    declared: list[str] = []
    folds: list[Fold] = []
    if data.protocol == "official":
        places = {(sample.id, sample.path): number for number, sample in enumerate(chosen.manifest.samples)}
        used = {places[sample.id, sample.path]: sample for sample in samples}
        for split in official_splits(data.dataset, chosen.root, chosen.manifest):
            if data.splits and split.name not in data.splits:
                continue
            outside = tuple(used[i] for i in split.held_out if i in used)
            inside = tuple(used[i] for i in split.train if i in used)
            theirs = {key for sample in outside for key in keys(sample)}
            clean = tuple(sample for sample in inside if theirs.isdisjoint(keys(sample)))
            if len(clean) < len(inside):
                declared.append(
                    f"{split.name}: {len(inside) - len(clean)} images of patients whom the published split puts on "
                    "both sides were dropped from training"
                )
            if clean and outside:
                folds.append(Fold(split.name, clean, outside))
        if not folds:
            raise DatasetError(f"{chosen.root.name} has no official split; use protocol: folds")
    else:
        if data.protocol == "image_level":
            patients = Counter(sample.group_id for sample in samples)
            several = sum(count for count in patients.values() if count > 1)
            declared += [
                LEAKY,
                f"{several} of {len(samples)} images are of groups with several images, which stand on both sides",
            ]
            samples = images_apart(samples)
        try:
            pairs = grouped_folds(samples, data.folds, seed)
        except ValueError as error:
            raise DatasetError(f"{chosen.root.name}: {error}") from None
        folds = [
            Fold(f"fold-{n}", tuple(samples[i] for i in inside), tuple(samples[i] for i in outside))
            for n, (inside, outside) in enumerate(pairs)
        ]
    for fold in folds:
        assert_disjoint({"train": fold.train, "held out": fold.held_out})
    return folds, declared


def inner(train: Sequence[Sample], folds: int, seed: int) -> tuple[list[int], list[int]]:
    """Indices of a training part's own training and watching part, groups whole.

    Raises
    ------
    DatasetError
        Fewer than two groups.
    """
    groups = len({sample.group_id for sample in train})
    if groups < 2:
        raise DatasetError("a training part of one group cannot be divided once more")
    return grouped_folds(train, min(folds, groups), seed)[0]

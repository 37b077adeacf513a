"""Does a method do what it says? Three questions to each recipe, on made-up pictures that show their class, and the
record of the answers.

1. It learns: its figure's interval lies above chance.
2. Shuffled labels destroy that: the labels of the training part are dealt anew, those of the held-out part stay.
3. Its own block is on the path: the recipe's variant `ablated` puts something plain in the place of what makes the
   method itself, and other things are predicted.

What is proved is the variant `quick`, with epochs and rates enough to learn from a few dozen pictures, and with whole
pictures where a task is to outline (a region that the truth cuts out gives the outline's place away). A record holds
the digests of the recipe, of what was proved and of the ablated one: when one of them changes, it is out of date.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats

from imaging.digest import sha256_of
from inference.blocks.overlap import dice
from inference.datasets.generated.taught import taught
from inference.datasets.sample import Sample
from inference.evaluation.figures import Figure
from inference.evaluation.records import Record
from inference.recipes.boundary import guard, refuse_neighbourly
from inference.recipes.pictures import Picture, read
from inference.recipes.pipeline import Pipeline, Place
from inference.recipes.protocol import choose
from inference.recipes.provenance import Rows
from inference.recipes.recipe_file import find, known, read_file
from inference.recipes.rehearsal import rehearse
from inference.recipes.reporting import figures, records
from inference.recipes.review import PROOFS
from inference.recipes.schema import Recipe, RecipeError
from inference.recipes.validation import parse

#: The variant in which the method's own block is not there.
ABLATED = "ablated"
#: Recipes that have no record, and why; every one has its own now.
WITHOUT: dict[str, str] = {}
#: Women of each part, and images of each woman.
_TAUGHT, _JUDGED, _EACH = 16, 24, 2
#: A network from nothing learns so many pictures in so many epochs; inner networks and recurrent aggregates, too.
_EPOCHS = 10
#: … and where it has learned nothing in those, as a deep one may, in so many, by smaller steps: without batch norm
#: thirteen convolutions in a row (VGG-16, [50]) fall silent at the larger ones. One that brings weights learns by the
#: recipe's own rates then: large ones wipe out what is transferred ([37] and [40] said one thing of every picture).
_MORE_EPOCHS = 40
#: … and where that is not enough, from so many women's pictures: capsules ([53]) remember thirty-two.
_MORE_TAUGHT = 64
_INNER_EPOCHS = 12
_LEAST_RATE, _GENTLER_RATE = 3e-3, 1e-3
#: Where the first deal of the labels is better than chance, so many are asked, and the interval is that of their mean.
_DEALS = 6
#: A label of made-up tissue that is not to be dropped.
_RELEVANT = "tumour"
_DARK_LESIONS = ("busi", "busbra", "hospital")


@dataclass(frozen=True)
class Subject:
    """A recipe as it is proved, and without its own block."""

    name: str
    hash: str
    proved: Recipe
    ablated: Recipe

    @property
    def digests(self) -> dict[str, str]:
        """What a record is of."""
        return {"hash": self.hash, "proved": self.proved.hash, "ablated": self.ablated.hash}


def subject(name: str, epochs: int = _EPOCHS) -> Subject:
    """
    Parameters
    ----------
    epochs
        That its networks learn.

    Raises
    ------
    RecipeError
        It has no variant `quick` or `ablated`, or one of them is not valid.
    """
    written = read_file(find(name))
    if ABLATED not in written.variants:
        raise RecipeError(
            f"{written.name}: variants.{ABLATED}: it does not say what stands in the place of its own block"
        )

    def laid(*variants: str) -> Recipe:
        return parse(_longer(written.laid((*variants, "quick")), epochs), written.name)

    return Subject(name, parse(written.laid(), written.name).hash, laid(), laid(ABLATED))


def _longer(content: dict[str, Any], epochs: int) -> dict[str, Any]:
    """The keys with epochs enough."""
    train = dict(content.get("train") or {})
    stages = [{**stage, "epochs": epochs // 2} for stage in train.get("stages") or ()]
    least = _LEAST_RATE if epochs <= _EPOCHS else _GENTLER_RATE
    rate = max(float(train.get("learning_rate", 0)), least)
    if epochs <= _EPOCHS or not _brings_weights(content["streams"]):
        train |= {"learning_rate": rate, "backbone_rate": 1.0}
    train |= {"epochs": epochs} | ({"stages": stages} if stages else {})
    streams = [
        {**stream, **{key: _epochs(stream[key]) for key in ("segment", "aggregate") if stream.get(key)}}
        for stream in content["streams"]
    ]
    outlines = content["task"].get("kind") == "segment"
    data = {**content["data"], **({"roi": "none"} if outlines else {})}
    if data.get("pyramid"):  # of images, whose middle is the place: the made-up ones are no slides
        data["pyramid"] = {**data["pyramid"], "um_per_px": None}
    return {**content, "data": data, "train": train, "streams": streams}


def _brings_weights(block: Any) -> bool:
    """Whether any network below begins from weights that a package ships."""
    if isinstance(block, dict):
        return block.get("weights") == "imagenet" or any(_brings_weights(each) for each in block.values())
    return isinstance(block, list) and any(_brings_weights(each) for each in block)


def _epochs(block: Any) -> Any:
    """A block that says how many epochs it learns, with more of them."""
    if isinstance(block, dict):
        ((name, parameters),) = block.items()
        if isinstance(parameters, dict) and "epochs" in parameters:
            return {name: {**parameters, "epochs": _INNER_EPOCHS}}
    return block


def state_of(name: str, folder: Path = PROOFS) -> str:
    """Empty where the record of a recipe is today's and says yes three times; else what is wrong, in a sentence."""
    if name in WITHOUT:
        return ""
    file = folder / f"{name}.json"
    if not file.is_file():
        return f"{name} has no record; run: python -m inference prove {name}"
    try:
        page = json.loads(file.read_text(encoding="utf-8"))
        digests = subject(name, page["epochs"]).digests
    except (ValueError, RecipeError) as error:
        return f"{name}: {error}"
    for what, digest in digests.items():
        if page["digests"].get(what) != digest:
            return f"{name}: the record is of another recipe ({what}); run: python -m inference prove {name}"
    failed = [question for question, answer in page["verdict"].items() if not answer]
    if failed and not page["note"]:
        return f"{name}: not so: {', '.join(failed)}; the record says no word about why"
    return ""


def states(folder: Path = PROOFS) -> list[str]:
    """The sentences about all records, and about those that no recipe has."""
    names = known()
    found = [sentence for name in names if (sentence := state_of(name, folder))]
    stray = sorted({path.stem for path in folder.glob("*.json")} - set(names))
    found += [f"{name}: there is no such recipe any more; remove its record" for name in stray]
    return found + [f"{name}: it has a record, and WITHOUT says that it has none" for name in WITHOUT
                    if (folder / f"{name}.json").is_file()]  # fmt: skip


def prove(name: str, seed: int = 0) -> dict[str, Any]:
    """Ask the three questions; the record.

    Raises
    ------
    RecipeError, DatasetError, LeakError
        It cannot be run.
    """
    torch.set_num_threads(1)
    began = time.process_time()
    asked = subject(name)
    recipe = asked.proved
    with tempfile.TemporaryDirectory(prefix=f"prove-{name}-") as scratch:
        folder = Path(scratch)
        trial = _Trial(folder, *_parts(recipe, folder, seed), seed, _second_set(recipe, folder, seed))
        learned, said = trial.run(recipe)
        chance, epochs = trial.chance(recipe), _EPOCHS
        if learned.low <= chance:
            epochs = _MORE_EPOCHS
            asked = subject(name, epochs)
            recipe = asked.proved
            learned, said = trial.run(recipe)
        if learned.low <= chance and not recipe.of_table:
            more = folder / "more"
            trial = _Trial(
                more, *_parts(recipe, more, seed, _MORE_TAUGHT), seed, _second_set(recipe, more, seed)
            )
            learned, said = trial.run(recipe)
            chance = trial.chance(recipe)
        shuffled = [trial.run(recipe, deal=0)[0]]
        if shuffled[0].low > chance:
            shuffled += [trial.run(recipe, deal=deal)[0] for deal in range(1, _DEALS)]
        ablated, otherwise = trial.run(asked.ablated)
    moved = float(np.mean([np.mean(np.abs(a - b)) for a, b in zip(said, otherwise, strict=True)]))
    return {
        "recipe": name,
        "digests": asked.digests,
        "seed": seed,
        "epochs": epochs,
        "images": {"train": len(trial.train), "held_out": len(trial.held_out)},
        "measure": learned.name,
        "chance": round(chance, 4),
        "learned": _said(learned),
        "shuffled": [_said(figure) for figure in shuffled],
        "ablated": {"what": asked.ablated.title, **_said(ablated), "moved": round(moved, 5)},
        "seconds": round(time.process_time() - began, 1),
        "verdict": {
            "learns": learned.low > chance,
            "shuffled_labels_destroy_it": _lowest(shuffled) <= chance,
            "own_block_is_on_the_path": moved > 1e-3,
        },
        "note": "",
    }


def write(page: dict[str, Any], folder: Path = PROOFS) -> Path:
    """The record's file. The note of a record that says no again is kept."""
    file = folder / f"{page['recipe']}.json"
    if file.is_file() and not all(page["verdict"].values()):
        page = {**page, "note": json.loads(file.read_text(encoding="utf-8"))["note"]}
    folder.mkdir(exist_ok=True)
    file.write_text(json.dumps(page, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return file


def _digest(sample: Sample) -> str:
    return repr(sample.numbers) if sample.numbers else sha256_of(sample.path)


def _lowest(shuffled: Sequence[Figure]) -> float:
    """Of one deal the low end of its interval over women, of several that of their mean over deals (Student's t)."""
    if len(shuffled) == 1:
        return shuffled[0].low
    values = np.array([figure.value for figure in shuffled])
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean() - half)


def _said(figure: Figure) -> dict[str, float]:
    return {"value": figure.value, "low": figure.low, "high": figure.high}


def _parts(
    recipe: Recipe, folder: Path, seed: int, taught_women: int = _TAUGHT
) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """Pictures of women to learn from, and of others to be judged on; four of each class at least. Of a table its own
    rows, which need not be made up."""
    least = 4 * len(recipe.task.classes)
    learners, judged = max(taught_women, least), max(_JUDGED, least)
    if recipe.of_table:
        rows = choose(recipe, folder, seed).samples
        order = np.random.default_rng(seed).permutation(len(rows))[: (learners + judged) * _EACH]
        return tuple(rows[i] for i in order[: learners * _EACH]), tuple(
            rows[i] for i in order[learners * _EACH :]
        )
    pyramid, size = recipe.data.pyramid, recipe.data.size
    if pyramid is not None:
        size = (size[1] * pyramid.levels[0],) * 2
    samples = taught(
        folder / "pictures", recipe.task.classes, recipe.task.positive, size,
        colour=recipe.data.colour == "rgb", dark=recipe.data.dataset in _DARK_LESIONS,
        dataset=recipe.data.dataset, groups=learners + judged, each=_EACH, seed=seed,
    )  # fmt: skip
    return samples[: learners * _EACH], samples[learners * _EACH :]


def _second_set(recipe: Recipe, folder: Path, seed: int) -> Rows | None:
    """Of a recipe with a second set ([30]) made-up tissue: what is to be dropped looks as what is harmless does."""
    plan = recipe.tissue
    if plan is None:
        return None
    samples = taught(
        folder / "tissue", (*plan.irrelevant, _RELEVANT), _RELEVANT, plan.size,
        colour=recipe.data.colour == "rgb", dark=True, dataset=plan.dataset, groups=_JUDGED, each=_EACH, seed=seed,
    )  # fmt: skip
    return read(samples, recipe.data.model_copy(update={"size": plan.size, "roi": "none"}))


@dataclass(frozen=True)
class _Trial:
    """Two parts of made-up pictures, and what recipes make of them."""

    folder: Path
    train: tuple[Sample, ...]
    held_out: tuple[Sample, ...]
    seed: int
    tissue: Rows | None = None

    def run(self, recipe: Recipe, deal: int | None = None) -> tuple[Figure, list[NDArray[np.float64]]]:
        """The leading figure, and what was predicted. `deal`: learn from labels, or outlines, that are dealt anew."""
        rehearse(recipe)
        guard(self.train, self.held_out, {s.path: _digest(s) for s in (*self.train, *self.held_out)})
        train, held = read(self.train, recipe.data), read(self.held_out, recipe.data)
        if deal is not None:
            train = _dealt(train, recipe, deal)
        with tempfile.TemporaryDirectory(dir=self.folder) as place:
            tissue = None if recipe.tissue is None else self.tissue
            pipeline = Pipeline(recipe, self.seed + (deal or 0), tissue=tissue)
            pipeline.fit(train, Place(Path(place), "proof "))
            predicted = pipeline.predict(held)
        refuse_neighbourly(pipeline.predict, held, predicted)
        made = records(recipe, predicted, held, 0)
        if recipe.task.kind == "segment":
            return leading(recipe, made), [np.asarray(value, np.float64) for value in predicted.values]
        return leading(recipe, made), [np.array(list(record.probabilities.values())) for record in made]

    def chance(self, recipe: Recipe) -> float:
        """A half of an AUC; of outlines the Dice of the one outline for all that fits the training part best."""
        if recipe.task.kind != "segment":
            return 0.5
        train, held = (_masks(read(part, recipe.data)) for part in (self.train, self.held_out))
        average = np.mean(train, axis=0)
        fits = {level: np.mean([dice(average > level, mask) for mask in train]) for level in (0.3, 0.5, 0.7)}
        best = average > max(fits, key=lambda level: fits[level])
        return float(np.mean([dice(best, mask) for mask in held]))


def leading(recipe: Recipe, made: Sequence[Record]) -> Figure:
    """AUC of the positive class against the rest, or Dice."""
    name = "dice" if recipe.task.kind == "segment" else "auc"
    return next(figure for figure in figures(recipe, made) if figure.name == name)


def _masks(rows: Rows) -> list[NDArray[np.bool_]]:
    return [picture.mask for picture in rows.values]


def _dealt(rows: Rows, recipe: Recipe, deal: int) -> Rows:
    """The labels dealt anew: the images of each class get all classes in turn, in a random order, so that what is
    learned has nothing to do with the truth. Every second deal is the one before, one class further on. Outlines are
    given away in any order.

    With one trait as plain as in these pictures, a network that must learn something from chance learns that trait, one
    way round or the other: a single deal may read 0.9 or 0.1, several together read what does not come from chance."""
    generator = np.random.default_rng(deal // 2)
    if recipe.task.kind == "segment":
        order = np.random.default_rng(deal).permutation(len(rows))
        return replace(
            rows,
            values=tuple(
                Picture(picture.image, rows.values[other].mask)
                for picture, other in zip(rows.values, order, strict=True)
            ),
        )
    labels = [""] * len(rows)
    everything = [sample.label for sample in rows.samples]
    places = [
        place
        for name in recipe.task.classes
        for place in generator.permutation([i for i, label in enumerate(everything) if label == name])
    ]
    # one after another, so that every class's images get each label about equally often
    for number, place in enumerate(places):
        labels[place] = recipe.task.classes[(number + deal) % len(recipe.task.classes)]
    samples = tuple(replace(sample, label=label) for sample, label in zip(rows.samples, labels, strict=True))
    return replace(rows, samples=samples)

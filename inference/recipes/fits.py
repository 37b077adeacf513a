"""Do the parts of a recipe fit together? What would die after an hour of training is a sentence before it begins.

A block says what it takes and gives (`inference.blocks.registry.Traits`); a made block may refuse the task's classes by
`check_classes(classes)`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from inference.blocks.parameters import BlockError, make
from inference.blocks.registry import traits
from inference.recipes.part import Block
from inference.recipes.schema import Recipe, Stream

#: Which figures are those of outlines, and which need `evaluate.recognition_rates`.
_OUTLINES = ("dice", "iou")
_BOXES = ("lesions_found",)
_RATES = ("image_recognition_rate", "patient_recognition_rate")
#: A task as a sentence ends with it.
_TASKS = {"classify": "classify", "segment": "outline", "detect": "find lesions"}


class Misfit(Exception):
    """Two parts of a recipe that do not go together: the key, and a sentence."""

    def __init__(self, key: str, sentence: str) -> None:
        super().__init__(f"{key}: {sentence}")


def refuse_misfits(recipe: Recipe) -> None:
    """
    Raises
    ------
    Misfit
        The first part that would not work with the others.
    """
    rules = (_classify, _weights, _streams) if recipe.task.kind == "classify" else (_located, _places_only)
    for rule in (_answers, _measure, _clusters, _colours, _tissue, *rules, _parameters):
        for misfit in rule(recipe):
            raise misfit


def learns(stream: Stream) -> bool:
    """Whether a network is trained in the stream."""
    return stream.network is not None and stream.trained


def _answers(recipe: Recipe) -> Iterator[Misfit]:
    for number, stream in enumerate(recipe.streams):
        network = stream.network
        if network is not None and traits("network", network.name).gives == "objective":
            yield Misfit(
                f"streams.{number}.network", f"{network.name} answers to an objective alone, in stages"
            )


def _measure(recipe: Recipe) -> Iterator[Misfit]:
    measure, kind = recipe.expect.measure, recipe.task.kind
    if (measure in _OUTLINES) != (kind == "segment") or (measure in _BOXES and kind != "detect"):
        yield Misfit(
            "expect.measure", f"{measure} cannot be measured where the task is to {recipe.task.kind}"
        )
    if measure in _RATES and not recipe.evaluate.recognition_rates:
        yield Misfit("expect.measure", f"{measure} needs evaluate: {{recognition_rates: true}}")


def _clusters(recipe: Recipe) -> Iterator[Misfit]:
    if recipe.evaluate.clusters is not None and recipe.streams[0].network is None:
        yield Misfit("evaluate.clusters", "they are of what a network sees, and the first stream has none")


def _colours(recipe: Recipe) -> Iterator[Misfit]:
    blocks = [(f"preprocess.{n}", "preprocess", block) for n, block in enumerate(recipe.preprocess)]
    if any(learns(stream) for stream in recipe.streams):
        blocks += [(f"train.augment.{n}", "augment", block) for n, block in enumerate(recipe.train.augment)]
    for key, family, block in blocks:
        wanted = traits(family, block.name).colour
        if wanted not in (None, recipe.data.colour):
            yield Misfit(
                key, f"{block.name} works on {wanted} images, and data.colour is {recipe.data.colour}"
            )


def _located(recipe: Recipe) -> Iterator[Misfit]:
    """Blocks that work on labels, where there are none; of losses and networks those of another task."""
    stream, train, truth = recipe.streams[0], recipe.train, recipe.task.truth
    task = _TASKS[recipe.task.kind]
    blocks = [("train.loss", "loss", train.loss), ("train.sampler", "sampler", train.sampler)]
    blocks += [(f"train.augment.{n}", "augment", block) for n, block in enumerate(train.augment)]
    for key, family, block in blocks:
        takes = traits(family, block.name).takes
        if takes == "labels" or (family == "loss" and takes not in (None, truth)):
            fitting = ", ".join(_others(family, truth))
            yield Misfit(
                key, f"{block.name} works on {takes}, and the task is to {task}; there are {fitting}"
            )
    if stream.network is None:
        return
    gives = traits("network", stream.network.name).gives
    if gives == "labels" or ("boxes" in (gives, truth) and gives != truth):
        answers = "classes" if gives == "labels" else gives or "what it was made for"
        yield Misfit(
            "streams.0.network", f"{stream.network.name} answers with {answers}, and the task is to {task}"
        )


def _places_only(recipe: Recipe) -> Iterator[Misfit]:
    """What counts classes, or is never asked, where outlines or boxes are judged."""
    stream = recipe.streams[0]
    for number, block in enumerate(recipe.preprocess):
        if hasattr(_made(f"preprocess.{number}", "preprocess", block, recipe), "with_mask"):
            yield Misfit(
                f"preprocess.{number}",
                f"{block.name} moves pixels, and an outline is judged where the truth lies",
            )
    if recipe.train.balance != "none":
        yield Misfit("train.balance", "it counts classes, and an outline has none")
    if recipe.task.level != "image":
        yield Misfit("task.level", "outlines are judged image by image")
    for name in ("recognition_rates", "clusters"):
        if getattr(recipe.evaluate, name):
            yield Misfit(f"evaluate.{name}", "they count classes, and an outline has none")
    for name in ("aggregate", "resize"):
        if getattr(stream, name) is not None:
            yield Misfit(f"streams.0.{name}", "an outline is that of the whole image at data.size")


def _classify(recipe: Recipe) -> Iterator[Misfit]:
    loss = recipe.train.loss
    for number, stream in enumerate(recipe.streams):
        network = stream.network
        gives = None if network is None else traits("network", network.name).gives
        if network is not None and gives in ("outlines", "boxes"):
            does = "outlines" if gives == "outlines" else "draws boxes"
            yield Misfit(f"streams.{number}.network", f"{network.name} {does}, and the task is to classify")
        takes = traits("loss", loss.name).takes
        if learns(stream) and takes in ("outlines", "boxes"):
            fitting = ", ".join(_others("loss", "labels"))
            yield Misfit(
                "train.loss",
                f"{loss.name} works on {takes}, and the task is to classify; there are {fitting}",
            )


def _weights(recipe: Recipe) -> Iterator[Misfit]:
    """`balance` needs something that it balances."""
    train, trained = recipe.train, any(learns(stream) for stream in recipe.streams)
    weights = train.loss.parameters.get("weights")
    if trained and weights is not None and len(weights) != len(recipe.task.classes):
        yield Misfit("train.loss", f"{len(weights)} weights for {len(recipe.task.classes)} classes")
    if train.balance == "oversample" and recipe.head is None:
        yield Misfit("train.balance", "oversample repeats the rows of a head, and there is none")
    if train.balance == "weights":
        if not trained:
            yield Misfit("train.balance", "weights go into the loss of a network, and none is trained")
        if weights is not None:
            yield Misfit("train.balance", "the loss has weights of its own")
        if _refuses("loss", train.loss, {"weights": [1.0] * len(recipe.task.classes)}):
            yield Misfit("train.balance", f"{train.loss.name} takes no weights")


def _streams(recipe: Recipe) -> Iterator[Misfit]:
    """Who decides: a head, one trained network, or one bag classifier."""
    for number, stream in enumerate(recipe.streams):
        if stream.aggregate is None:
            continue
        key, name = f"streams.{number}.aggregate", stream.aggregate.name
        kind = _made(key, "aggregate", stream.aggregate, recipe).kind
        if kind == "scores" and (recipe.head is not None or not learns(stream)):
            yield Misfit(key, f"{name} pools the probabilities of a trained network; no head may follow")
        if kind == "rows" and recipe.head is None:
            yield Misfit(key, f"{name} gives a row an image, and there is no head that decides by it")


def _tissue(recipe: Recipe) -> Iterator[Misfit]:
    """What a second set teaches needs somebody who learns it."""
    if recipe.tissue is None:
        return
    for number, stream in enumerate(recipe.streams):
        key = f"streams.{number}.aggregate"
        if stream.aggregate is not None:
            made = _made(key, "aggregate", stream.aggregate, recipe)
            if hasattr(made, "fit_reference"):
                if stream.network is not None and stream.trained:
                    yield Misfit(
                        f"streams.{number}.trained", "tissue is described by a network that is not trained"
                    )
                return
    yield Misfit("tissue", "no aggregate learns from it; relevance_filter does")


def _parameters(recipe: Recipe) -> Iterator[Misfit]:
    """Every block but networks, which take seconds, is made once: it may refuse its values or the task's classes."""
    train = recipe.train
    blocks = [(f"preprocess.{n}", "preprocess", block) for n, block in enumerate(recipe.preprocess)]
    for n, stream in enumerate(recipe.streams):
        blocks += [
            (f"streams.{n}.features.{i}", "features", block) for i, block in enumerate(stream.features)
        ]
        parts = (("segment", stream.segment), ("aggregate", stream.aggregate))
        blocks += [(f"streams.{n}.{family}", family, block) for family, block in parts if block is not None]
    blocks += [(f"select.{n}", "select", block) for n, block in enumerate(recipe.select)]
    if recipe.head is not None:
        blocks.append(("head", "head", recipe.head))
    if any(learns(stream) for stream in recipe.streams):
        trains = (("schedule", train.schedule), ("loss", train.loss), ("sampler", train.sampler))
        blocks += [(f"train.{family}", family, block) for family, block in trains]
        blocks += [(f"train.augment.{n}", "augment", block) for n, block in enumerate(train.augment)]
    for key, family, block in blocks:
        made = _made(key, family, block, recipe)
        if hasattr(made, "check_classes"):
            try:
                made.check_classes(recipe.task.classes)
            except ValueError as error:
                yield Misfit(key, str(error))


def _made(key: str, family: str, block: Block, recipe: Recipe) -> Any:
    try:
        return make(family, block.name, block.parameters, classes=recipe.task.numbers, seed=0)
    except BlockError as error:
        raise Misfit(key, str(error)) from None


def _refuses(family: str, block: Block, more: dict[str, Any]) -> bool:
    try:
        make(family, block.name, {**block.parameters, **more})
    except BlockError:
        return True
    return False


def _others(family: str, truth: str) -> list[str]:
    from inference.blocks.registry import names

    return [name for name in names(family) if traits(family, name).takes in (None, truth)]

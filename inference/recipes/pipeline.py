"""One fold of a recipe: the same path for learning and for predicting, so that the two cannot differ.

Every step asks `_fitted` for what it needs. While learning, a step that is not there yet is fitted on the rows
that arrive at it and stamped (`provenance`); afterwards it is only used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from inference.blocks.features.row import row_of
from inference.blocks.learned import NotFitted
from inference.blocks.parameters import BlockError
from inference.datasets.sample import DatasetError, Sample
from inference.evaluation.calibration import fit_temperature
from inference.recipes import keeping, networks
from inference.recipes.examples import Examples, asked, clear, examples_of
from inference.recipes.part import Block
from inference.recipes.pictures import Picture, instances, region_of
from inference.recipes.protocol import inner
from inference.recipes.provenance import Fitted, Rows, Stamp, fit, held_out
from inference.recipes.schema import Recipe, Stream
from inference.recipes.searching import searched
from inference.recipes.steps import (
    Values,
    anonymous_sample,
    classified,
    group_names,
    lesions_to_find,
    logs,
    on_picture,
    outlined,
    probabilities,
    recall_of,
    resampled,
    taught_outlines,
    transformed,
    transformed_bags,
    unchanged,
)  # fmt: skip
from inference.recipes.validation import changed
from inference.runtime.calibration import softmax
from inference.training import loop

#: What blocks and the libraries behind them raise where they cannot work with what they are given.
_FAILURES = (
    ValueError, TypeError, RuntimeError, LookupError, ArithmeticError, cv2.error, BlockError, NotFitted,
)  # fmt: skip


@dataclass
class Place:
    """Where a fold keeps checkpoints, what its result depends on, and who hears of epochs."""

    folder: Path
    identity: str = ""
    report: Callable[[str, int, int, dict[str, float]], None] = lambda *_: None


@dataclass
class Pipeline:
    """`learned`: every fitted step by its dotted name. `recipe` is the one that a search ended with. `tissue`: pictures
    of the recipe's second set, which only learning needs."""

    recipe: Recipe
    seed: int
    learned: dict[str, Fitted[Any]] = field(default_factory=dict)
    tissue: Rows | None = field(default=None, repr=False)
    _learning: bool = field(default=False, repr=False)
    _validation: Rows | None = field(default=None, repr=False)
    _place: Place = field(default_factory=lambda: Place(Path()), repr=False)
    _at: str = field(default="", repr=False)

    # --- learning ----------------------------------------------------------------------------------------

    def fit(self, train: Rows, place: Place) -> None:
        """Learn from `train` (rows of `Picture`), all of it inside: search, early stopping, calibration."""
        if self.recipe.search:
            self._search(train, place)
        learn, validation = train, None
        if self.recipe.train.patience is not None or self.recipe.calibrate:
            inside, outside = inner(train.samples, self.recipe.train.inner_folds, self.seed)
            learn, validation = train.take(inside), train.take(outside)
        self._place, self._validation, self._learning = place, validation, True
        try:
            self._run(learn)
        finally:
            self._learning, self._validation = False, None
        if self.recipe.calibrate and validation is not None:
            self._calibrate(validation)

    def _search(self, train: Rows, place: Place) -> None:
        """From here on the recipe is the one with the settings that were found."""
        assert self.recipe.search is not None
        plain = self.recipe.model_copy(update={"search": None})

        def judged(settings: dict[str, Any], inside: Rows, outside: Rows, name: str, number: int) -> float:
            one = Pipeline(changed(plain, settings), self.seed, tissue=self.tissue)
            one.fit(inside, Place(place.folder / f"search-{name}-{number}", place.identity + name))
            return recall_of(held_out(one.predict(outside)), self.recipe)

        found = searched(self.recipe.search, train, self.seed, judged)
        self.learned["search"] = found
        self.recipe = changed(plain, found.thing)

    def _calibrate(self, validation: Rows) -> None:
        predicted = self.predict(validation)
        labels = self._labels(predicted.samples)

        def learn(rows: Rows) -> float:
            return max(1.0, fit_temperature(logs(rows.values), labels))

        self.learned["calibration"] = fit("calibration", learn, predicted)

    # --- predicting --------------------------------------------------------------------------------------

    def predict(self, rows: Rows) -> Rows:
        """Rows of probabilities (K, float64) in the order of the task's classes, of outlines (bool H×W), or of boxes
        (`networks.boxes`).

        They carry the stamps of all steps: `held_out` says whether they may be judged. A search's stamp is
        added too, because it shaped every step."""
        predicted = self._run(rows)
        for name in ("search", "calibration"):
            if name in self.learned:
                predicted = self.learned[name].apply(
                    predicted, self._warmer if name == "calibration" else unchanged
                )
        return predicted

    def predict_alone(self, picture: Picture) -> Any:
        """What `predict` says of one picture of nobody known, as of a file from outside."""
        return self.predict(Rows((anonymous_sample(),), (picture,))).values[0]

    @staticmethod
    def _warmer(temperature: float, values: Values) -> list[NDArray[np.float64]]:
        return list(softmax(logs(values) / temperature))

    # --- the one path ------------------------------------------------------------------------------------

    def _run(self, rows: Rows) -> Rows:
        """
        Raises
        ------
        DatasetError
            A block cannot work with what arrives at it; the sentence names the block.
        """
        try:
            return self._through(rows)
        except _FAILURES as error:
            words = " ".join(str(error).split()) or type(error).__name__
            raise DatasetError(f"{self._at} cannot work on {len(rows)} images: {words}") from error

    def _through(self, rows: Rows) -> Rows:
        rows = self.preprocessed(rows)
        if self.recipe.task.kind != "classify":
            use = networks.outlines if self.recipe.task.kind == "segment" else networks.boxes
            return self._network("streams.0.network", self.recipe.streams[0], rows, use, last=True)
        streams = [self._stream(f"streams.{n}", stream, rows) for n, stream in enumerate(self.recipe.streams)]
        if self.recipe.head is None:
            return streams[0]
        table = streams[0].joined(*streams[1:]).map(lambda parts: np.concatenate(parts))
        for number, block in enumerate(self.recipe.select):
            table = self._table_step(f"select.{number}", "select", block, table, transformed)
        return self._table_step("head", "head", self.recipe.head, table, self._classified)

    def preprocessed(self, rows: Rows) -> Rows:
        """The pictures after the recipe's first steps."""
        for number, block in enumerate(self.recipe.preprocess):
            step = f"preprocess.{number}"

            def learn(given: Rows, block: Block = block) -> Any:
                made = self._make("preprocess", block)
                if hasattr(made, "fit"):
                    made.fit(given.map(lambda p: p.image).values, groups=group_names(given))
                return made

            if hasattr(self._make("preprocess", block), "fit"):
                rows = self._fitted(step, learn, rows).each(rows, lambda made, p: on_picture(made)(p))
            else:
                rows = rows.map(on_picture(self._make("preprocess", block)))
        return rows

    def _stream(self, step: str, stream: Stream, rows: Rows) -> Rows:
        """A vector an image; or, where the recipe has no head, its probabilities."""
        if stream.columns:
            return rows
        bags = self.cut(step, stream, rows)
        block = None if stream.aggregate is None else self._make("aggregate", stream.aggregate)
        pools_scores = block is not None and block.kind == "scores"
        last = self.recipe.head is None and (block is None or pools_scores)
        if stream.network is None:
            described = self._described(step, stream, bags)
        else:
            use = probabilities if last else networks.vectors
            described = self._network(f"{step}.network", stream, bags, use, last=last)
        if last and self._learning:
            return described
        if block is None:
            return described.map(lambda bag: bag.mean(axis=0))
        if pools_scores:
            return described.map(block)
        given = described

        def learn(given: Rows) -> Any:
            made = self._make("aggregate", stream.aggregate)
            if self.recipe.tissue is not None and hasattr(made, "fit_reference"):
                self._taught_tissue(made, step, stream)
            return made.fit(list(given.values), self._names(given.samples), groups=group_names(given))

        fitted = self._fitted(f"{step}.aggregate", learn, given)
        return fitted.apply(given, self._classified if block.kind == "bags" else transformed_bags)

    def _taught_tissue(self, made: Any, step: str, stream: Stream) -> None:
        """The aggregate learns what patches show from the second set, described as the patches are."""
        assert self.tissue is not None and self.recipe.tissue is not None
        whole = stream.model_copy(update={"patches": None})
        bags = self.cut(step, whole, self.preprocessed(self.tissue))
        if stream.network is None:
            rows = self._described(step, whole, bags)
        else:
            rows = self._network(f"{step}.network", whole, bags, networks.vectors, last=False)
        table, irrelevant = np.concatenate(list(rows.values)), self.recipe.tissue.irrelevant
        made.fit_reference(table, self._names(rows.samples), irrelevant, group_names(rows))

    def cut(self, step: str, stream: Stream, rows: Rows) -> Rows:
        """Bags of pictures; a network's are cut from the region that a segmentation finds."""
        if stream.segment is not None and stream.network is not None:
            found = self._outlined(step, stream.segment, rows.map(lambda picture: (picture,)))
            rows = found.map(lambda bag: region_of(bag[0], stream.region_margin))
        return rows.map(lambda picture: instances(picture, stream.patches, stream.resize))

    def _outlined(self, step: str, block: Block, bags: Rows) -> Rows:
        """The outlines that a segmentation finds in place of the truth's."""
        made = self._make("segment", block)
        if hasattr(made, "fit"):
            fitted = self._fitted(f"{step}.segment", lambda given: taught_outlines(made, given), bags)
            return fitted.each(bags, outlined)
        return bags.map(lambda bag: outlined(made, bag))

    def _described(self, step: str, stream: Stream, bags: Rows) -> Rows:
        """Hand-made features of every instance, inside the outline that a segmentation finds."""
        if stream.segment is not None:
            bags = self._outlined(step, stream.segment, bags)
        else:
            bags = bags.map(lambda bag: tuple(Picture(picture.image) for picture in bag))
        features = [self._make("features", block) for block in stream.features]

        def describe(bag: tuple[Picture, ...]) -> NDArray[np.float64]:
            return np.stack([row_of(features, p.image, p.mask) for p in bag])

        return bags.map(describe).held()

    def _network(
        self, step: str, stream: Stream, rows: Rows, use: Callable[[Any, torch.Tensor], NDArray[Any]],
        *, last: bool,
    ) -> Rows:  # fmt: skip
        """`use(network, images)` over all instances, handed back bag by bag. While learning, what the last step
        says of its own training part is of no use and not computed."""
        assert stream.network is not None
        block = stream.network
        stops_early = self._validation is not None and self.recipe.train.patience is not None
        looked_at = [self._validation] if self._validation is not None and stops_early else []

        def learn(given: Rows) -> Any:
            torch.manual_seed(self.seed)
            network = self._make("network", block)
            if not stream.trained:
                return network.eval()
            train, examples = self.recipe.train, self._examples(given, step)
            watch = None
            if looked_at:
                looking = self._examples(self._validation_rows(step, stream), f"{step}.watch")
                watch = networks.watch(looking, examples, train)
            at = loop.Place(
                self._place.folder / f"{step}.pt", self._place.identity + step,
                lambda epoch, of, values: self._place.report(step, epoch, of, values),
            )  # fmt: skip
            learned = loop.fit_stages(network, networks.lessons(examples, train, self.seed), at, watch)
            clear(self._place.folder, step)
            return learned

        if not stream.trained:
            # weights that nobody here was learned from leave no stamp
            if step not in self.learned:
                self.learned[step] = Fitted(learn(rows), Stamp(step, frozenset()))
            fitted = self.learned[step]
        else:
            fitted = self._fitted(step, learn, rows, *looked_at)

        if last and self._learning:
            return rows

        def through(network: Any, values: Values) -> list[Any]:
            parts = asked(lambda images: use(network, images), values)
            return [part[0] for part in parts] if use in (networks.outlines, networks.boxes) else parts

        return fitted.apply(rows, through)

    def _validation_rows(self, step: str, stream: Stream) -> Rows:
        """The watching part as the network gets its input: earlier steps are used, none is fitted."""
        assert self._validation is not None
        self._learning = False
        try:
            rows = self.preprocessed(self._validation)
            if self.recipe.task.kind != "classify":
                return rows
            return self.cut(step.removesuffix(".network"), stream, rows)
        finally:
            self._learning = True

    def _examples(self, rows: Rows, step: str) -> Examples:
        task = self.recipe.task
        labels = [0] * len(rows) if task.kind == "segment" else self._labels(rows.samples).tolist()
        if task.kind == "detect":
            rows = lesions_to_find(rows, task.positive)
        shards = self._place.folder / f"{step}.shards"
        return examples_of(rows, labels, len(task.classes), task.kind != "classify", shards)

    def _table_step(
        self, step: str, family: str, block: Block, table: Rows,
        use: Callable[[Any, Values], Sequence[Any]],
    ) -> Rows:  # fmt: skip
        def learn(given: Rows) -> Any:
            made = self._make(family, block)
            matrix, names = np.stack(given.values), self._names(given.samples)
            return made.fit(matrix, names, groups=group_names(given))

        if family == "head" and self._learning and self.recipe.train.balance == "oversample":
            fitted = self._fitted(step, learn, resampled(table, self.seed))
        else:
            fitted = self._fitted(step, learn, table)
        return fitted.apply(table, use)

    # --- small parts -------------------------------------------------------------------------------------

    def _fitted(self, step: str, learn: Callable[[Rows], Any], rows: Rows, *looked_at: Rows) -> Fitted[Any]:
        self._at = step
        if self._learning and step not in self.learned:
            try:
                made = fit(step, learn, rows, *looked_at)
            except ValueError as error:  # too few groups or a class missing, as blocks say it
                raise DatasetError(f"{step} cannot learn from {len(rows)} images: {error}") from error
            own = getattr(made.thing, "fitted_on", None)  # what the block itself says that it has seen
            self.learned[step] = Fitted(made.thing, Stamp(step, made.stamp.seen | (own or frozenset())))
        return self.learned[step]

    def _make(self, family: str, block: Block | None) -> Any:
        assert block is not None
        self._at = f"{family} {block.name}"
        return keeping.made(self.recipe, self.seed, family, block)

    def _names(self, samples: Sequence[Sample]) -> NDArray[np.str_]:
        return np.array([sample.label for sample in samples])

    def _labels(self, samples: Sequence[Sample]) -> NDArray[np.int64]:
        return np.array([self.recipe.task.classes.index(sample.label) for sample in samples], np.int64)

    def _classified(self, head: Any, values: Values) -> list[NDArray[np.float64]]:
        return classified(head, values, self.recipe.task.classes)

    # --- keeping -----------------------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """The recipe and all that was learned, with its stamps: see `keeping`."""
        keeping.keep(path, self.recipe, self.seed, self.learned)

    @classmethod
    def load(cls, path: Path) -> Pipeline:
        """What `save` wrote, by whomever: the file holds data alone.

        Raises
        ------
        FoldError
            The file holds no fold, or what no fold holds.
        """
        return cls(*keeping.kept(path))

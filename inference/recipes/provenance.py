"""Who shaped a value: every fitted thing leaves a stamp of the groups that it saw, and a prediction whose own
group is among them is refused.

This is the guard rail that needs no discipline: scalers, selectors, stain references, resamplers, searches,
networks and calibrations are fitted with `fit` and used with `Fitted.apply`, the stamps travel with the
values, and `held_out` stands before every prediction of record.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from inference.datasets.sample import LeakError, Sample

Thing = TypeVar("Thing")


def keys(sample: Sample) -> tuple[str, ...]:
    """The names under which a sample may not stand on both sides: its group and its patient."""
    names = [f"{sample.dataset} group {sample.group_id}"]
    if sample.patient_id is not None:
        names.append(f"{sample.dataset} patient {sample.patient_id}")
    return tuple(names)


@dataclass(frozen=True)
class Stamp:
    """That a step of this name has seen these keys."""

    step: str
    seen: frozenset[str]


@dataclass(frozen=True, eq=False)
class Streamed(Sequence[Any]):
    """Values that are made whenever they are looked at, `make(name)`, so that none need be held."""

    names: tuple[Any, ...]
    make: Callable[[Any], Any]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: Any) -> Any:
        return self.make(self.names[index])

    def take(self, indices: Sequence[int]) -> Streamed:
        """Some of them."""
        return Streamed(tuple(self.names[i] for i in indices), self.make)

    def map(self, function: Callable[[Any], Any]) -> Streamed:
        """`function` of each, whenever it is looked at."""
        return Streamed(self.names, lambda name: function(self.make(name)))


@dataclass(frozen=True)
class Rows:
    """Values of some samples, one a sample, with the stamps of all that shaped them. `values` are a tuple, or streamed:
    pictures of which there are too many for the memory."""

    samples: tuple[Sample, ...]
    values: Sequence[Any]
    stamps: tuple[Stamp, ...] = field(default=())

    def __post_init__(self) -> None:
        if len(self.samples) != len(self.values):
            raise ValueError(f"{len(self.values)} values for {len(self.samples)} samples")

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def keys(self) -> frozenset[str]:
        """The rows' own keys and those of everything that shaped them."""
        own = {key for sample in self.samples for key in keys(sample)}
        return frozenset(own.union(*(stamp.seen for stamp in self.stamps)))

    def take(self, indices: Sequence[int]) -> Rows:
        """Some of the rows; an index may come twice (resampling)."""
        values: Sequence[Any]
        if isinstance(self.values, Streamed):
            values = self.values.take(indices)
        else:
            values = tuple(self.values[i] for i in indices)
        return Rows(tuple(self.samples[i] for i in indices), values, self.stamps)

    def map(self, function: Callable[[Any], Any]) -> Rows:
        """`function` of each value: something fixed, that was fitted on nothing. Streamed values stay streamed."""
        if isinstance(self.values, Streamed):
            return replace(self, values=self.values.map(function))
        return replace(self, values=tuple(function(value) for value in self.values))

    def held(self) -> Rows:
        """The same with all values in memory."""
        return replace(self, values=tuple(self.values))

    def joined(self, *others: Rows) -> Rows:
        """Rows of the same samples side by side: each value becomes the tuple of the parts' values."""
        for other in others:
            if other.samples != self.samples:
                raise ValueError("rows of different samples cannot be joined")
        parts = (self, *others)
        return Rows(
            self.samples,
            tuple(zip(*(part.values for part in parts), strict=True)),
            tuple(dict.fromkeys(stamp for part in parts for stamp in part.stamps)),
        )


@dataclass(frozen=True)
class Fitted(Generic[Thing]):
    """Something learned, and whom it was learned from (directly or through what shaped its input)."""

    thing: Thing
    stamp: Stamp

    def apply(self, rows: Rows, function: Callable[[Thing, Sequence[Any]], Sequence[Any]]) -> Rows:
        """`function(thing, values)` gives the new values; they carry this step's stamp from now on."""
        return self._stamped(replace(rows, values=tuple(function(self.thing, rows.values))))

    def each(self, rows: Rows, function: Callable[[Thing, Any], Any]) -> Rows:
        """As `apply`, with `function(thing, value)`: streamed values stay streamed."""
        return self._stamped(rows.map(lambda value: function(self.thing, value)))

    def _stamped(self, rows: Rows) -> Rows:
        return replace(rows, stamps=tuple(dict.fromkeys((*rows.stamps, self.stamp))))


def fit(step: str, learn: Callable[[Rows], Thing], *rows: Rows) -> Fitted[Thing]:
    """`learn(rows[0])`; further rows are those that it looks at besides (an early-stopping part).

    The stamp holds the keys of all of them, and of everything that shaped them."""
    seen = frozenset().union(*(part.keys for part in rows))
    return Fitted(learn(rows[0]), Stamp(step, seen))


def held_out(predictions: Rows) -> Rows:
    """The same rows, where no step that shaped them has seen one of them.

    Raises
    ------
    LeakError
        Naming the step and the group or patient.
    """
    for stamp in predictions.stamps:
        for sample in predictions.samples:
            for key in keys(sample):
                if key in stamp.seen:
                    raise LeakError(
                        f"{stamp.step} was fitted on {key}, which its prediction is to be held out"
                    )
    return predictions

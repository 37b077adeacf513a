"""A figure of the card: one line of a protocol, measured on records, with its interval over groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from inference.evaluation import bootstrap, metrics
from inference.evaluation.bootstrap import Statistic
from inference.evaluation.calibration import Perfect
from inference.evaluation.records import Record

#: Below this many images a share's interval is Wilson's: too few to be drawn from.
FEW = 30


class NotComputable(ValueError):
    """A figure that these records cannot give: a class is missing, or the model does not answer it."""


@dataclass(frozen=True)
class Figure:
    """One number of the card: value, 95 % interval, what it was measured on, and what it is read beside."""

    name: str
    value: float
    low: float
    high: float
    images: int
    groups: int
    meaning: str
    dataset: str = ""
    split: str = ""
    interval: Literal["bootstrap", "wilson"] = "bootstrap"
    perfect: Perfect | None = None
    """Of a calibration error: what perfect calibration would read."""

    def as_json(self) -> dict[str, object]:
        return {name: value for name, value in asdict(self).items() if name != "perfect" or value is not None}


@dataclass(frozen=True)
class Measure:
    """What a figure is: the records that count, one by one (`keep`) and then together (`narrow`: of each patient her
    most suspicious image, say), and either a statistic of them or, for a share, which of them are hits; `perfect` of a
    calibration error what it is to be read beside."""

    name: str
    meaning: str
    keep: Callable[[Record], bool]
    statistic: Callable[[Sequence[Record]], Statistic] | None = None
    hits: Callable[[Record], bool] | None = None
    unit: Callable[[Record], str] = lambda record: record.group
    perfect: Callable[[Sequence[Record]], Perfect] | None = None
    narrow: Callable[[Sequence[Record]], Sequence[Record]] | None = None

    def counted(self, records: Sequence[Record]) -> Sequence[Record]:
        """Those of `records` that count."""
        kept = [record for record in records if self.keep(record)]
        return kept if self.narrow is None else self.narrow(kept)

    def of(self, kept: Sequence[Record]) -> Statistic:
        """The statistic of records that count."""
        if self.statistic is not None:
            return self.statistic(kept)
        return metrics.share(self._hits(kept))

    def value(self, records: Sequence[Record]) -> float:
        """Without an interval; NaN where it cannot be computed."""
        try:
            kept = self.counted(records)
            return bootstrap.of_all(self.of(kept), len(kept)) if kept else float("nan")
        except NotComputable:
            return float("nan")

    def _hits(self, kept: Sequence[Record]) -> NDArray[np.bool_]:
        assert self.hits is not None
        return np.array([self.hits(record) for record in kept], bool)

    def small_share(self, kept: Sequence[Record]) -> tuple[float, float] | None:
        """Wilson's interval, where the line is a share of few images or of all or none of them."""
        if self.hits is None:
            return None
        number = int(self._hits(kept).sum())
        if len(kept) >= FEW and 0 < number < len(kept):
            return None
        return metrics.wilson(number, len(kept))


def figure(line: Measure, records: Sequence[Record], seed: int = 0) -> Figure:
    """`line` over `records` with a 95 % percentile bootstrap over groups (or Wilson's interval, see `Line`).

    Raises
    ------
    NotComputable
        A class is missing, or nothing counts.
    """
    kept = line.counted(records)
    if not kept:
        raise NotComputable(f"{line.name} cannot be computed: no image counts")
    statistic = line.of(kept)
    value = bootstrap.of_all(statistic, len(kept))
    if np.isnan(value):
        raise NotComputable(f"{line.name} cannot be computed: a class is missing")
    units = [f"{record.dataset} {line.unit(record)}" for record in kept]
    bounds = line.small_share(kept)
    if bounds is None:
        counts = bootstrap.draw_counts(units, [record.label for record in kept], seed=seed)
        low, high = bootstrap.interval(bootstrap.evaluate(statistic, counts))
    else:
        low, high = bounds
    return Figure(
        name=line.name,
        value=round(value, 4),
        low=round(low, 4),
        high=round(high, 4),
        images=len(kept),
        groups=len(set(units)),
        meaning=line.meaning,
        dataset=kept[0].dataset,
        split=kept[0].split,
        interval="bootstrap" if bounds is None else "wilson",
        perfect=None if line.perfect is None else line.perfect(kept),
    )

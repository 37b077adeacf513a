"""What a data set is asked: yes-or-no questions, and which figures their answers give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from inference.evaluation.figures import Measure, NotComputable
from inference.evaluation.records import Record


@dataclass(frozen=True)
class BinaryQuestion:
    """A yes-or-no question: which labels are yes and no (`no` empty: all others), and which class's
    probability answers it, alone or against another class's. `by` reads a fact in place of the label."""

    name: str
    meaning: str
    yes: tuple[str, ...]
    no: tuple[str, ...]
    chance: tuple[str, ...]
    against: str | None = None
    by: str | None = None

    def counts(self, record: Record) -> bool:
        label = self._label(record)
        return bool(label) and (not self.no or label in self.yes or label in self.no)

    def truth(self, record: Record) -> bool:
        return self._label(record) in self.yes

    def score(self, record: Record) -> float:
        """Raises `NotComputable` where the model has no such class."""
        own = next((record.probabilities[n] for n in self.chance if n in record.probabilities), None)
        if own is None:
            raise NotComputable(f"the model has no class {self.chance[0]}")
        if self.against is None:
            return own
        return own / max(own + record.probabilities[self.against], 1e-9)

    def _label(self, record: Record) -> str:
        return record.label if self.by is None else record.facts.get(self.by, "")


@dataclass(frozen=True)
class DatasetProtocol:
    """What a data set is asked. The first question leads; `pointed` names the one that the operating points
    belong to, `calibrated` those whose answer is a probability, `by_patient` those that are asked of patients too,
    `by_breast` those that are asked of breasts, where the set says the side; `reader` the one that a reader's BI-RADS
    of the same images answers."""

    title: str
    asked: tuple[BinaryQuestion, ...]
    pointed: str | None = None
    calibrated: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    outlined: bool = False
    marked: str | None = None
    by_patient: tuple[str, ...] = ()
    by_breast: tuple[str, ...] = ()
    reader: str | None = None
    more: tuple[Measure, ...] = ()
    headline: tuple[str, ...] = field(default=())


def most_probable(record: Record, classes: Sequence[str]) -> str:
    """The class that the model gives the image."""
    return max(classes, key=lambda name: record.probabilities.get(name, -1.0))

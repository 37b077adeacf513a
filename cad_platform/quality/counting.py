"""Counts of analyses that can be added up: those of an hour are added to a day's, a month's or a site's."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cad_platform.quality.models import AnalysisFact

#: Bars of the scores' histogram, each a twentieth.
SCORE_BINS = 20
#: Upper edges of the latencies' histogram, seconds; the last bar is everything above.
SECONDS = (0.01, 0.03, 0.1, 0.3, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
#: Subgroups that figures are told by: what they are called in a fact.
SUBGROUPS = ("age_band", "vendor", "device", "density", "sides")
PHASES = ("wait", "decode", "preprocess", "model", "postprocess", "total")


@dataclass
class Counts:
    """What ended and what was signed. Everything in it is a number of cases or marks."""

    states: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    flags: Counter[str] = field(default_factory=Counter)
    verdicts: int = 0
    scores: list[int] = field(default_factory=lambda: [0] * SCORE_BINS)
    seconds: dict[str, list[int]] = field(default_factory=dict)
    subgroups: dict[str, Counter[str]] = field(default_factory=dict)
    signed: int = 0
    decisions: Counter[str] = field(default_factory=Counter)
    agreement: Counter[str] = field(default_factory=Counter)

    def add_ended(self, fact: AnalysisFact) -> None:
        """An analysis that ended in the time that is counted."""
        self.states[fact.state] += 1
        if fact.state == "failed":
            self.failures[fact.reason] += 1
        elif fact.state == "not_applicable":
            self.refusals[fact.reason] += 1
        self.flags.update(fact.flags)
        if fact.score is not None:
            self.verdicts += 1
            self.scores[score_bin(fact.score)] += 1
        for phase, seconds in fact.seconds.items():
            self.seconds.setdefault(phase, [0] * (len(SECONDS) + 1))[bisect_left(SECONDS, seconds)] += 1
        for name in SUBGROUPS:
            self.subgroups.setdefault(name, Counter())[getattr(fact, name) or ""] += 1

    def add_signed(self, fact: AnalysisFact) -> None:
        """One whose report was signed in it."""
        self.signed += 1
        for verdict in ("accepted", "edited", "rejected", "undecided"):
            self.decisions[verdict] += getattr(fact, verdict)
        if fact.is_positive is not None and fact.said_positive is not None:
            self.agreement[f"{_word(fact.is_positive)}_{_word(fact.said_positive)}"] += 1

    def add(self, other: Counts) -> None:
        """All that another has counted."""
        for name in ("states", "failures", "refusals", "flags", "decisions", "agreement"):
            getattr(self, name).update(getattr(other, name))
        self.verdicts += other.verdicts
        self.signed += other.signed
        self.scores = [own + more for own, more in zip(self.scores, other.scores, strict=True)]
        for phase, bars in other.seconds.items():
            own = self.seconds.setdefault(phase, [0] * (len(SECONDS) + 1))
            self.seconds[phase] = [a + b for a, b in zip(own, bars, strict=True)]
        for name, counted in other.subgroups.items():
            self.subgroups.setdefault(name, Counter()).update(counted)

    @property
    def ended(self) -> int:
        return sum(self.states.values())

    @property
    def contradicted(self) -> int:
        """Cases whose report says otherwise than the model's balanced operating point."""
        return self.agreement["positive_negative"] + self.agreement["negative_positive"]

    @property
    def compared(self) -> int:
        return sum(self.agreement.values())

    def quantile(self, phase: str, share: float) -> float | None:
        """Upper edge of the bar that the quantile lies in, seconds; infinite in the last; None without any."""
        bars = self.seconds.get(phase, [])
        total, running = sum(bars), 0
        for edge, bar in zip((*SECONDS, math.inf), bars, strict=False):
            running += bar
            if total and running >= share * total:
                return edge
        return None

    def as_json(self) -> dict[str, Any]:
        """For the row of an hour; the same counts give the same value."""
        return {
            "states": _sorted(self.states),
            "failures": _sorted(self.failures),
            "refusals": _sorted(self.refusals),
            "flags": _sorted(self.flags),
            "verdicts": self.verdicts,
            "scores": self.scores,
            "seconds": {phase: self.seconds[phase] for phase in sorted(self.seconds)},
            "subgroups": {name: _sorted(self.subgroups[name]) for name in sorted(self.subgroups)},
            "signed": self.signed,
            "decisions": _sorted(self.decisions),
            "agreement": _sorted(self.agreement),
        }

    @classmethod
    def of_json(cls, stored: Mapping[str, Any]) -> Counts:
        """What `as_json` wrote."""
        made = cls(verdicts=stored.get("verdicts", 0), signed=stored.get("signed", 0))
        for name in ("states", "failures", "refusals", "flags", "decisions", "agreement"):
            getattr(made, name).update(stored.get(name, {}))
        made.scores = list(stored.get("scores") or made.scores)
        made.seconds = {phase: list(bars) for phase, bars in stored.get("seconds", {}).items()}
        made.subgroups = {name: Counter(counted) for name, counted in stored.get("subgroups", {}).items()}
        return made

    @classmethod
    def sum_of(cls, stored: Iterable[Mapping[str, Any]]) -> Counts:
        """Of several hours together."""
        made = cls()
        for each in stored:
            made.add(cls.of_json(each))
        return made


def score_bin(score: float) -> int:
    """Which bar of the histogram a probability belongs to."""
    return min(SCORE_BINS - 1, max(0, int(score * SCORE_BINS)))


def _word(positive: bool) -> str:
    return "positive" if positive else "negative"


def _sorted(counted: Mapping[str, int]) -> dict[str, int]:
    return {key: counted[key] for key in sorted(counted) if counted[key]}

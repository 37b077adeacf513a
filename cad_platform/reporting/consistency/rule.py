"""What a rule is: an id, a sentence, a severity, the kinds of report that it is for, and a pure function of a case."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from django.utils.functional import Promise

from cad_platform.reporting.consistency.case import Case, Place

Severity = Literal["stop", "warning"]
Words = str | Promise
Kind = Literal["imaging", "histopathology"]

IMAGING: frozenset[Kind] = frozenset({"imaging"})
HISTOPATHOLOGY: frozenset[Kind] = frozenset({"histopathology"})
EVERY: frozenset[Kind] = IMAGING | HISTOPATHOLOGY


@dataclass(frozen=True)
class Found:
    """That a rule is broken: the places that contradict each other, and what fills in its sentence. A value is a code
    or a quotation; `wording` says it in words."""

    places: tuple[Place, ...]
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Rule:
    """One way in which a report may contradict itself or its case.

    Attributes
    ----------
    sentence
        With `%(name)s` for each value of what was found.
    severity
        A stop keeps the report from being signed; of a warning the signer is told.
    may_be_overridden
        Whether a stop gives way to a reason, which is printed. Where the form itself has a way out it does not.
    in_addenda
        Whether it holds in an addendum to a report of its kinds too.
    """

    id: str
    sentence: Words
    severity: Severity
    kinds: frozenset[Kind]
    look: Callable[[Case], Iterator[Found]]
    may_be_overridden: bool = True
    in_addenda: bool = True

    def applies_to(self, case: Case) -> bool:
        return case.kind in self.kinds and (self.in_addenda or not case.is_addendum)


@dataclass(frozen=True)
class Contradiction:
    """A rule that is broken in a case. `key` names this one, with these places and values: a reason given for it holds
    for no other."""

    rule: Rule
    found: Found

    @property
    def key(self) -> str:
        said = [
            self.rule.id,
            sorted([place.kind, place.name] for place in self.found.places),
            dict(self.found.values),
        ]
        return hashlib.sha256(json.dumps(said, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:16]

    @property
    def stops(self) -> bool:
        return self.rule.severity == "stop"


_RULES: dict[str, Rule] = {}


def rule(
    id: str,
    sentence: Words,
    *,
    severity: Severity = "stop",
    kinds: frozenset[Kind] = EVERY,
    may_be_overridden: bool = True,
    in_addenda: bool = True,
) -> Callable[[Callable[[Case], Iterator[Found]]], Rule]:
    """Declare a rule: a decorator of the function that looks for it.

    Raises
    ------
    ValueError
        Another rule has the id.
    """

    def declare(look: Callable[[Case], Iterator[Found]]) -> Rule:
        if id in _RULES:
            raise ValueError(f"Two rules are called {id!r}.")
        _RULES[id] = Rule(id, sentence, severity, kinds, look, may_be_overridden, in_addenda)
        return _RULES[id]

    return declare


def rules() -> tuple[Rule, ...]:
    """Every rule, in the order in which they are told."""
    return tuple(_RULES.values())


def rule_of(id: str) -> Rule | None:
    """None for a rule of another release."""
    return _RULES.get(id)

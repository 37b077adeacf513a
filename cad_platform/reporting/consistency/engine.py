"""Runs the rules on a case."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from cad_platform.reporting.consistency import (  # noqa: F401 (each declares its rules)
    case_rules,
    histopathology_rules,
    imaging_rules,
    imaging_text_rules,
)
from cad_platform.reporting.consistency.case import Case
from cad_platform.reporting.consistency.rule import Contradiction, rules


def contradictions(case: Case) -> list[Contradiction]:
    """Every rule that the case breaks, what stops a signature first. Under what somebody signed before with a reason,
    an addendum may stand without saying it again."""
    found: dict[str, Contradiction] = {}
    for rule in rules():
        if rule.applies_to(case):
            for each in rule.look(case):
                broken = Contradiction(rule, each)
                if broken.key not in case.settled:
                    found.setdefault(broken.key, broken)
    return sorted(found.values(), key=lambda each: not each.stops)


def unanswered(found: Collection[Contradiction], reasons: Mapping[str, str]) -> list[Contradiction]:
    """Those of `found` that keep a report from being signed: stops for which there is no reason by their key, or that
    take none."""
    return [
        each
        for each in found
        if each.stops and not (each.rule.may_be_overridden and reasons.get(each.key, "").strip())
    ]

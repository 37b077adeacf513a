"""Contradictions in words, in the language in use: the sentence of one, also of one that was signed under, and what its
places are called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.utils.translation import gettext as _

from cad_platform.core.punctuation import clauses, listed
from cad_platform.reading.wording import class_words, place_words
from cad_platform.registry.manifest_words import manifest_words
from cad_platform.reporting import vocabulary as words
from cad_platform.reporting.consistency.case import Case, Place
from cad_platform.reporting.consistency.rule import Contradiction, rule_of
from cad_platform.reporting.content import field_label


def sentence(contradiction: Contradiction, kind: str) -> str:
    """What contradicts what. `kind` is that of the report's content."""
    return _filled(str(contradiction.rule.sentence), contradiction.found.values, kind)


def stored_sentence(override: Mapping[str, Any], kind: str) -> str:
    """The same of a contradiction that was signed under; where its rule is not known any more, as it was recorded."""
    rule = rule_of(str(override.get("rule", "")))
    if rule is not None:
        try:
            return _filled(str(rule.sentence), override.get("values", {}), kind)
        except KeyError:  # a later release says it with other values
            pass
    return str(override.get("sentence", ""))


def place_label(place: Place, case: Case, kind: str) -> str:
    """What a place is called, for the button that leads to it."""
    if place.kind == "field":
        return _field(place.name, kind, case.kind)
    if place.kind in ("line", "finding"):
        number = next((mark.number for mark in case.marks if mark.id == place.name), None)
        return _("Finding %(number)s") % {"number": number} if number else _("Findings, own words")
    if place.kind == "image":
        name = next((each.name for each in (*case.pictures, *case.unseen) if each.id == place.name), "")
        return place_words(name) if name else _("Image")
    if place.kind == "result":
        title = next((result.title for result in case.results if result.id == place.name), "")
        return manifest_words(title)
    return _("Study")


def _field(name: str, *kinds: str) -> str:
    """As the first form that has the field calls it: an addendum has not all of its report."""
    labels = (field_label(kind, name) for kind in kinds)
    return next((label for label in labels if label != name), name)


def breast(side: str) -> str:
    """In a sentence: "the right breast"."""
    return _("the right breast") if side == "R" else _("the left breast")


def _choice(choices: Any) -> Callable[[str], str]:
    return lambda value: str(choices(value).label) if value in choices.values else value


def _marks(value: str) -> str:
    return listed(_("finding %(number)s") % {"number": number} for number in value.split())


def _receptor(value: str) -> str:
    for choices in (words.HormoneReceptor, words.Her2Ihc):
        if value in choices.values:
            return str(choices(value).label)
    return value


_WORDS: Mapping[str, Callable[[str], str]] = {
    "breast": breast,
    "diagnosis": _choice(words.Diagnosis),
    "image": lambda value: listed(map(place_words, value.split(", "))),
    "label": class_words,
    "margins": _choice(words.Margins),
    "marks": _marks,
    "model": lambda value: listed(map(manifest_words, value.split(", "))),
    "receptor": _receptor,
    "recommendation": _choice(words.Recommendation),
    "recommendations": lambda value: clauses(map(_choice(words.Recommendation), value.split())),
    "status": _choice(words.HormoneReceptor),
    "type": _choice(words.InvasiveType),
}


def _filled(template: str, values: Mapping[str, str], kind: str) -> str:
    said = {
        name: _field(value, kind, "imaging", "histopathology")
        if name == "field"
        else _WORDS.get(name, str)(value)
        for name, value in values.items()
    }
    filled = template % said
    return filled[:1].upper() + filled[1:]

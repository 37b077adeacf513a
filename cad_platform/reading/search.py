"""The worklist's search: every word in the patient's name or number or in the accession number, by one index (ADR 56).

What it looks through stands in a row a study (`WorklistSearch`), folded as `patients.person_name` folds.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from cad_platform.core.parts import by_index
from cad_platform.patients.person_name import search_words
from cad_platform.reading.models import WorklistSearch

#: More words are not looked for.
_MOST_WORDS = 6
#: What more studies have is no way to find them: then the list is gone through in its order, which ends with the page.
_FEW = 1_000


def text_of(names: str, *numbers: str) -> str:
    """What a search looks through: the names, and numbers as they stand and by their words."""
    folded = [number.casefold() for number in numbers if number]
    by_words = [" ".join(search_words(number)) for number in numbers]
    return " ".join(filter(None, dict.fromkeys([names, *folded, *by_words])))


def sought(query: str) -> list[str]:
    """The words that are looked for; a comma with spaces about it is none."""
    return [word for word in query.split() if search_words(word)][:_MOST_WORDS]


def studies_with(site_id: int, words: list[str]) -> Q:
    """The rows of a table with a place a study whose study has every word."""
    of_site = WorklistSearch.objects.filter(site_id=site_id)
    candidates = of_site.filter(_has(words))
    for word in words:
        for part in search_words(word):
            candidates = candidates.filter(text__part=part)
    with by_index():
        keys = list(candidates.values_list("study_id", flat=True)[: _FEW + 1])
    if len(keys) <= _FEW:
        return Q(study__in=keys)
    here: QuerySet[Any] = of_site.filter(_has(words), study=OuterRef("study"))
    return Q(Exists(here))


def _has(words: list[str]) -> Q:
    """Every word stands somewhere as it is, or what it consists of in the name: "Müller", "O'Brien", "Müller-Lund"."""
    found = Q()
    for word in words:
        in_name = Q()
        for part in search_words(word):
            in_name &= Q(names__contains=part)
        found &= Q(text__contains=word.casefold()) | in_name
    return found

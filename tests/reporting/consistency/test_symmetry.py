"""What holds of any report: in the mirror the rules say the same of the other breast, and the order in which findings
and texts stand changes nothing."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cad_platform.reporting.consistency.case import OTHER, Case, Mark, Place, Text
from cad_platform.reporting.consistency.engine import contradictions
from cad_platform.reporting.consistency.lexicon import NO_SIDE
from tests.reporting.consistency.cases import VIEWS
from tests.reporting.consistency.test_sentences import CODES, sentences

_WORDS = {"left": "right", "lt": "rt", "l": "r", "左": "右"}
_MIRROR = _WORDS | {other: word for word, other in _WORDS.items()}
_SIDE = re.compile(
    r"\b(?:left|right)\b|\b(?:lt|rt)\b|(?<![A-Za-z/])(?-i:[LR])(?![A-Za-z/])|\b(?-i:[LR])(?=CC\b|MLO\b|UOQ\b)|[左右]",
    re.IGNORECASE,
)
_FIELDS = {"left": "right", "right": "left"}


def mirrored_words(text: str) -> str:
    """With the other breast wherever one is named, in the same case."""

    def other(match: re.Match[str]) -> str:
        word = _MIRROR[match[0].lower()]
        return word.upper() if match[0].isupper() else word.title() if match[0].istitle() else word

    return _SIDE.sub(other, text)


def mirrored(case: Case) -> Case:
    return dataclasses.replace(
        case,
        codes={
            _FIELDS.get(name, name): OTHER[value] if name == "laterality" and value in OTHER else value
            for name, value in case.codes.items()
        },
        texts=tuple(
            dataclasses.replace(text, value=mirrored_words(text.value), side=OTHER.get(text.side, ""))
            for text in case.texts
        ),
        marks=tuple(dataclasses.replace(mark, side=OTHER.get(mark.side, "")) for mark in case.marks),
        pictures=tuple(
            dataclasses.replace(picture, side=OTHER.get(picture.side, ""), name=mirrored_words(picture.name))
            for picture in case.pictures
        ),
    )


Broken = frozenset[tuple[str, str, frozenset[tuple[str, str]]]]


def broken(case: Case, *, in_mirror: bool = False) -> Broken:
    """The rules that a case breaks, each with the breast that it tells of and its places."""
    found = set()
    for each in contradictions(case):
        breast = each.found.values.get("breast", "")
        places = {
            (place.kind, _FIELDS.get(place.name, place.name) if in_mirror else place.name)
            for place in each.found.places
        }
        found.add((each.rule.id, OTHER.get(breast, breast) if in_mirror else breast, frozenset(places)))
    return frozenset(found)


SAYINGS = [words for _, words, _ in sentences() if not NO_SIDE.search(words)]
IMAGING_SAYINGS = [
    words for codes, words, _ in sentences() if codes in ("right_4c", "calm") and not NO_SIDE.search(words)
]
CATEGORIES = st.sampled_from(["", "0", "1", "2", "3", "4A", "4B", "4C", "5", "6"])


def test_every_sentence_says_the_same_of_the_other_breast() -> None:
    for codes, words, _ in sentences():
        if NO_SIDE.search(words) or NO_SIDE.search(mirrored_words(words)):
            continue
        make, coded = CODES[codes]
        case = make(dict(coded), words)
        assert broken(mirrored(case), in_mirror=True) == broken(case), words


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """An imaging report with whatever codes, marks and sentences."""
    codes: dict[str, Any] = {name: draw(CATEGORIES) for name in ("right", "left", "assessment")}
    codes["recommendation"] = draw(
        st.sampled_from(["", "routine", "tissue_diagnosis", "other", "short_interval"])
    )
    marks = tuple(
        Mark(
            str(number),
            number,
            draw(st.sampled_from(["mass", "calcification", "lymph_node", "architectural_distortion"])),
            draw(st.sampled_from(["", "accepted", "edited", "rejected", "own"])),
            draw(st.sampled_from(["L", "R", ""])),
            draw(st.sampled_from([None, (10.0, 8.0), (31.0, 22.0)])),
            draw(st.sampled_from([None, 0.1, 0.9])),
        )
        for number in range(1, draw(st.integers(0, 4)) + 1)
    )
    said = draw(st.lists(st.sampled_from(IMAGING_SAYINGS), max_size=3))
    texts = [Text(Place("field", "impression"), "\n".join(said), "conclusion")]
    for mark in marks:
        line = draw(
            st.sampled_from(["", "Mass of the left breast, 31 mm.", "右乳肿块，0.9 cm", "Suspicious."])
        )
        texts.append(Text(Place("line", mark.id), line, "description", mark.side, mark.id))
    return Case("imaging", codes, tuple(texts), marks, VIEWS)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(case=cases())
def test_in_the_mirror_the_rules_say_the_same_of_the_other_breast(case: Case) -> None:
    assert broken(mirrored(case), in_mirror=True) == broken(case)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(case=cases(), randoms=st.randoms(use_true_random=False))
def test_the_order_of_findings_and_texts_changes_nothing(case: Case, randoms: Any) -> None:
    marks, texts = list(case.marks), list(case.texts)
    for each in (marks, texts):
        randoms.shuffle(each)
    shuffled = dataclasses.replace(case, marks=tuple(marks), texts=tuple(texts))
    assert {each.key for each in contradictions(shuffled)} == {each.key for each in contradictions(case)}

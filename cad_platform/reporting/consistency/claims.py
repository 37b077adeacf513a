"""What a person's sentences claim: of which breast, and whether it is said, denied or left open. Clause by clause, in
English and Chinese.

It reads what is written as plainly as rules need it and no further: a clause about the past, another breast or another
person claims nothing, and what cannot be told apart is left open. A rule that would stop a signature asks for what is
said, never for what is open.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from cad_platform.reporting.consistency import lexicon

State = Literal["said", "denied", "open"]

_SENTENCE_END = re.compile(r"[。;!?\n]|(?<!\b[LlRr][Tt])(?:\.(?=\s|$)|\.(?=[A-Z]))|(?<=[^\d\s])\.(?=\d)")
_CLAUSE_END = re.compile(
    r"[,、]|\s[-–—]+\s|\b(?:but|however|whereas|while|although)\b|但|而(?!且)", re.IGNORECASE
)
#: What follows is still said of the same person.
_CLAUSE_GOES_ON = re.compile(
    r"\band\b|并(?=[建可伴])|伴|"
    r"(?<!concordant )(?<!consistent )(?<!compatible )(?<!correlates )(?<!correlated )\bwith\b",
    re.IGNORECASE,
)
#: "No mass, calcifications or distortion": what is denied first is denied to the end of the list.
_LIST_GOES_ON = re.compile(r"\b(?:or|nor)\b|[或及]", re.IGNORECASE)
#: A verb, but for one that ends the list: "no mass or distortion is seen".
_TELLS = re.compile(
    r"\b(?:is|are|was|seen|noted|shows?)\b(?!\s*(?:seen|noted|identified|present|visible|detected|evident|found)?\W*$)",
    re.IGNORECASE,
)
_OF_SIDE = re.compile(r"^\W*(?:\w+\W+){0,3}?(?:of|in|at|on|for)\s+(?:the\s+|her\s+)?$", re.IGNORECASE)
_EXCERPT = 60


@dataclass(frozen=True)
class Claim:
    """One thing that is claimed: `what` is a name of the lexicon; `sides` are those it names, none where it names
    none; `only_of` where it was said of a part only; `words` is the clause it stands in."""

    what: str
    state: State
    sides: frozenset[str]
    words: str
    only_of: bool = False


@dataclass(frozen=True)
class Size:
    """The longest length of one measurement in millimetres; `of_tumour` where its clause says of what."""

    millimetres: float
    sides: frozenset[str]
    words: str
    of_tumour: bool = False


@dataclass
class _Clause:
    text: str
    sentence: int
    sides: list[tuple[int, int, frozenset[str]]] = field(default_factory=list)
    heading: frozenset[str] = frozenset()
    carried: frozenset[str] = frozenset()
    denied: bool = False
    depends: bool = False

    def sides_of(self, start: int, end: int) -> frozenset[str]:
        """Which breast what stands there is said of."""
        distinct = {sides for _, _, sides in self.sides}
        if len(distinct) <= 1:
            return next(iter(distinct), self.carried or self.heading)
        for first, _, sides in self.sides:
            if first >= end and _OF_SIDE.match(self.text[end:first]):
                return sides
        before = [item for item in self.sides if item[0] <= start]
        nearest = before[-1] if before else self.sides[0]
        return nearest[2]


def normal(text: str) -> str:
    """As the lexicon's patterns expect it."""
    return unicodedata.normalize("NFKC", text).replace("’", "'")


def claims_of(text: str, terms: Mapping[str, re.Pattern[str]], *, of_tissue: bool = False) -> list[Claim]:
    """Everything of `terms` that the text claims, in order. `of_tissue` where biopsies and operations are what it is
    about, and not the past."""
    found = []
    for clause in _clauses(text, of_tissue=of_tissue):
        for what, pattern in terms.items():
            for match in pattern.finditer(clause.text):
                found.append(
                    Claim(
                        what,
                        _state(clause, match.start(), match.end(), is_deed=what == "action"),
                        clause.sides_of(match.start(), match.end()),
                        _excerpt(clause.text),
                        only_of=bool(lexicon.ONLY_OF.search(clause.text)),
                    )
                )
    return found


def sides_named(text: str) -> frozenset[str]:
    """The breasts that a text is about, but for what it says of the past or compares with."""
    named: frozenset[str] = frozenset()
    for clause in _clauses(text, of_tissue=True):
        for _, _, sides in clause.sides:
            named |= sides
    return named


def categories_of(text: str) -> list[Claim]:
    """BI-RADS categories that are written out, as claims whose `what` is the category; "4" may be any of 4A to 4C."""
    found = []
    for clause in _clauses(text):
        for match in lexicon.BI_RADS.finditer(clause.text):
            said = re.sub(r"\s", "", match["category"]).upper()
            letter = said[-1] if said[-1] in "ABC" else ""
            number = said.removesuffix(letter)
            state = _state(clause, match.start(), match.end())
            sides = clause.sides_of(match.start(), match.end())
            found.append(
                Claim(lexicon.ROMAN.get(number, number) + letter, state, sides, _excerpt(clause.text))
            )
    return found


def densities_of(text: str) -> list[Claim]:
    """Breast densities, in words or as a letter: claims whose `what` is the letter."""
    found = claims_of(text, lexicon.DENSITY)
    for clause in _clauses(text):
        for match in lexicon.DENSITY_LETTER.finditer(clause.text):
            letter = next(filter(None, match.groups())).lower()
            state = _state(clause, match.start(), match.end())
            found.append(Claim(letter, state, frozenset(), _excerpt(clause.text)))
    return found


def sizes_of(text: str) -> list[Size]:
    """Lengths of lesions; those of margins, distances and specimens are left out."""
    found = []
    for clause in _clauses(text):
        if lexicon.OTHER_LENGTHS.search(clause.text):
            continue
        for match in lexicon.SIZE.finditer(clause.text):
            numbers = [match["first"], *re.findall(r"\d+(?:[.,]\d+)?", match["more"])]
            longest = max(float(number.replace(",", ".")) for number in numbers)
            factor = 10 if match["unit"].lower() in ("cm", "厘米") else 1
            found.append(
                Size(
                    round(longest * factor, 2),
                    clause.sides_of(match.start(), match.end()),
                    _excerpt(clause.text),
                    bool(lexicon.TUMOUR_SIZE.search(clause.text)),
                )
            )
    return found


def grades_of(text: str) -> list[Claim]:
    """Histological grades that are written out, as claims whose `what` is 1, 2 or 3. A nuclear grade is none."""
    found = []
    for clause in _clauses(text, of_tissue=True):
        if re.search(r"nuclear|核级|in[- ]situ|DCIS|原位|BI-?RADS", clause.text, re.IGNORECASE):
            continue
        for match in lexicon.GRADE.finditer(clause.text):
            said = next(filter(None, match.groups())).upper()
            state = _state(clause, match.start(), match.end())
            found.append(Claim(lexicon.ROMAN.get(said, said), state, frozenset(), _excerpt(clause.text)))
    return found


def differentiations_of(text: str) -> list[Claim]:
    """The same in words: well, moderately, poorly differentiated."""
    return claims_of(
        text, {str(grade): pattern for grade, pattern in lexicon.DIFFERENTIATION.items()}, of_tissue=True
    )


def receptors_of(text: str) -> list[tuple[str, str, str]]:
    """What the words say of receptors: (`er`, `pr` or `her2`; `positive`, `negative` or `equivocal`; the clause)."""
    found = []
    for clause in _clauses(text, of_tissue=True):
        if lexicon.TRIPLE_NEGATIVE.search(clause.text):
            found += [(name, "negative", _excerpt(clause.text)) for name in lexicon.RECEPTORS]
        for name, pattern in lexicon.RECEPTORS.items():
            for match in pattern.finditer(clause.text):
                found.append((name, _receptor(name, match), _excerpt(clause.text)))
    return found


def _receptor(name: str, match: re.Match[str]) -> str:
    if match["percent"]:
        return "positive" if float(match["percent"]) >= 1 else "negative"
    said = re.sub(r"\s", "", match["plus"] or match["minus"]).lower()
    if name == "her2" and said in ("2+", "++"):
        return "equivocal"
    if said in ("negative", "阴性", "-", "0", "0+") or (name == "her2" and said in ("1+", "+")):
        return "negative"
    return "positive"


# --- clauses ----------------------------------------------------------------------------------------------


def _clauses(text: str, *, of_tissue: bool = False) -> Iterator[_Clause]:
    """The clauses of a text that are about this examination, each with the sides that it names or that carry over."""
    heading: frozenset[str] = frozenset()
    last: frozenset[str] = frozenset()
    for number, sentence in enumerate(_split(normal(text), _SENTENCE_END)):
        opening = lexicon.HEADING.match(sentence)
        if opening and (named := _sides(opening[0])):
            heading = named[-1][2]
        elif lexicon.HEADING_OF_ALL.match(sentence.lstrip()):
            heading = frozenset()
        clauses = [_Clause(part, number, heading=heading) for part in _of_patient(sentence)]
        clauses = _of_now(clauses, of_tissue=of_tissue)
        _carry_condition(clauses)
        for clause in clauses:
            if cut := lexicon.FROM_HERE.search(clause.text):
                clause.text = clause.text[: cut.start()]
            clause.sides = _sides(clause.text)
        _carry_sides(clauses, last)
        last = next((clause.sides[-1][2] for clause in reversed(clauses) if clause.sides), last)
        _carry_denial(clauses)
        yield from clauses


def _of_patient(sentence: str) -> Iterator[str]:
    """The clauses of a sentence, but for those that tell of the patient's relatives."""
    persons_only = False
    for part in _split(sentence, _CLAUSE_END):
        if person := lexicon.OTHER_PERSON.search(part):
            persons_only = bool(lexicon.ONLY_PERSONS.match(part, person.end()))
        elif persons_only:
            persons_only = False  # "Mother, breast cancer at 40."
        else:
            yield from _split(part, _CLAUSE_GOES_ON)


def _of_now(clauses: list[_Clause], *, of_tissue: bool) -> list[_Clause]:
    """Those that are not about another time, breast or examination."""
    kept: list[_Clause] = []
    for place, clause in enumerate(clauses):
        if place and kept and kept[-1] is clauses[place - 1] and lexicon.LONG_AGO.search(clause.text):
            kept.pop()
        elsewhere = lexicon.ELSEWHERE.search(clause.text)
        if not elsewhere and not (not of_tissue and lexicon.EARLIER_PROCEDURE.search(clause.text)):
            kept.append(clause)
    return kept


def _carry_condition(clauses: list[_Clause]) -> None:
    """ "If it grows, biopsy": what a sentence begins with holds for the rest of it."""
    opening = lexicon.CONDITION.search(clauses[0].text) if clauses else None
    if opening and not clauses[0].text[: opening.start()].strip():
        for clause in clauses[1:]:
            clause.depends = True


def _carry_sides(clauses: list[_Clause], last: frozenset[str]) -> None:
    """A clause without a side is of the one before it in its sentence, else of the first that is named after it; or
    of the `last` of the sentences before, where it says so ("no biopsy there")."""
    carried: frozenset[str] = frozenset()
    for clause in clauses:
        clause.carried = carried
        if clause.sides:
            carried = clause.sides[-1][2]
    first = next((clause.sides[0][2] for clause in clauses if clause.sides), frozenset[str]())
    for clause in clauses:
        if not clause.sides and not clause.carried:
            if lexicon.SAME_SIDE.search(clause.text):
                clause.carried = last
            elif not clause.heading:
                clause.carried = first


def _carry_denial(clauses: list[_Clause]) -> None:
    for place, clause in enumerate(clauses):
        if not re.match(r"\s*(?:no|without|there\s+(?:is|are)\s+no|未见|无)\b", clause.text, re.IGNORECASE):
            continue
        rest = clauses[place + 1 :]
        last = max((n for n, item in enumerate(rest) if _LIST_GOES_ON.search(item.text)), default=-1)
        for item in rest[: last + 1]:
            if item.sides or _TELLS.search(item.text):
                break
            item.denied = True


def _split(text: str, end: re.Pattern[str]) -> list[str]:
    """The parts between the ends; a comma within a number is none."""
    parts, start = [], 0
    for match in end.finditer(text):
        if (
            match[0] == ","
            and text[match.end() : match.end() + 1].isdigit()
            and text[start : match.start()][-1:].isdigit()
        ):
            continue
        parts.append(text[start : match.start()] + ("?" if match[0] == "?" else ""))
        start = match.end()
    parts.append(text[start:])
    return [part for part in parts if part.strip()]


def _sides(text: str) -> list[tuple[int, int, frozenset[str]]]:
    masked = lexicon.NO_SIDE.sub(lambda match: " " * len(match[0]), text)
    found: list[tuple[int, int, frozenset[str]]] = []
    for match in lexicon.BOTH.finditer(masked):
        found.append((match.start(), match.end(), frozenset("LR")))
    masked = lexicon.BOTH.sub(lambda match: " " * len(match[0]), masked)
    for pattern, side in ((lexicon.LEFT, "L"), (lexicon.RIGHT, "R")):
        found += [(match.start(), match.end(), frozenset(side)) for match in pattern.finditer(masked)]
    return sorted(found, key=lambda item: item[0])


def _state(clause: _Clause, start: int, end: int, *, is_deed: bool = False) -> State:
    before = lexicon.NO_DENIAL.sub(lambda match: " " * len(match[0]), clause.text[:start])
    after = clause.text[end:]
    if clause.depends or lexicon.CONDITION.search(before) or lexicon.OPEN_AFTER.search(after):
        return "open"
    if not is_deed and lexicon.SUPPOSED_BEFORE.search(before):
        return "open"
    if clause.denied or lexicon.DENIED_BEFORE.search(before) or lexicon.DENIED_AFTER.search(after):
        return "denied"
    return "said"


def _excerpt(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _EXCERPT else text[: _EXCERPT - 1] + "…"

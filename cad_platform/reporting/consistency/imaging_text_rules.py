"""Rules of imaging reports: what is written against what is coded and marked."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext_lazy as _

from cad_platform.reporting.consistency.case import SIDES, Case, Mark, Place, Text
from cad_platform.reporting.consistency.claims import Claim, categories_of, densities_of
from cad_platform.reporting.consistency.rule import IMAGING, Found, rule

_NEEDS_ACTION = frozenset({"4A", "4B", "4C", "5"})
_CALM = frozenset({"1", "2"})
#: Of a mark that bounds a lesion: the lesion's longest length may be the box's diagonal, and a reader rounds.
_LONGER = 1.5
_SHORTER = 0.5
_ROUNDING_MM = 2.0
_UNIT_SLIP = (0.08, 0.125)


def _sided(claim: Claim, text: Text) -> set[str]:
    """The breasts that a claim is of: those it names, else that of the mark whose line it stands in."""
    return set(claim.sides) or ({text.side} if text.side else set())


def _says(text: Text, *names: str, side: str = "") -> bool:
    """Whether the text says one of these of the breast, or without naming one."""
    return any(
        claim.what in names
        and claim.state != "denied"
        and (not side or not (s := _sided(claim, text)) or side in s)
        for claim in text.imaging
    )


def _is_all_clear(claim: Claim) -> bool:
    """ "No suspicious finding", "unremarkable": said of all, not of the calcifications or the nodes alone."""
    if claim.only_of:
        return False
    return (claim.what == "suspicious" and claim.state == "denied") or (
        claim.what == "normal" and claim.state == "said"
    )


def _of_breasts(case: Case, categories: frozenset[str]) -> Iterator[tuple[Text, Claim, str, str]]:
    """Each claim with a breast that it is of and that breast's category, where that is one of these."""
    for text in case.written("conclusion", "description"):
        for claim in text.imaging:
            for side in SIDES:
                if side in _sided(claim, text) and (category := case.category(side)) in categories:
                    yield text, claim, side, category


@rule(
    "action_against_category_of_breast",
    _("“%(quote)s”: but %(breast)s is BI-RADS %(category)s."),
    kinds=IMAGING,
)
def action_against_category_of_breast(case: Case) -> Iterator[Found]:
    """A biopsy of a breast with nothing to sample: the wrong side, or the wrong category."""
    for text, claim, side, category in _of_breasts(case, _CALM):
        if claim.what == "action" and claim.state == "said":
            values = {"quote": claim.words, "breast": side, "category": category}
            yield Found((text.place, case.category_places[side]), values)


@rule(
    "suspicion_against_category_of_breast",
    _("“%(quote)s” calls %(breast)s suspicious; its category is BI-RADS %(category)s."),
    kinds=IMAGING,
)
def suspicion_against_category_of_breast(case: Case) -> Iterator[Found]:
    for text, claim, side, category in _of_breasts(case, _CALM):
        if claim.what == "suspicious" and claim.state == "said":
            values = {"quote": claim.words, "breast": side, "category": category}
            yield Found((text.place, case.category_places[side]), values)


@rule(
    "all_clear_against_category_of_breast",
    _("“%(quote)s” finds nothing in %(breast)s; its category is BI-RADS %(category)s."),
    kinds=IMAGING,
)
def all_clear_against_category_of_breast(case: Case) -> Iterator[Found]:
    for text, claim, side, category in _of_breasts(case, _NEEDS_ACTION):
        if _is_all_clear(claim) and not _says(text, "suspicious", "action", side=side):
            values = {"quote": claim.words, "breast": side, "category": category}
            yield Found((text.place, case.category_places[side]), values)


@rule(
    "benign_against_category_of_breast",
    _("“%(quote)s” calls %(breast)s benign; its category is BI-RADS %(category)s."),
    severity="warning",
    kinds=IMAGING,
)
def benign_against_category_of_breast(case: Case) -> Iterator[Found]:
    for text, claim, side, category in _of_breasts(case, _NEEDS_ACTION):
        if (
            claim.what == "benign"
            and claim.state == "said"
            and not _says(text, "suspicious", "action", side=side)
        ):
            values = {"quote": claim.words, "breast": side, "category": category}
            yield Found((text.place, case.category_places[side]), values)


@rule(
    "lesion_in_negative_breast",
    _("“%(quote)s” describes %(breast)s, whose category is 1, negative."),
    severity="warning",
    kinds=IMAGING,
)
def lesion_in_negative_breast(case: Case) -> Iterator[Found]:
    for text, claim, side, _category in _of_breasts(case, frozenset({"1"})):
        if claim.what in ("lesion", "benign") and claim.state == "said" and claim.sides:
            values = {"quote": claim.words, "breast": side}
            yield Found((text.place, case.category_places[side]), values)


@rule(
    "action_against_category",
    _("“%(quote)s”: but the exam is BI-RADS %(category)s."),
    kinds=IMAGING,
)
def action_against_category(case: Case) -> Iterator[Found]:
    """The same where no breast is named."""
    category = case.code("assessment")
    if category not in _CALM:
        return
    for text in case.written("conclusion", "description"):
        for claim in text.imaging:
            if claim.what in ("action", "suspicious") and claim.state == "said" and not _sided(claim, text):
                values = {"quote": claim.words, "category": category}
                yield Found((text.place, Place("field", "assessment")), values)


@rule(
    "all_clear_against_category",
    _("“%(quote)s” finds nothing suspicious; the exam is BI-RADS %(category)s."),
    kinds=IMAGING,
)
def all_clear_against_category(case: Case) -> Iterator[Found]:
    category = case.code("assessment")
    if category not in _NEEDS_ACTION:
        return
    for text in case.written("conclusion"):
        if _says(text, "suspicious", "action"):
            continue
        for claim in text.imaging:
            if _is_all_clear(claim) and (not claim.sides or claim.sides == {"L", "R"}):
                values = {"quote": claim.words, "category": category}
                yield Found((text.place, Place("field", "assessment")), values)
                break


@rule(
    "benign_against_category",
    _("“%(quote)s” concludes that it is benign; the exam is BI-RADS %(category)s."),
    kinds=IMAGING,
)
def benign_against_category(case: Case) -> Iterator[Found]:
    category = case.code("assessment")
    if category not in _NEEDS_ACTION:
        return
    for text in case.written("conclusion"):
        if _says(text, "suspicious", "action") or any(claim.what == "lesion" for claim in text.imaging):
            continue
        for claim in text.imaging:
            of_all = not claim.sides or claim.sides == {"L", "R"}
            if claim.what == "benign" and claim.state == "said" and of_all and not claim.only_of:
                values = {"quote": claim.words, "category": category}
                yield Found((text.place, Place("field", "assessment")), values)
                break


@rule(
    "routine_against_recommendation",
    _("“%(quote)s” is less than what is recommended: %(recommendation)s."),
    kinds=IMAGING,
)
def routine_against_recommendation(case: Case) -> Iterator[Found]:
    """Words of routine, or that no biopsy is needed, beside a recommendation to do something."""
    chosen = case.code("recommendation")
    if chosen not in ("tissue_diagnosis", "treatment"):
        return
    for text in case.written("conclusion"):
        if any(claim.what == "action" and claim.state == "said" for claim in text.imaging):
            continue
        for claim in text.imaging:
            waived = claim.what == "action" and claim.state == "denied"
            routine = claim.what == "routine" and claim.state == "said"
            calm = bool(claim.sides) and all(case.category(side) in (*_CALM, "3") for side in claim.sides)
            if (waived or routine) and not calm:
                values = {"quote": claim.words, "recommendation": chosen}
                yield Found((text.place, Place("field", "recommendation")), values)
                break


@rule(
    "written_category_differs",
    _("“%(quote)s” gives BI-RADS %(written)s; %(category)s is coded."),
    kinds=IMAGING,
)
def written_category_differs(case: Case) -> Iterator[Found]:
    if not case.has_categories:
        return
    coded = {side: case.category(side) for side in SIDES if case.category(side)}
    exam = case.code("assessment")
    for text in case.written("conclusion", "description"):
        for claim in categories_of(text.value):
            if claim.state != "said":
                continue
            sides = [side for side in SIDES if side in _sided(claim, text) and side in coded]
            if sides:
                against = {side: coded[side] for side in sides}
                # A line of one mark may be calmer than its breast.
                wrong = [s for s, c in against.items() if not _same(claim.what, c)]
                if text.role == "description" and not claim.sides:
                    continue
                for side in wrong:
                    values = {"quote": claim.words, "written": claim.what, "category": coded[side]}
                    yield Found((text.place, case.category_places[side]), values)
            elif exam and not any(_same(claim.what, code) for code in (exam, *coded.values())):
                values = {"quote": claim.words, "written": claim.what, "category": exam}
                yield Found((text.place, Place("field", "assessment")), values)


def _same(written: str, coded: str) -> bool:
    return written == coded or (written == "4" and coded in _NEEDS_ACTION and coded != "5")


@rule(
    "written_density_differs",
    _("“%(quote)s” is breast density %(written)s; %(category)s is coded."),
    kinds=IMAGING,
    in_addenda=False,
)
def written_density_differs(case: Case) -> Iterator[Found]:
    coded = case.code("density")
    if not coded:
        return
    for text in case.written("conclusion", "description"):
        said = [claim for claim in densities_of(text.value) if claim.state == "said"]
        if any(claim.what == coded for claim in said):
            continue
        for claim in said[:1]:
            values = {"quote": claim.words, "written": claim.what, "category": coded}
            yield Found((text.place, Place("field", "density")), values)


@rule(
    "line_names_other_breast",
    _("The line of finding %(mark)s, which lies in %(breast)s, names the other one: “%(quote)s”."),
    kinds=IMAGING,
)
def line_names_other_breast(case: Case) -> Iterator[Found]:
    marks = {mark.id: mark for mark in case.marks}
    for text in case.written("description"):
        mark = marks.get(text.mark)
        if mark is None or not text.side:
            continue
        named = [claim for claim in text.imaging if claim.sides]
        if named and all(text.side not in claim.sides for claim in named):
            values = {"mark": str(mark.number), "breast": text.side, "quote": named[0].words}
            yield Found((text.place, Place("finding", mark.id)), values)


@rule(
    "indication_names_breast_without_image",
    _("The indication names %(breast)s, of which there is no image."),
    severity="warning",
    kinds=IMAGING,
    in_addenda=False,
)
def indication_names_breast_without_image(case: Case) -> Iterator[Found]:
    if not case.imaged or any(not picture.side for picture in case.pictures):
        return
    for text in case.written("history"):
        for claim in text.imaging:
            for side in SIDES:
                if claim.state == "said" and claim.sides == {side} and side not in case.imaged:
                    yield Found((text.place, case.pictures[0].place), {"breast": side})
                    break


@rule(
    "written_size_exceeds_mark",
    _("“%(quote)s” (%(written)s mm) does not fit in the mark of finding %(mark)s: %(size)s mm."),
    kinds=IMAGING,
)
def written_size_exceeds_mark(case: Case) -> Iterator[Found]:
    for text, mark, written, quote in _sizes(case):
        longest = max(mark.size_mm or (0, 0))
        slip = any(
            low <= ratio <= high for low, high in ((_UNIT_SLIP), (8, 12.5)) for ratio in (written / longest,)
        )
        if written > longest * _LONGER + _ROUNDING_MM or slip:
            yield Found((text.place, Place("finding", mark.id)), _size_values(mark, written, quote))


@rule(
    "written_size_below_mark",
    _("“%(quote)s” (%(written)s mm) is much smaller than the mark of finding %(mark)s: %(size)s mm."),
    severity="warning",
    kinds=IMAGING,
)
def written_size_below_mark(case: Case) -> Iterator[Found]:
    for text, mark, written, quote in _sizes(case):
        longest = max(mark.size_mm or (0, 0))
        slip = _UNIT_SLIP[0] <= written / longest <= _UNIT_SLIP[1]
        if written < longest * _SHORTER - _ROUNDING_MM and not slip:
            yield Found((text.place, Place("finding", mark.id)), _size_values(mark, written, quote))


def _sizes(case: Case) -> Iterator[tuple[Text, Mark, float, str]]:
    """The longest length that the line of a measured mark gives."""
    marks = {mark.id: mark for mark in case.reported}
    for text in case.written("description"):
        mark = marks.get(text.mark)
        if mark is None or not mark.size_mm or max(mark.size_mm) <= 0 or not text.sizes:
            continue
        longest = max(text.sizes, key=lambda size: size.millimetres)
        if longest.millimetres > 0:
            yield text, mark, longest.millimetres, longest.words


def _size_values(mark: Mark, written: float, quote: str) -> dict[str, str]:
    across, down = mark.size_mm or (0, 0)
    size = f"{across:.1f} × {down:.1f}"
    return {"mark": str(mark.number), "written": f"{written:g}", "size": size, "quote": quote}

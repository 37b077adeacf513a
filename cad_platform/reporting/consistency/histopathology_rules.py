"""Rules of histopathology reports: codes, measurements and words against each other."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext_lazy as _

from cad_platform.reporting import vocabulary as words
from cad_platform.reporting.consistency.case import Case, Place, Text
from cad_platform.reporting.consistency.claims import (
    Claim,
    claims_of,
    differentiations_of,
    grades_of,
    receptors_of,
    sides_named,
)
from cad_platform.reporting.consistency.lexicon import INVASIVE_TYPES, MARGINS
from cad_platform.reporting.consistency.rule import HISTOPATHOLOGY, Found, rule

_MALIGNANT = ("invasive", "in_situ")
_CALM = ("normal", "benign")
_TUMOUR_LABELS = frozenset({"invasive_carcinoma", "idc", "carcinoma_in_situ"})
_ANOTHER_SIZE = 0.2
_ROUNDING_MM = 2.0
DIAGNOSIS = Place("field", "diagnosis")


def _said(claims: list[Claim], *names: str) -> list[Claim]:
    return [claim for claim in claims if claim.what in names and claim.state == "said"]


def _names_cancer(text: Text) -> list[Claim]:
    return _said(text.pathology, "invasive", "in_situ", "malignant")


@rule(
    "malignant_code_benign_words",
    _("“%(quote)s”: but the diagnosis is coded as “%(diagnosis)s”."),
    kinds=HISTOPATHOLOGY,
)
def malignant_code_benign_words(case: Case) -> Iterator[Found]:
    diagnosis = case.code("diagnosis")
    if diagnosis not in _MALIGNANT:
        return
    for text in case.written("conclusion"):
        if _names_cancer(text):
            continue
        denied = [
            claim
            for claim in text.pathology
            if claim.what in ("malignant", "invasive", "in_situ", "tumour")
            and claim.state == "denied"
            and not claim.only_of
        ]
        benign = _said(text.pathology, "benign", "normal")
        for claim in [*benign, *denied][:1]:
            yield Found((text.place, DIAGNOSIS), {"quote": claim.words, "diagnosis": diagnosis})


@rule(
    "benign_code_malignant_words",
    _("“%(quote)s” names a malignancy; the diagnosis is coded as “%(diagnosis)s”."),
    kinds=HISTOPATHOLOGY,
)
def benign_code_malignant_words(case: Case) -> Iterator[Found]:
    diagnosis = case.code("diagnosis")
    if diagnosis not in (*_CALM, "atypia", "not_diagnostic"):
        return
    for text in case.written("conclusion", "description"):
        for claim in _names_cancer(text)[:1]:
            yield Found((text.place, DIAGNOSIS), {"quote": claim.words, "diagnosis": diagnosis})


@rule(
    "in_situ_code_invasive_words",
    _("“%(quote)s” names an invasive carcinoma; “%(diagnosis)s” is coded."),
    kinds=HISTOPATHOLOGY,
)
def in_situ_code_invasive_words(case: Case) -> Iterator[Found]:
    if case.code("diagnosis") != "in_situ":
        return
    for text in case.written("conclusion", "description"):
        for claim in _said(text.pathology, "invasive")[:1]:
            yield Found((text.place, DIAGNOSIS), {"quote": claim.words, "diagnosis": "in_situ"})


@rule(
    "invasive_code_in_situ_words",
    _("“%(quote)s” names a carcinoma in situ only; “%(diagnosis)s” is coded."),
    kinds=HISTOPATHOLOGY,
)
def invasive_code_in_situ_words(case: Case) -> Iterator[Found]:
    if case.code("diagnosis") != "invasive":
        return
    for text in case.written("conclusion"):
        in_situ = _said(text.pathology, "in_situ")
        if in_situ and not _said(text.pathology, "invasive", "malignant"):
            yield Found((text.place, DIAGNOSIS), {"quote": in_situ[0].words, "diagnosis": "invasive"})


@rule(
    "benign_code_words_of_atypia",
    _("“%(quote)s” names atypia; the diagnosis is coded as “%(diagnosis)s”."),
    severity="warning",
    kinds=HISTOPATHOLOGY,
)
def benign_code_words_of_atypia(case: Case) -> Iterator[Found]:
    diagnosis = case.code("diagnosis")
    if diagnosis not in _CALM:
        return
    for text in case.written("conclusion"):
        for claim in _said(text.pathology, "atypia")[:1]:
            yield Found((text.place, DIAGNOSIS), {"quote": claim.words, "diagnosis": diagnosis})


@rule(
    "marks_against_diagnosis",
    _("Finding %(mark)s is reported as “%(label)s”; the diagnosis is coded as “%(diagnosis)s”."),
    kinds=HISTOPATHOLOGY,
)
def marks_against_diagnosis(case: Case) -> Iterator[Found]:
    diagnosis = case.code("diagnosis")
    for mark in case.reported:
        invasive_mark = mark.label in ("invasive_carcinoma", "idc")
        calm = diagnosis in (*_CALM, "atypia", "not_diagnostic") and mark.label in _TUMOUR_LABELS
        if calm or (diagnosis == "in_situ" and invasive_mark):
            values = {"mark": str(mark.number), "label": mark.label, "diagnosis": diagnosis}
            yield Found((mark.place, DIAGNOSIS), values)


@rule(
    "grade_without_invasion",
    _("Only an invasive carcinoma has a Nottingham grade."),
    kinds=HISTOPATHOLOGY,
    may_be_overridden=False,
)
def grade_without_invasion(case: Case) -> Iterator[Found]:
    scores = [name for name in ("tubules", "nuclei", "mitoses") if case.number(name) is not None]
    if scores and case.code("diagnosis") not in ("invasive", ""):
        yield Found((Place("field", scores[0]), DIAGNOSIS))


@rule(
    "invasion_without_diagnosis",
    _("%(field)s is given, and the diagnosis is coded as “%(diagnosis)s”."),
    kinds=HISTOPATHOLOGY,
)
def invasion_without_diagnosis(case: Case) -> Iterator[Found]:
    diagnosis = case.code("diagnosis")
    if diagnosis in ("invasive", ""):
        return
    if case.code("invasive_type"):
        yield Found(
            (Place("field", "invasive_type"), DIAGNOSIS), {"field": "invasive_type", "diagnosis": diagnosis}
        )
    if case.code("lymphovascular_invasion") == words.Presence.PRESENT:
        values = {"field": "lymphovascular_invasion", "diagnosis": diagnosis}
        yield Found((Place("field", "lymphovascular_invasion"), DIAGNOSIS), values)


@rule(
    "written_grade_differs",
    _("“%(quote)s” gives grade %(written)s; the three scores give grade %(grade)s."),
    kinds=HISTOPATHOLOGY,
)
def written_grade_differs(case: Case) -> Iterator[Found]:
    grade = _grade(case)
    if grade is None:
        return
    for text in case.written("conclusion", "description", "remark"):
        said = [c for c in grades_of(text.value) if c.state == "said"]
        if any(claim.what == str(grade) for claim in said):
            continue
        for claim in said[:1]:
            values = {"quote": claim.words, "written": claim.what, "grade": str(grade)}
            yield Found((text.place, Place("field", "tubules")), values)


@rule(
    "written_differentiation_differs",
    _("“%(quote)s” would be grade %(written)s; the three scores give grade %(grade)s."),
    severity="warning",
    kinds=HISTOPATHOLOGY,
)
def written_differentiation_differs(case: Case) -> Iterator[Found]:
    grade = _grade(case)
    if grade is None:
        return
    for text in case.written("conclusion", "description"):
        said = [claim for claim in differentiations_of(text.value) if claim.state == "said"]
        for claim in said[:1]:
            if claim.what != str(grade) and len(said) == 1:
                values = {"quote": claim.words, "written": claim.what, "grade": str(grade)}
                yield Found((text.place, Place("field", "tubules")), values)


def _grade(case: Case) -> int | None:
    scores = [case.number(name) for name in ("tubules", "nuclei", "mitoses")]
    whole = [None if score is None else int(score) for score in scores]
    return words.nottingham_grade(words.nottingham_total(*whole))


@rule(
    "written_type_differs",
    _("“%(quote)s” names another type of carcinoma than is coded: %(type)s."),
    kinds=HISTOPATHOLOGY,
)
def written_type_differs(case: Case) -> Iterator[Found]:
    coded = case.code("invasive_type")
    if coded in ("", words.InvasiveType.MIXED) or case.code("diagnosis") != "invasive":
        return
    for text in case.written("conclusion"):
        said = [
            claim for claim in claims_of(text.value, INVASIVE_TYPES, of_tissue=True) if claim.state == "said"
        ]
        if said and all(claim.what != coded for claim in said):
            values = {"quote": said[0].words, "type": coded}
            yield Found((text.place, Place("field", "invasive_type")), values)


# --- receptors -----------------------------------------------------------------------------------------------


@rule(
    "percentage_against_receptor",
    _("%(field)s: %(written)s %% does not agree with “%(status)s”."),
    kinds=HISTOPATHOLOGY,
    may_be_overridden=False,
)
def percentage_against_receptor(case: Case) -> Iterator[Found]:
    """ASCO/CAP 2020."""
    for name in ("er", "pr"):
        percent, status = case.number(f"{name}_percent"), case.code(name)
        if percent is None:
            continue
        agrees = {
            words.HormoneReceptor.POSITIVE.value: percent >= 1,
            words.HormoneReceptor.LOW_POSITIVE.value: 1 <= percent <= 10,
            words.HormoneReceptor.NEGATIVE.value: percent < 1,
        }
        if not agrees.get(status, False):
            values = {"field": name, "written": f"{percent:g}", "status": status}
            yield Found((Place("field", f"{name}_percent"), Place("field", name)), values)


@rule(
    "written_receptor_differs",
    _("“%(quote)s” does not agree with what is coded: %(field)s %(receptor)s."),
    kinds=HISTOPATHOLOGY,
)
def written_receptor_differs(case: Case) -> Iterator[Found]:
    coded = {"er": _hormone(case.code("er")), "pr": _hormone(case.code("pr")), "her2": her2_status(case)}
    fields = {"er": "er", "pr": "pr", "her2": "her2_ihc"}
    for text in case.written("conclusion", "description", "remark"):
        told = set()
        for name, said, quote in receptors_of(text.value):
            status = coded[name]
            if not status or status == said or "equivocal" in (status, said) or name in told:
                continue
            told.add(name)
            code = case.code(fields[name])
            yield Found(
                (text.place, Place("field", fields[name])),
                {"quote": quote, "field": fields[name], "receptor": code},
            )


def _hormone(code: str) -> str:
    return {"positive": "positive", "low_positive": "positive", "negative": "negative"}.get(code, "")


def her2_status(case: Case) -> str:
    """Positive, negative or equivocal by ASCO/CAP 2023; empty where it was not examined."""
    ihc, ish = case.code("her2_ihc"), case.code("her2_ish")
    if ihc == words.Her2Ihc.THREE:
        return "positive"
    if ihc == words.Her2Ihc.TWO:
        return {"amplified": "positive", "not_amplified": "negative"}.get(ish, "equivocal")
    if ihc in (words.Her2Ihc.ZERO, words.Her2Ihc.ONE):
        return "negative"
    return {"amplified": "positive", "not_amplified": "negative"}.get(ish, "")


@rule(
    "her2_tests_disagree",
    _("HER2 immunohistochemistry %(receptor)s and in-situ hybridisation do not agree."),
    severity="warning",
    kinds=HISTOPATHOLOGY,
)
def her2_tests_disagree(case: Case) -> Iterator[Found]:
    ihc, ish = case.code("her2_ihc"), case.code("her2_ish")
    if (ihc == "3+" and ish == "not_amplified") or (ihc in ("0", "1+") and ish == "amplified"):
        yield Found((Place("field", "her2_ihc"), Place("field", "her2_ish")), {"receptor": ihc})


# --- margins, sizes, side -----------------------------------------------------------------------------------


@rule(
    "margins_against_distance",
    _("The margins are coded as “%(margins)s”, and the closest is %(written)s mm away."),
    kinds=HISTOPATHOLOGY,
)
def margins_against_distance(case: Case) -> Iterator[Found]:
    margins, distance = case.code("margins"), case.number("closest_margin_mm")
    if distance is None:
        return
    wrong = (margins in ("negative", "close") and distance == 0) or (margins == "positive" and distance > 0)
    if wrong:
        values = {"margins": margins, "written": f"{distance:g}"}
        yield Found((Place("field", "margins"), Place("field", "closest_margin_mm")), values)


@rule(
    "margins_without_distance",
    _("The margins are coded as “%(margins)s”; the distance of the closest does not go with it."),
    severity="warning",
    kinds=HISTOPATHOLOGY,
    in_addenda=False,
)
def margins_without_distance(case: Case) -> Iterator[Found]:
    """Close without a distance; not applicable with one."""
    margins, distance = case.code("margins"), case.number("closest_margin_mm")
    if (margins == "close" and distance is None) or (margins == "not_applicable" and distance is not None):
        yield Found((Place("field", "margins"), Place("field", "closest_margin_mm")), {"margins": margins})


@rule(
    "written_margins_differ",
    _("“%(quote)s”: but the margins are coded as “%(margins)s”."),
    kinds=HISTOPATHOLOGY,
)
def written_margins_differ(case: Case) -> Iterator[Found]:
    margins = case.code("margins")
    against = {"negative": "positive", "close": "positive", "positive": "negative"}.get(margins)
    if against is None:
        return
    for text in case.written("conclusion", "description", "remark"):
        said = claims_of(text.value, MARGINS, of_tissue=True)
        if any(claim.what != against for claim in said):
            continue
        for claim in said[:1]:
            yield Found((text.place, Place("field", "margins")), {"quote": claim.words, "margins": margins})


@rule(
    "written_size_differs",
    _("“%(quote)s” is %(written)s mm; the size is coded as %(size)s mm."),
    kinds=HISTOPATHOLOGY,
)
def written_size_differs(case: Case) -> Iterator[Found]:
    coded = case.number("tumour_size_mm")
    if not coded:
        return
    for text in case.written("conclusion", "remark"):
        said = [size for size in text.sizes if size.of_tumour or text.role == "conclusion"]
        if any(abs(size.millimetres - coded) <= max(coded * _ANOTHER_SIZE, _ROUNDING_MM) for size in said):
            continue
        for size in said[:1]:
            values = {"quote": size.words, "written": f"{size.millimetres:g}", "size": f"{coded:g}"}
            yield Found((text.place, Place("field", "tumour_size_mm")), values)


@rule(
    "mark_larger_than_tumour",
    _("Finding %(mark)s measures %(size)s mm; the size of the tumour is coded as %(written)s mm."),
    severity="warning",
    kinds=HISTOPATHOLOGY,
)
def mark_larger_than_tumour(case: Case) -> Iterator[Found]:
    coded = case.number("tumour_size_mm")
    if not coded:
        return
    for mark in case.reported:
        longest = max(mark.size_mm or (0, 0))
        if mark.label in _TUMOUR_LABELS and longest > coded * 1.5 + _ROUNDING_MM:
            values = {"mark": str(mark.number), "size": f"{longest:.1f}", "written": f"{coded:g}"}
            yield Found((mark.place, Place("field", "tumour_size_mm")), values)


@rule(
    "specimen_names_other_breast",
    _("“%(quote)s” names the other breast than is coded: %(breast)s."),
    kinds=HISTOPATHOLOGY,
)
def specimen_names_other_breast(case: Case) -> Iterator[Found]:
    yield from _other_side(case, "conclusion", "description")


@rule(
    "history_names_other_breast",
    _("“%(quote)s” names only the other breast than the specimen's: %(breast)s."),
    severity="warning",
    kinds=HISTOPATHOLOGY,
    in_addenda=False,
)
def history_names_other_breast(case: Case) -> Iterator[Found]:
    yield from _other_side(case, "history", "remark")


def _other_side(case: Case, *roles: str) -> Iterator[Found]:
    side = case.code("laterality")
    if not side:
        return
    for text in case.written(*roles):  # type: ignore[arg-type]
        named = sides_named(text.value)
        if named and side not in named:
            quote = " ".join(text.value.split())[:60]
            yield Found((text.place, Place("field", "laterality")), {"quote": quote, "breast": side})


@rule(
    "slides_of_other_breast",
    _("The slides are of the other breast (%(image)s) than is coded: %(breast)s."),
    kinds=HISTOPATHOLOGY,
    in_addenda=False,
)
def slides_of_other_breast(case: Case) -> Iterator[Found]:
    side = case.code("laterality")
    if side and case.imaged and side not in case.imaged:
        picture = next(picture for picture in case.pictures if picture.side)
        values = {"image": picture.name, "breast": side}
        yield Found((picture.place, Place("field", "laterality")), values)

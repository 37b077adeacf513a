"""Rules of imaging reports: marks, categories and the recommendation against each other."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext_lazy as _

from cad_platform.reporting import vocabulary as words
from cad_platform.reporting.consistency.case import FIELD_OF, OTHER, SIDES, Case, Place
from cad_platform.reporting.consistency.rule import IMAGING, Found, rule

#: Labels that an ordinary, healthy breast may have too.
_HARMLESS = frozenset({"lymph_node", "skin_change", "other"})
#: Labels that BI-RADS knows no benign form of without a reason.
_SUSPICIOUS = frozenset({"architectural_distortion"})
#: A model's probability of malignancy from which an accepted mark is no benign one.
_MALIGNANT_FROM = 0.5
_NEEDS_ACTION = frozenset({"4A", "4B", "4C", "5"})
_CALM = frozenset({"1", "2"})


@rule(
    "breast_without_category",
    _("There are images of %(breast)s (%(image)s), and no BI-RADS category is given for it."),
    kinds=IMAGING,
    may_be_overridden=False,
    in_addenda=False,
)
def breast_without_category(case: Case) -> Iterator[Found]:
    if not case.has_categories:
        return
    for side in SIDES:
        pictures = [picture for picture in case.pictures if picture.side == side]
        if pictures and not case.code(FIELD_OF[side]):
            places = (Place("field", FIELD_OF[side]), pictures[0].place)
            yield Found(places, {"breast": side, "image": pictures[0].name})


@rule(
    "category_without_image",
    _("BI-RADS %(category)s is given for %(breast)s, of which there is no image."),
    severity="warning",
    kinds=IMAGING,
    in_addenda=False,
)
def category_without_image(case: Case) -> Iterator[Found]:
    if not case.pictures or any(not picture.side for picture in case.pictures):
        return
    for side in SIDES:
        if side not in case.imaged and (category := case.code(FIELD_OF[side])):
            places = (Place("field", FIELD_OF[side]), case.pictures[0].place)
            yield Found(places, {"breast": side, "category": category})


@rule(
    "exam_below_breast",
    _("The exam's assessment must be that of its more serious breast: %(category)s."),
    kinds=IMAGING,
    may_be_overridden=False,
)
def exam_below_breast(case: Case) -> Iterator[Found]:
    exam = case.code("assessment")
    breasts = {side: case.code(FIELD_OF[side]) for side in SIDES if case.code(FIELD_OF[side])}
    if not exam or not breasts:
        return
    worst = max(breasts.values(), key=words.SERIOUSNESS.index)
    if exam != worst:
        sides = [side for side, category in breasts.items() if category == worst]
        places = (Place("field", "assessment"), *(Place("field", FIELD_OF[side]) for side in sides))
        yield Found(places, {"category": worst})


@rule(
    "recommendation_does_not_fit",
    _("BI-RADS %(category)s goes with: %(recommendations)s. The recommendation is “%(recommendation)s”."),
    kinds=IMAGING,
    may_be_overridden=False,
)
def recommendation_does_not_fit(case: Case) -> Iterator[Found]:
    category, chosen = case.code("assessment"), case.code("recommendation")
    fitting = words.RECOMMENDATIONS_FOR.get(category)
    if not fitting or not chosen or chosen in fitting:
        return
    values = {
        "category": category,
        "recommendations": " ".join(str(choice.value) for choice in fitting),
        "recommendation": chosen,
    }
    yield Found((Place("field", "recommendation"), Place("field", "assessment")), values)


@rule(
    "mark_in_negative_breast",
    _(
        "Finding %(mark)s (%(label)s) in %(breast)s is reported, and the category of that breast is 1, negative."
    ),
    kinds=IMAGING,
)
def mark_in_negative_breast(case: Case) -> Iterator[Found]:
    for mark in case.reported:
        if mark.side and mark.label not in _HARMLESS and case.category(mark.side) == "1":
            values = {"mark": str(mark.number), "label": mark.label, "breast": mark.side}
            yield Found((mark.place, case.category_places[mark.side]), values)


@rule(
    "harmless_mark_in_negative_breast",
    _(
        "Finding %(mark)s (%(label)s) in %(breast)s is reported; category 1 says that there is nothing to tell."
    ),
    severity="warning",
    kinds=IMAGING,
)
def harmless_mark_in_negative_breast(case: Case) -> Iterator[Found]:
    for mark in case.reported:
        if mark.side and mark.label in _HARMLESS and case.category(mark.side) == "1":
            values = {"mark": str(mark.number), "label": mark.label, "breast": mark.side}
            yield Found((mark.place, case.category_places[mark.side]), values)


@rule(
    "suspicious_mark_in_benign_breast",
    _(
        "Finding %(mark)s (%(label)s) in %(breast)s is suspicious, and the category of that breast is 2, benign."
    ),
    kinds=IMAGING,
)
def suspicious_mark_in_benign_breast(case: Case) -> Iterator[Found]:
    for mark in case.reported:
        suspicious = mark.label in _SUSPICIOUS or (mark.malignancy or 0) >= _MALIGNANT_FROM
        if mark.side and suspicious and case.category(mark.side) == "2":
            values = {"mark": str(mark.number), "label": mark.label, "breast": mark.side}
            yield Found((mark.place, case.category_places[mark.side]), values)


@rule(
    "mark_in_negative_exam",
    _("Finding %(mark)s (%(label)s) is reported, and the exam is category 1, negative."),
    kinds=IMAGING,
)
def mark_in_negative_exam(case: Case) -> Iterator[Found]:
    """Where the side of its image is not known, or the breast has no category of its own."""
    if case.code("assessment") != "1":
        return
    for mark in case.reported:
        if mark.label not in _HARMLESS and not (mark.side and case.category(mark.side)):
            values = {"mark": str(mark.number), "label": mark.label}
            yield Found((mark.place, Place("field", "assessment")), values)


@rule(
    "suspicious_breast_without_mark",
    _("%(breast)s is BI-RADS %(category)s, and findings are reported in the other breast only (%(mark)s)."),
    severity="warning",
    kinds=IMAGING,
)
def suspicious_breast_without_mark(case: Case) -> Iterator[Found]:
    for side in SIDES:
        category = case.category(side)
        if category not in _NEEDS_ACTION or any(mark.side in (side, "") for mark in case.reported):
            continue
        others = [mark for mark in case.reported if mark.side == OTHER[side]]
        if others and case.category(OTHER[side]) in (*_CALM, ""):
            values = {"breast": side, "category": category, "mark": ", ".join(str(m.number) for m in others)}
            yield Found((case.category_places[side], others[0].place), values)


@rule(
    "category_changed_recommendation_not",
    _(
        "The category changes from %(before)s to %(category)s, and the recommendation “%(recommendation)s” stays."
    ),
    kinds=IMAGING,
)
def category_changed_recommendation_not(case: Case) -> Iterator[Found]:
    """Of addenda: "other", with words of its own that were written for another category. What does not go with the
    new one at all is `recommendation_does_not_fit`."""
    if case.changed is None or "assessment" not in case.changed or "recommendation" in case.changed:
        return
    before, after = case.code("assessment_before"), case.code("assessment")
    standing = case.code("recommendation")
    if standing == words.Recommendation.OTHER:
        values = {"before": before, "category": after, "recommendation": standing}
        yield Found((Place("field", "assessment"), Place("field", "recommendation")), values)

"""Rules of every report: what of the case is not settled, or came after the report was last looked at with it."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext_lazy as _

from cad_platform.reporting.consistency.case import FIELD_OF, Case, Place
from cad_platform.reporting.consistency.rule import Found, rule


def _conclusion(case: Case) -> Place:
    """The field that sums up what is signed."""
    if case.is_addendum:
        return Place("field", "text")
    return Place("field", "assessment" if case.kind == "imaging" else "diagnosis")


@rule(
    "side_unconfirmed",
    _("The side is not confirmed of: %(image)s. Confirm it under “Study”, then sign."),
    may_be_overridden=False,
)
def side_unconfirmed(case: Case) -> Iterator[Found]:
    unsure = [picture for picture in case.pictures if picture.side_is_unsure]
    if not unsure:
        return
    side = unsure[0].side
    field = "laterality" if case.kind == "histopathology" else FIELD_OF.get(side, "assessment")
    other = _conclusion(case) if case.is_addendum else Place("field", field)
    values = {"image": ", ".join(picture.name for picture in unsure)}
    yield Found((*(picture.place for picture in unsure), other), values)


@rule(
    "images_arrived",
    _("Came after this report was last looked at together with its case: %(image)s."),
)
def images_arrived(case: Case) -> Iterator[Found]:
    yield from _arrived(case, "image", "image")


@rule(
    "results_arrived",
    _("The analysis by %(model)s ended after this report was last looked at together with its case."),
)
def results_arrived(case: Case) -> Iterator[Found]:
    yield from _arrived(case, "result", "model")


@rule(
    "case_corrected",
    _("The study was corrected after this report was last looked at together with it: %(reason)s"),
)
def case_corrected(case: Case) -> Iterator[Found]:
    yield from _arrived(case, "correction", "reason")


def _arrived(case: Case, what: str, value: str) -> Iterator[Found]:
    arrived = [arrival for arrival in case.arrivals if arrival.what == what]
    if arrived:
        names = ", ".join(dict.fromkeys(arrival.name for arrival in arrived))
        yield Found((*(arrival.place for arrival in arrived), _conclusion(case)), {value: names})


@rule(
    "files_in_quarantine",
    _("Not all that was sent for this study could be taken in; in quarantine: %(file)s."),
    severity="warning",
)
def files_in_quarantine(case: Case) -> Iterator[Found]:
    if case.quarantined:
        yield Found((Place("study"), _conclusion(case)), {"file": ", ".join(case.quarantined)})


@rule(
    "images_not_seen",
    _("Kept aside, and nobody has opened it: %(image)s."),
    severity="warning",
)
def images_not_seen(case: Case) -> Iterator[Found]:
    if case.unseen:
        values = {"image": ", ".join(picture.name for picture in case.unseen)}
        yield Found((*(picture.place for picture in case.unseen), _conclusion(case)), values)


@rule(
    "marks_undecided",
    _("Not decided yet: %(marks)s. They are recorded as undecided."),
    severity="warning",
)
def marks_undecided(case: Case) -> Iterator[Found]:
    if undecided := case.undecided:
        places = (*(mark.place for mark in undecided), _conclusion(case))
        yield Found(places, {"marks": " ".join(str(mark.number) for mark in undecided)})


@rule(
    "analysis_unfinished",
    _("The analysis by %(model)s has not ended yet."),
    severity="warning",
)
def analysis_unfinished(case: Case) -> Iterator[Found]:
    for result in case.results:
        if result.state == "open":
            yield Found((result.place, _conclusion(case)), {"model": result.title})


@rule(
    "analysis_failed",
    _("The analysis by %(model)s failed; nothing was looked for."),
    severity="warning",
)
def analysis_failed(case: Case) -> Iterator[Found]:
    for result in case.results:
        if result.state == "failed":
            yield Found((result.place, _conclusion(case)), {"model": result.title})

"""What the page about analysing again says: a choice in words, the form's options, and how far each set is."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from cad_platform import modalities
from cad_platform.analysis.selectors import SetProgress
from cad_platform.reading.reanalysis import STATES, Extent, Shown
from cad_platform.reading.states import ReadingState
from cad_platform.registry.models import ModelVersion
from cad_platform.studies.models import Study

_MANY_STATES: Mapping[str, str | Promise] = {
    "unread": gettext_lazy("Not signed yet"),
    "all": gettext_lazy("Signed or not"),
}


@dataclass(frozen=True)
class SetView:
    """One set as the list shows it. `asked` names no patient."""

    id: uuid.UUID
    who: str
    site: str
    requested_at: datetime
    asked: str
    is_open: bool
    is_stopped: bool
    percent: int
    summary: str
    counts: tuple[str, ...]


def state_words(state: str) -> str:
    return str(_MANY_STATES[state] if state in _MANY_STATES else ReadingState(state).label)


def states() -> list[tuple[str, str]]:
    """The form's options."""
    return [(state, state_words(state)) for state in STATES]


def shown_options(versions: Iterable[ModelVersion], in_use: Iterable[ModelVersion]) -> list[tuple[str, str]]:
    """The form's options: whatever there is, what is not by the versions in use, each version."""
    options: list[tuple[str, str]] = [(kind.value, str(kind.label)) for kind in (Shown.ANY, Shown.NONE)]
    options += [
        (f"{Shown.OTHER}:{version.pk}", _shown_words(Shown.OTHER, str(version))) for version in in_use
    ]
    options += [(f"{Shown.BY}:{version.pk}", _shown_words(Shown.BY, str(version))) for version in versions]
    return options


def asked_words(criteria: Mapping[str, str]) -> str:
    """What was asked for. Of a set that another version of the platform wrote, what is known here."""
    if criteria.get("chosen") == "jobs":
        return _("Chosen on the page of jobs")
    known = {"unread", "all", *ReadingState.values}
    state, modality, priority = (criteria.get(name, "") for name in ("state", "modality", "priority"))
    words = [
        modalities.name_of(modality) if modalities.is_registered(modality) else _("Every modality"),
        state_words(state) if state in known else "",
        str(Study.Priority(priority).label) if priority in Study.Priority.values else "",
        _received_words(criteria.get("received_from", ""), criteria.get("received_until", "")),
        _shown_words(criteria.get("shown", ""), criteria.get("version", "")),
    ]
    return " · ".join(word for word in words if word)


def _received_words(first: str, last: str) -> str:
    if first and last:
        return _("received from %(first)s until %(last)s") % {"first": first, "last": last}
    if first:
        return _("received from %(first)s on") % {"first": first}
    return _("received until %(last)s") % {"last": last} if last else ""


def _shown_words(shown: str, version: str) -> str:
    if shown == Shown.NONE:
        return str(Shown.NONE.label)
    if shown == Shown.BY:
        return _("Result by %(version)s") % {"version": version}
    if shown == Shown.OTHER:
        return _("Result by another version than %(version)s") % {"version": version}
    return ""


def why_nothing(extent: Extent) -> str:
    """Why none of a choice would be analysed."""
    if extent.fitting == 0:
        return _("No study fits this choice.")
    if extent.without_model == extent.fitting:
        return _("No model is in use for the studies of this choice.")
    said = _("Every study of this choice has been looked at by the versions in use, or is waiting for them.")
    if extent.without_model:
        left = ngettext(
            "For %(count)d study no model is in use.",
            "For %(count)d studies no model is in use.",
            extent.without_model,
        )
        return f"{said} {left % {'count': extent.without_model}}"
    return said


def set_views(sets: Sequence[SetProgress]) -> list[SetView]:
    return [_set_view(each) for each in sets]


def _set_view(progress: SetProgress) -> SetView:
    asked = progress.reanalysis
    stopped = asked.stopped_at is not None
    counted = [
        (progress.waiting, _("%(count)d not begun") if stopped else _("%(count)d waiting")),
        (progress.at_work, _("%(count)d at work")),
        (progress.done, _("%(count)d done")),
        (progress.failed, _("%(count)d failed")),
        (progress.skipped, _("%(count)d left out")),
    ]
    ended = progress.done + progress.failed + progress.skipped
    return SetView(
        id=asked.pk,
        who=asked.requested_by.printed_name,
        site=str(asked.site) if asked.site else _("Every site"),
        requested_at=asked.requested_at,
        asked=asked_words(asked.criteria),
        is_open=progress.is_open,
        is_stopped=stopped,
        percent=progress.percent,
        summary=_("%(ended)d of %(total)d") % {"ended": ended, "total": progress.total},
        counts=tuple(words % {"count": count} for count, words in counted if count),
    )

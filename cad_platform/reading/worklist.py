"""The worklist: one page of a site's studies, read from the projection (`reading.projection`, ADR 55).

A page begins after the study that the page before it ended with, or ends before the one that the next began with: no
row is counted through to get there. What a reader may have kept, an address with a number alone, leads at most to the
thousandth row.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, field, replace
from typing import Any

from django.db.models import F, Prefetch, Q, QuerySet, TextChoices
from django.utils.translation import gettext_lazy as _

from cad_platform import modalities
from cad_platform.accounts.rules import require
from cad_platform.analysis.models import AnalysisJob
from cad_platform.analysis.verdict import without_results
from cad_platform.core.actor import Actor
from cad_platform.core.numbers import whole_number
from cad_platform.reading import projection, search
from cad_platform.reading.case_state import only_current
from cad_platform.reading.models import WorklistAi, WorklistEntry
from cad_platform.reading.states import PRIORITY_RANKS, ReadingState
from cad_platform.registry.routing import read_once
from cad_platform.studies.models import Study

PAGE_SIZE = 25
#: More studies than that are not counted, and no page number leads further.
COUNT_LIMIT = 1000


class WorklistOrder(TextChoices):
    """How the worklist is sorted. Suggested: priority, then score, then waiting time."""

    SUGGESTED = "suggested", _("Suggested")
    SCORE = "score", _("AI score")
    WAITING = "waiting", _("Longest waiting")
    NEWEST = "newest", _("Newest first")


@dataclass(frozen=True)
class _Key:
    """A column to sort by. A descending one has its missing values last."""

    name: str
    descending: bool = False

    def ordering(self, *, backward: bool) -> Any:
        if self.descending != backward:
            # Of a column that is never missing the index has them where PostgreSQL puts them by itself.
            return F(self.name).desc(nulls_last=True) if self.name == "ai_score" else F(self.name).desc()
        return F(self.name).asc(nulls_first=True) if self.name == "ai_score" else F(self.name).asc()


_ARRIVAL = (_Key("received_at"), _Key("study_id"))
_SCORE = _Key("ai_score", descending=True)
_ORDERING: dict[str, tuple[_Key, ...]] = {
    WorklistOrder.SUGGESTED: (_Key("priority_rank"), _SCORE, *_ARRIVAL),
    WorklistOrder.SCORE: (_SCORE, *_ARRIVAL),
    WorklistOrder.WAITING: _ARRIVAL,
    WorklistOrder.NEWEST: (_Key("received_at", descending=True), _Key("study_id")),
}


@dataclass(frozen=True)
class WorklistFilters:
    """What the reader asked for. `search` holds patient data and therefore never stands in a URL. `after`, `before`:
    the study that the page shown ends or begins with, where it is one of its neighbours that is asked for; `page` is
    then what it is called."""

    state: str = "unread"
    modality: str = ""
    priority: str = ""
    order: str = WorklistOrder.SUGGESTED
    search: str = field(default="", repr=False)
    page: int = 1
    after: uuid.UUID | None = None
    before: uuid.UUID | None = None

    def cleaned(self) -> WorklistFilters:
        """With every unknown value replaced by its default: an old bookmark still opens the list."""
        page = max(1, self.page)
        return replace(
            self,
            state=self.state if self.state in {"unread", "all", *ReadingState.values} else "unread",
            modality=self.modality if modalities.is_registered(self.modality) else "",
            priority=self.priority if self.priority in Study.Priority.values else "",
            order=self.order if self.order in WorklistOrder.values else WorklistOrder.SUGGESTED,
            search=self.search.replace("\0", "").strip()[:100],
            page=page,
            after=self.after if page > 1 else None,
            before=self.before if page > 1 and self.after is None else None,
        )

    @property
    def narrows(self) -> bool:
        """Whether it asks for other studies than the plain list."""
        plain = WorklistFilters(order=self.order, page=self.page, after=self.after, before=self.before)
        return self.cleaned() != plain.cleaned()


@dataclass(frozen=True)
class WorklistPage:
    """One page of studies, with `reading_state`, `ai_score` and `awaits_job` as the projection has them; the jobs that
    count in `current_jobs`. `pages` is 0 where `total` is only known to be larger."""

    studies: list[Study]
    filters: WorklistFilters
    total: int
    is_more: bool
    pages: int
    has_next: bool

    @property
    def place(self) -> str:
        """This page, as a request says it."""
        if self.filters.after:
            return f"{self.filters.page}.after.{self.filters.after}"
        if self.filters.before:
            return f"{self.filters.page}.before.{self.filters.before}"
        return str(self.filters.page)

    @property
    def next_place(self) -> str:
        """The page after this one; empty where there is none."""
        return f"{self.filters.page + 1}.after.{self.studies[-1].pk}" if self.has_next else ""

    @property
    def previous_place(self) -> str:
        """The page before this one; empty where there is none."""
        if self.filters.page <= 1:
            return ""
        return "1" if self.filters.page == 2 else f"{self.filters.page - 1}.before.{self.studies[0].pk}"


def page_asked_for(place: str) -> dict[str, Any]:
    """What `WorklistPage.place` says, for `WorklistFilters`; the first page where it says nothing known."""
    number, _dot, rest = place.partition(".")
    side, _dot, study = rest.partition(".")
    found: dict[str, Any] = {"page": 1 if (page := whole_number(number, digits=6)) is None else page}
    if side in {"after", "before"}:
        with contextlib.suppress(ValueError):
            found[side] = uuid.UUID(study)
    return found


def revision_of_list(actor: Actor, filters: WorklistFilters) -> str:
    """Differs whenever something may differ of what the list shows: two small queries. Raises `NotPermitted`."""
    require(actor, "study.list")
    assert actor.site_id is not None
    # A default is a choice, what a form says is its text.
    asked = [str(each) for each in astuple(filters)]
    return f"{projection.revision(actor.site_id)} {asked}"


@read_once()
def worklist(actor: Actor, filters: WorklistFilters) -> WorklistPage:
    """One page of the actor's site, in a fixed number of queries however many rows.

    Raises
    ------
    NotPermitted
        The actor's role reads no images.
    """
    require(actor, "study.list")
    assert actor.site_id is not None  # the permission admits nobody without a site
    filters = filters.cleaned()
    projection.bring_up_to_date(actor.site_id)
    places = _places(actor.site_id, filters)
    total = places[: COUNT_LIMIT + 1].count()
    is_more = total > COUNT_LIMIT
    total = min(total, COUNT_LIMIT)
    last = max(1, -(-total // PAGE_SIZE))
    keys, filters = _keys_of_page(places, filters, last, is_more=is_more)
    return WorklistPage(
        studies=_studies(keys[:PAGE_SIZE]),
        filters=filters,
        total=total,
        is_more=is_more,
        pages=0 if is_more else last,
        has_next=len(keys) > PAGE_SIZE,
    )


def _places(site_id: int, filters: WorklistFilters) -> QuerySet[Any]:
    """The rows of the projection that meet the filters; those with AI columns only where they are sorted by them."""
    by_score = _SCORE in _ORDERING[filters.order]
    table: Any = WorklistAi if by_score else WorklistEntry
    found = table.objects.filter(site_id=site_id)
    if filters.state == "unread":
        found = found.filter(is_unread=True)
    elif filters.state != "all":
        found = found.filter(reading_state=filters.state)
    if filters.priority:
        found = found.filter(priority_rank=PRIORITY_RANKS[Study.Priority(filters.priority)])
    if filters.modality:
        # As `studies.selectors.of_modality`, by the way from here.
        found = found.filter(
            Q(study__modality=filters.modality) | Q(study__modalities__contains=[filters.modality])
        )
    words = search.sought(filters.search)
    return found.filter(search.studies_with(site_id, words)) if words else found


def _keys_of_page(
    places: QuerySet[Any], filters: WorklistFilters, last: int, *, is_more: bool
) -> tuple[list[uuid.UUID], WorklistFilters]:
    """The studies of the page, and one more where there is one after it; with the filters as they came to be."""
    keys = _ORDERING[filters.order]
    beside = filters.after or filters.before
    if beside is not None:
        there = places.filter(study_id=beside).values(*(key.name for key in keys)).first()
        if there is not None:
            values = [there[key.name] for key in keys]
            if filters.after:
                found = list(_beside(places, keys, values, PAGE_SIZE + 1, backward=False))
            else:
                found = list(_beside(places, keys, values, PAGE_SIZE, backward=True))[::-1]
                # What it was asked for from comes after it.
                found = [*found, beside] if len(found) == PAGE_SIZE else []
            if found:
                return found, filters if is_more else replace(filters, page=min(filters.page, last))
    # No number leads further than is counted; one beyond the end leads to the end.
    page = min(filters.page, last)
    first = (page - 1) * PAGE_SIZE
    ordered = places.order_by(*(key.ordering(backward=False) for key in keys))
    found = list(ordered.values_list("study_id", flat=True)[first : first + PAGE_SIZE + 1])
    return found, replace(filters, page=page, after=None, before=None)


def _beside(
    places: QuerySet[Any], keys: Sequence[_Key], values: Sequence[Any], size: int, *, backward: bool
) -> Iterator[uuid.UUID]:
    """The studies next to a place, nearest first, each stretch by its own range of the index: those that are like it in
    all but the last column, then in all but the last two, and so on."""
    ordering = [key.ordering(backward=backward) for key in keys]
    for alike in reversed(range(len(keys))):
        same = {
            f"{key.name}__isnull" if value is None else key.name: True if value is None else value
            for key, value in zip(keys[:alike], values[:alike], strict=True)
        }
        for condition in _beyond(keys[alike], values[alike], backward=backward):
            stretch = places.filter(condition, **same).order_by(*ordering)
            found = list(stretch.values_list("study_id", flat=True)[:size])
            yield from found
            size -= len(found)
            if size <= 0:
                return


def _beyond(key: _Key, value: Any, *, backward: bool) -> list[Q]:
    """The stretches of a column beyond a value, nearest first; what is missing comes last."""
    missing = Q(**{f"{key.name}__isnull": True})
    if value is None:
        return [~missing] if backward else []
    if key.descending == backward:
        found = [Q(**{f"{key.name}__gt": value})]
    else:
        found = [Q(**{f"{key.name}__lt": value})]
    return [*found, missing] if key is _SCORE and not backward else found


def _studies(keys: Sequence[uuid.UUID]) -> list[Study]:
    """The studies as the page shows them, in the order of their keys."""
    jobs = (
        without_results(only_current(AnalysisJob.objects.select_related("model_version")))
        .defer("model_version__card", "model_version__metrics")
        .order_by("model_version__name")
    )
    found = (
        Study.objects.filter(pk__in=keys)
        .select_related("patient", "site", "report_standing")
        .prefetch_related(Prefetch("jobs", jobs, to_attr="current_jobs"))
        .in_bulk()
    )
    columns = WorklistAi.objects.filter(study__in=keys).in_bulk()
    for key, study in found.items():
        of_ai = columns[key]
        study.reading_state = of_ai.reading_state  # type: ignore[attr-defined]
        study.ai_score = of_ai.ai_score  # type: ignore[attr-defined]
        study.awaits_job = of_ai.awaits_job  # type: ignore[attr-defined]
    return [found[key] for key in keys if key in found]

"""The worklist's projection: what `reading.states` derives of each study, kept so that one indexed query reads it.

The database notes in the transaction that changes something that it did (`reading.worklist_triggers`). Whoever reads
a list first works out anew what was noted, by the one derivation, so no reader ever sees what is no longer so; a task
does the same meanwhile, so that readers mostly find nothing to do. Which versions count changes for all studies at
once: the cases to be read follow before the next list is shown, the settled ones as many as a page may wait for and
the rest in the background. ADR 55.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.db.models import F

from cad_platform import modalities
from cad_platform.patients.selectors import absorbed_into
from cad_platform.reading.models import (
    WorklistAi,
    WorklistChange,
    WorklistEntry,
    WorklistRevision,
    WorklistRouting,
    WorklistSearch,
)
from cad_platform.reading.search import text_of
from cad_platform.reading.states import UNREAD, with_reading_state
from cad_platform.studies.models import Study

#: Raised when the derivation itself comes out otherwise: a new release works out everything anew.
RULES = 2
#: Studies in one transaction.
BATCH = 1000
#: Any number that nothing else locks: with the site's number, one at a time for a site.
_LOCK = 0x50A7
#: Two stretches of the index each rather than "another generation": that would look at all of them. The generation is
#: a value that the planner sees: worked out in the query it would be guessed to lie in the middle, and the whole table
#: be read for a stretch that has no rows.
_BEHIND = """
SELECT
    EXISTS (SELECT 1 FROM reading_worklistchange WHERE site_id = %(site)s),
    EXISTS (SELECT 1 FROM reading_worklistentry
            WHERE site_id = %(site)s AND is_unread AND generation < %(now)s)
        OR EXISTS (SELECT 1 FROM reading_worklistentry
                   WHERE site_id = %(site)s AND is_unread AND generation > %(now)s),
    EXISTS (SELECT 1 FROM reading_worklistentry
            WHERE site_id = %(site)s AND NOT is_unread AND generation < %(now)s)
        OR EXISTS (SELECT 1 FROM reading_worklistentry
                   WHERE site_id = %(site)s AND NOT is_unread AND generation > %(now)s)
"""
_OF_STUDY = ("site_id", "reading_state", "priority_rank", "received_at")
_OF_AI_ALONE = ("ai_score", "has_open_job", "awaits_job")
_PLACE = (*_OF_STUDY, "is_unread")
_OF_ENTRY = ("site", *_PLACE[1:], "generation")
_OF_AI = ("site", *_PLACE[1:], *_OF_AI_ALONE)
_OF_SEARCH = ("site_id", "names", "text")
_SOUGHT = ("patient", "patient__search_name", "patient__patient_id", "accession_number")


def bring_up_to_date(site_id: int) -> None:
    """Work out anew what has changed at a site: every study of which something did, and after another version has come
    into use every study that is to be read. Of those that are settled one batch."""
    noted, unread, settled = _behind(site_id)  # mostly nothing, and so one look
    while noted:
        noted = bool(_take_changes(site_id))
    while unread:
        unread = bool(_catch_up(site_id, unread=True))
    if settled:
        _catch_up(site_id, unread=False)


def _behind(site_id: int) -> tuple[bool, bool, bool]:
    """Whether something was noted of a site, and whether studies to be read, and settled ones, were worked out with
    other versions."""
    with connection.cursor() as cursor:
        cursor.execute(_BEHIND, {"site": site_id, "now": generation()})
        noted, unread, settled = cursor.fetchone()
    return noted, unread, settled


def go_on(batches: int = 5) -> int:
    """What is left to be done at all sites, some of it; how many studies that were. For the background."""
    done = 0
    for site_id in set(WorklistChange.objects.values_list("site_id", flat=True).distinct()):
        done += _take_changes(site_id)
    for site_id in WorklistRevision.objects.order_by("pk").values_list("pk", flat=True):
        for _ in range(batches):
            some = _catch_up(site_id, unread=True) or _catch_up(site_id, unread=False)
            done += some
            if not some:
                break
    return done


def generation() -> str:
    """Names which versions count: another one, another name."""
    return f"{_rules()}{WorklistRouting.objects.count()}"


def _rules() -> str:
    """What the release itself says of which versions count (`registry.routing.has_model`)."""
    brought = " ".join(sorted(each.code for each in modalities.registered() if each.champion))
    return f"{RULES}.{hashlib.sha256(brought.encode()).hexdigest()[:8]}."


def revision(site_id: int) -> int:
    """Differs whenever something may differ of what a list of the site shows, as of now."""
    bring_up_to_date(site_id)
    return WorklistRevision.objects.filter(site=site_id).values_list("number", flat=True).first() or 0


def rebuild() -> int:
    """Work out every study of every site anew; how many there are."""
    done = 0
    for site_id, keys in _by_site():
        with transaction.atomic():
            _lock(site_id)
            _write(site_id, keys, generation())
        done += len(keys)
    return done


@dataclass(frozen=True)
class Difference:
    """A study of which the projection says something else than the derivation."""

    study: uuid.UUID
    column: str
    kept: Any
    derived: Any


def verify(site_id: int | None = None) -> Iterator[Difference]:
    """Where the projection, brought up to date, differs from the derivation."""
    for site, keys in _by_site(site_id):
        bring_up_to_date(site)
        while _catch_up(site, unread=False):
            pass
        with transaction.atomic():
            _lock(site)
            kept: list[Mapping[uuid.UUID, Any]] = [
                WorklistEntry.objects.in_bulk(keys),
                WorklistAi.objects.in_bulk(keys),
                WorklistSearch.objects.in_bulk(keys),
            ]
            entries, columns, searches = _derived(keys, generation())
            derived: list[Mapping[uuid.UUID, Any]] = [
                {row.study_id: row for row in entries},
                {row.study_id: row for row in columns},
                {row.study_id: row for row in searches},
            ]
            compared = (_PLACE, (*_PLACE, *_OF_AI_ALONE), _OF_SEARCH)
            noted = set(WorklistChange.objects.filter(site_id=site).values_list("study_id", flat=True))
        # What changed in between was noted, and is no difference.
        for key in set(keys) - noted:
            for there, right, names in zip(kept, derived, compared, strict=True):
                for name in names:
                    values = getattr(there.get(key), name, None), getattr(right.get(key), name, None)
                    if values[0] != values[1]:
                        yield Difference(key, name, *values)


def _by_site(site_id: int | None = None) -> Iterator[tuple[int, list[uuid.UUID]]]:
    """The studies that have a place, by site, some at a time."""
    found = Study.objects.filter(erased_at__isnull=True).exclude(modality="").order_by("site_id", "pk")
    sites = found.order_by("site_id").values_list("site_id", flat=True).distinct()
    for site in [site_id] if site_id is not None else sites:
        after = uuid.UUID(int=0)
        of_site = found.filter(site_id=site)
        while keys := list(of_site.filter(pk__gt=after).values_list("pk", flat=True)[:BATCH]):
            yield site, keys
            after = keys[-1]


def _take_changes(site_id: int) -> int:
    """What was noted of a site, a batch of it; 0 where nothing was."""
    noted = WorklistChange.objects.filter(site_id=site_id).order_by("pk")
    if not noted.exists():
        return 0  # mostly: one look, without a transaction
    with transaction.atomic():
        _lock(site_id)
        # First which and how, then what: what is committed in between is noted again or already in the answer.
        rows = list(noted.values_list("pk", "study_id")[:BATCH])
        WorklistChange.objects.filter(pk__in=[row[0] for row in rows]).delete()
        _write(site_id, {key for _, key in rows if key is not None}, generation())
    return len(rows)


def _catch_up(site_id: int, *, unread: bool) -> int:
    """Studies that were worked out with other versions, a batch of them."""
    now = generation()
    of_site = WorklistEntry.objects.filter(site_id=site_id, is_unread=unread)
    behind = of_site.filter(generation__lt=now), of_site.filter(generation__gt=now)
    if not any(stretch.exists() for stretch in behind):
        return 0
    with transaction.atomic():
        _lock(site_id)
        keys = {key for stretch in behind for key in stretch.values_list("pk", flat=True)[:BATCH]}
        _write(site_id, keys, now)
    return len(keys)


def _lock(site_id: int) -> None:
    """One at a time for a site, until the transaction ends: an older answer never overwrites a newer one."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_LOCK, site_id])


def _write(site_id: int, keys: Iterable[uuid.UUID], routing: str) -> None:
    """The tables for some studies of a locked site, and that the site has changed."""
    keys = set(keys)
    if keys:
        entries, columns, searches = _derived(keys, routing)
        WorklistEntry.objects.bulk_create(
            entries, update_conflicts=True, unique_fields=["study"], update_fields=_OF_ENTRY
        )
        WorklistAi.objects.bulk_create(
            columns, update_conflicts=True, unique_fields=["study"], update_fields=_OF_AI
        )
        WorklistSearch.objects.bulk_create(
            searches, update_conflicts=True, unique_fields=["study"], update_fields=("site", "names", "text")
        )
        for table in (WorklistEntry, WorklistAi, WorklistSearch):
            table.objects.filter(study__in=keys - {each.study_id for each in entries}).delete()
    if not WorklistRevision.objects.filter(site=site_id).update(number=F("number") + 1):
        WorklistRevision.objects.create(site_id=site_id, number=1)


def _derived(
    keys: Iterable[uuid.UUID], routing: str
) -> tuple[list[WorklistEntry], list[WorklistAi], list[WorklistSearch]]:
    """Rows of the tables, not saved, as one look at the studies gives them. A study that began with a report has
    none: there is nothing to read before its images come."""
    studies = with_reading_state(
        Study.objects.filter(pk__in=keys, erased_at__isnull=True).exclude(modality="")
    )
    entries, columns, searches = [], [], []
    rows = list(studies.order_by("pk").values("pk", *_OF_STUDY, *_OF_AI_ALONE, *_SOUGHT))
    absorbed = absorbed_into({row["patient"] for row in rows})
    for row in rows:
        place = {
            "study_id": row["pk"],
            "is_unread": row["reading_state"] in UNREAD,
            **{name: row[name] for name in _OF_STUDY},
        }
        entries.append(WorklistEntry(**place, generation=routing))
        columns.append(WorklistAi(**place, **{name: row[name] for name in _OF_AI_ALONE}))
        others = absorbed[row["patient"]]
        names = " ".join(filter(None, [row["patient__search_name"], *(name for name, _ in others)]))
        numbers = [row["patient__patient_id"] or "", *(number for _, number in others)]
        text = text_of(names, *numbers, row["accession_number"])
        searches.append(WorklistSearch(study_id=row["pk"], site_id=row["site_id"], names=names, text=text))
    return entries, columns, searches

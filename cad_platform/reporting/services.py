"""What may happen to a report: drafts are opened, saved and discarded; a signed one gets addenda; all are read. Signing
stands in `reporting.signing`.

Everything here checks the permission, records the action and commits both together.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO

from django.db import transaction
from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext as _

from cad_platform.accounts.rules import require
from cad_platform.audit.selectors import TrailEntry, trail_of_study
from cad_platform.audit.services import record
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, Invalid
from cad_platform.core.request_keys import KeyReused
from cad_platform.reading import report_standing
from cad_platform.reporting import content as contents
from cad_platform.reporting import selectors, stamping
from cad_platform.reporting.ai_summary import with_current_lines
from cad_platform.reporting.consistency.case import Case
from cad_platform.reporting.consistency.rule import Contradiction
from cad_platform.reporting.drafts import (
    StaleRevision,
    draft,
    lock_draft,
    lock_reportable,
    record_of,
)
from cad_platform.reporting.kinds.addendum import AddendumContent
from cad_platform.reporting.merging import merge
from cad_platform.reporting.models import DraftPresence, Report
from cad_platform.reporting.selectors import other_writers
from cad_platform.studies import storage
from cad_platform.studies.models import Study


@dataclass(frozen=True)
class Saved:
    """A saved draft, the contradictions in its case as it stood `at` that moment, and the coded fields where another
    writer's value stayed (`keep_both` only)."""

    report: Report
    contradictions: list[Contradiction]
    case: Case
    at: datetime
    chosen_theirs: tuple[str, ...] = ()


@dataclass(frozen=True)
class OpenPdf:
    """An open PDF of a signed report; its receiver closes `handle`. `tag` changes with its bytes."""

    report: Report
    handle: BinaryIO
    tag: str

    @property
    def size(self) -> int:
        return os.fstat(self.handle.fileno()).st_size


@transaction.atomic
def open_draft(actor: Actor, study: Study) -> Report:
    """The study's draft, made where there is none; the actor is then among its writers.

    Raises
    ------
    NotPermitted
        The actor drafts no reports of this study.
    Conflict
        `signed`; or the study is withdrawn or not complete.
    """
    require(actor, "report.draft", study)
    study = lock_reportable(study)
    report = Report.objects.filter(study=study, kind=Report.Kind.REPORT).first()
    if report is None:
        content = contents.empty(study.modality)
        report = Report.objects.create(
            study=study, content=contents.dump(content), created_by=actor.user, updated_by=actor.user
        )
        report_standing.draft_begun(study)
        record_of(actor, "report.open", report)
    elif report.state == Report.State.SIGNED:
        raise Conflict(_("The report is signed. Write an addendum instead."), code="signed")
    _mark_present(actor, report)
    return report


@transaction.atomic
def open_addendum(actor: Actor, study: Study) -> Report:
    """A draft addendum to the study's signed report; the one that is being written, where there is one.

    Raises
    ------
    NotPermitted
        The actor drafts no reports of this study.
    Conflict
        `not_signed`: there is nothing to add to; or the study is withdrawn or not complete.
    """
    require(actor, "report.draft", study)
    study = lock_reportable(study)
    signed = Report.objects.filter(study=study, kind=Report.Kind.REPORT, state=Report.State.SIGNED).first()
    if signed is None:
        raise Conflict(_("Only a signed report can have an addendum."), code="not_signed")
    addendum = Report.objects.filter(study=study, state=Report.State.DRAFT).first()
    if addendum is None:
        addendum = Report.objects.create(
            study=study,
            kind=Report.Kind.ADDENDUM,
            amends=signed,
            content=contents.dump(AddendumContent()),
            created_by=actor.user,
            updated_by=actor.user,
        )
        report_standing.draft_begun(study)
        record_of(actor, "report.open", addendum)
    _mark_present(actor, addendum)
    return addendum


@transaction.atomic
def save_draft(
    actor: Actor,
    report_id: uuid.UUID,
    content: dict[str, Any],
    revision: int,
    *,
    keep_both: bool = False,
    request_key: uuid.UUID | None = None,
    follows: Collection[uuid.UUID] = (),
    looked_at: datetime | None = None,
) -> Saved:
    """Keep what was written so far.

    A save whose answer got lost is no other writer: the actor's own saves, by their keys, are part of what a save
    started from, and the same key again is answered as it was.

    Parameters
    ----------
    content
        JSON of the draft's kind, as `content.parse` takes it.
    revision
        The one that the writer started from.
    keep_both
        Join both versions over their common start where somebody has saved since.
    request_key
        Names the save.
    follows
        The keys of the actor's earlier saves whose answers did not come: they may have been kept, or not.
    looked_at
        When the writer last looked at the report together with its case; by default now.

    Returns
    -------
    Saved
        The draft, its `revision` counted up where anything changed.

    Raises
    ------
    NotFound, NotPermitted
        There is no such draft (any more), or the actor may not write it.
    Invalid
        The content cannot be kept; the fields are named.
    StaleRevision
        Somebody has saved since, and `keep_both` was not asked for.
    Conflict
        It is signed.
    """
    report = lock_draft(actor, report_id, "report.draft")
    if _is_saved(actor, report, request_key):
        return _saved(report, contents.parse(report.content), report.updated_at, (), looked_at)
    revision = _newest_own(actor, report, revision, follows)
    mine = with_current_lines(contents.parse(content), report.study)
    chosen: tuple[str, ...] = ()
    if mine.kind != report.content["kind"]:
        raise Invalid(_("This is the content of another kind of report."))
    if report.revision != revision:
        if not keep_both:
            raise StaleRevision(report)
        merged = merge(type(mine), _content_at(report, revision), report.content, contents.dump(mine))
        mine = with_current_lines(contents.parse(merged.content), report.study)
        chosen = merged.chosen_theirs
    _mark_present(actor, report)
    stored = contents.dump(mine)
    at = timezone.now()
    if stored == report.content:
        return _saved(report, mine, at, chosen, looked_at)
    report.content = stored
    report.revision += 1
    report.saved_key = request_key
    report.updated_by, report.updated_at = actor.user, at
    report.save(update_fields=["content", "revision", "saved_key", "updated_by", "updated_at"])
    record_of(actor, "report.save_draft", report, revision=report.revision)
    return _saved(report, mine, at, chosen, looked_at)


def _saved(
    report: Report,
    content: contents.ReportContent,
    at: datetime,
    chosen: tuple[str, ...],
    looked_at: datetime | None,
) -> Saved:
    case, found = selectors.contradictions_of(report, content, looked_at=looked_at)
    return Saved(report, found, case, at, chosen)


@transaction.atomic
def discard_draft(actor: Actor, report_id: uuid.UUID) -> None:
    """Throw a draft away. Its history stays in the database.

    Raises
    ------
    NotFound, NotPermitted
        There is no such draft (any more), or the actor may not write it.
    Conflict
        It is signed.
    """
    report = lock_draft(actor, report_id, "report.draft")
    record_of(actor, "report.discard", report, revision=report.revision)
    report_standing.draft_discarded(report.study)
    report.delete()


@transaction.atomic
def update_presence(actor: Actor, report_id: uuid.UUID) -> tuple[Report, list[str]]:
    """Say that the actor has the draft open; answers the draft and the printed names of the other writers."""
    report = _lock_for_presence(actor, report_id)
    _mark_present(actor, report)
    return report, other_writers(actor, report)


@transaction.atomic
def leave_draft(actor: Actor, report_id: uuid.UUID) -> None:
    """The actor has closed the draft."""
    report = _lock_for_presence(actor, report_id)
    DraftPresence.objects.filter(report=report, user=actor.user).delete()


# --- what is opened to be read ----------------------------------------------------------------------------


@transaction.atomic
def open_folder(actor: Actor, study: Study) -> selectors.ReportFolder:
    """The reports of a study and what the actor may do about them. Recorded where there is one to read."""
    folder = selectors.folder(actor, study)
    if folder.signed or (folder.draft and folder.may_draft):
        record(actor, "report.view", object_type="study", object_id=study.pk, site_id=study.site_id)
    return folder


@transaction.atomic
def open_pdf(actor: Actor, report_id: uuid.UUID, *, as_signed: bool = False) -> OpenPdf:
    """A signed report of the actor's site as a PDF, with the fact that it was read.

    Parameters
    ----------
    as_signed
        The bytes that were signed; else, where something was added or corrected since, each page says so.

    Raises
    ------
    NotFound, NotPermitted
        There is no such signed report at the site, or the actor may not read it.
    Unavailable
        The storage does not answer, or the notice could not be made.
    """
    report, pdf = selectors.pdf_of(actor, report_id)
    record_of(actor, "report.pdf", report, as_signed=as_signed)
    copy = None if as_signed else stamping.stamped(report)
    if copy is not None:
        return OpenPdf(report, copy.open("rb"), copy.stem)
    with storage.open(pdf.sha256) as path:
        return OpenPdf(report, path.open("rb"), pdf.sha256)


@transaction.atomic
def open_trail(actor: Actor, study: Study) -> list[TrailEntry]:
    """Who viewed, decided and signed; looking at it is recorded too."""
    require(actor, "audit.view_object", study)
    entries = trail_of_study(study.pk)
    record(actor, "study.trail", object_type="study", object_id=study.pk, site_id=study.site_id)
    return entries


def _lock_for_presence(actor: Actor, report_id: uuid.UUID) -> Report:
    """A draft that cannot be signed or discarded while somebody says that it is open."""
    report = draft(actor, report_id, "report.draft")
    if (
        Report.objects.select_for_update(no_key=True).filter(pk=report_id, state=Report.State.DRAFT).first()
        is None
    ):
        # Signed or discarded while we waited: says which.
        return draft(actor, report_id, "report.draft")
    return report


def _history(report: Report) -> Any:
    """What the draft was, revision by revision."""
    from django.apps import apps

    return apps.get_model("reporting", "ReportEvent").objects.filter(pgh_obj_id=report.pk).order_by("pgh_id")


def _content_at(report: Report, revision: int) -> dict[str, Any]:
    """The content of an earlier revision, from the history; empty where there is none."""
    event = _history(report).filter(revision=revision).first()
    return dict(event.content) if event else {}


def _is_saved(actor: Actor, report: Report, key: uuid.UUID | None) -> bool:
    """Whether the save of this key came before; `report` is then what it came to."""
    event = _history(report).filter(saved_key=key).first() if key else None
    if event is None:
        return False
    if event.updated_by_id != actor.user.pk:
        raise KeyReused
    report.revision, report.content, report.updated_at = event.revision, event.content, event.updated_at
    return True


def _newest_own(actor: Actor, report: Report, revision: int, keys: Collection[uuid.UUID]) -> int:
    """The revision that a save started from: the one that the writer saw, or what came of own saves since."""
    own = _history(report).filter(saved_key__in=keys, updated_by_id=actor.user.pk) if keys else None
    return max(revision, (own.aggregate(newest=Max("revision"))["newest"] or 0) if own is not None else 0)


def _mark_present(actor: Actor, report: Report) -> None:
    DraftPresence.objects.update_or_create(
        report=report, user=actor.user, defaults={"seen_at": timezone.now()}
    )

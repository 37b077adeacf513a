"""Reader studies: several readers, several cases, several modalities; do they see more with one of them? By the
laboratory's analysis, of tables so small that a request waits for it: a person's, or one of what readers signed
(`signed_readings`)."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from cad_platform import modalities
from cad_platform.accounts.models import Site
from cad_platform.accounts.rules import require
from cad_platform.analysis.tables import TableRefused, read_rows
from cad_platform.audit.services import record
from cad_platform.core.actor import Actor
from cad_platform.core.errors import FieldError, Invalid, NotFound
from cad_platform.core.sentences import Sentences, as_it_came
from cad_platform.quality import signed_readings
from cad_platform.quality.models import ReaderStudy
from cad_platform.quality.picking import Choice
from cad_platform.registry.models import ModelVersion
from cad_platform.studies.typed_text import has_controls

LONGEST_NAME = 120
LONGEST_TABLE = 2_000_000
#: A request waits for the analysis: below two seconds of a processor at the most.
MOST_READINGS, MOST_READERS, MOST_MODALITIES = 20_000, 30, 8

#: What gives the same numbers in the laboratory, without and with cases nested in readers.
_COMMAND = "python -m inference mrmc --scores TABLE.csv --out DIR"
_NESTED = "python -m inference mrmc --nested --scores TABLE.csv --out DIR"
_REFUSALS = Sentences(
    {
        "%(modalities)s modality(ies) and %(readers)s reader(s): a comparison needs two of each at least": gettext_noop(
            "modalities: %(modalities)s, readers: %(readers)s; a comparison needs two of each at least"
        ),
        "case %(case)s is read by %(a)s and by %(b)s; nested in readers, each case has one reader": gettext_noop(
            "case %(case)s is read by %(a)s and by %(b)s: choose that every reader has read every case"
        ),
        "each case has one reader: such cases are nested in readers, which has to be said": gettext_noop(
            "each case has one reader in this table: choose that each case was read by one reader"
        ),
    },
    also=(
        gettext_noop("line %(line)s: no %(column)s"),
        gettext_noop("line %(line)s: the truth %(word)s is neither 1 nor 0"),
        gettext_noop("line %(line)s: case %(case)s has another truth than before"),
        gettext_noop("line %(line)s: reader %(reader)s reads case %(case)s with %(modality)s a second time"),
        gettext_noop("line %(line)s: the score %(word)s is no number"),
        gettext_noop(
            "reader %(reader)s has not read case %(case)s with %(modality)s; every reader must read every case with "
            "every modality"
        ),
        gettext_noop(
            "reader %(reader)s has not read case %(case)s with %(modality)s; every reader must read each of the own "
            "cases with every modality"
        ),
        gettext_noop("reader %(reader)s has fewer than two cases of a class"),
        gettext_noop("fewer than two cases of a class"),
        gettext_noop("the readers' scores do not vary: there is no error to measure a difference by"),
    ),
)


def analyse(actor: Actor, name: str, table: str, *, is_nested: bool) -> ReaderStudy:
    """Analyse a table of readings and keep what came of it.

    Parameters
    ----------
    table
        CSV with the columns `reader, modality, case, truth, score`.
    is_nested
        Each case has one reader; otherwise every reader has read every case. It is said, never guessed from the table.

    Raises
    ------
    NotPermitted
    Invalid
        The table is not complete, not of the kind that was said, or too large to wait for; the sentence says which
        line and why.
    """
    require(actor, "reader_study.manage")
    return _kept(actor, _checked(name), table, is_nested=is_nested)


def analyse_signed(
    actor: Actor, name: str, version: ModelVersion, site: Site, choice: Choice, answer: str
) -> ReaderStudy:
    """Analyse what readers of a site signed of known studies beside a version's scores, and keep what came of it with
    the table.

    Raises
    ------
    NotPermitted
    Invalid
        See `signed_readings.readings`.
    """
    require(actor, "reader_study.manage")
    name = _checked(name)
    found = signed_readings.readings(version, site, choice, answer)
    return _kept(actor, name, found.table, is_nested=True, source=found.source, site=site)


def versions(actor: Actor) -> QuerySet[ModelVersion]:
    """Those whose scores can be compared with readers' categories. Raises `NotPermitted`."""
    require(actor, "reader_study.manage")
    read = [code for code in modalities.codes() if signed_readings.are_assessed(code)]
    return ModelVersion.objects.filter(modality__in=read).order_by("name", "-registered_at")


def _checked(name: str) -> str:
    name = name.strip()
    if not name or len(name) > LONGEST_NAME or has_controls(name):
        raise _refused(_("A name of at most 120 characters is wanted."), field="name")
    return name


def _kept(
    actor: Actor,
    name: str,
    table: str,
    *,
    is_nested: bool,
    source: dict[str, Any] | None = None,
    site: Site | None = None,
) -> ReaderStudy:
    """What came of a table; one of the platform's own making is kept with it, and where it is from."""
    assert actor.user is not None
    rows = _rows(table)
    from inference.challenges import mrmc_report, reader_scores
    from inference.challenges.report import ChallengeError

    try:
        study: reader_scores.Study | reader_scores.NestedStudy
        study = reader_scores.nested_study_of(rows) if is_nested else reader_scores.study_of(rows)
        report = replace(mrmc_report.report_of(study), command=_NESTED if is_nested else _COMMAND)
    except ChallengeError as error:
        raise _refused(_REFUSALS.words(str(error)) or as_it_came(str(error))) from None
    digest = hashlib.sha256(table.encode()).hexdigest()
    of_reports = {} if source is None else {"name": source["name"], "version": source["version"]}
    with transaction.atomic():
        made = ReaderStudy.objects.create(
            name=name,
            made_by=actor.user,
            table_sha256=digest,
            table="" if source is None else table,
            source=source,
            is_nested=is_nested,
            readings=len(rows),
            report=report.as_json(),
            text=report.as_text(),
            curves=mrmc_report.curves_of(study),
        )
        record(
            actor, "reader_study.make", object_type="reader_study", object_id=made.pk,
            site_id=site.pk if site else None, readings=len(rows), table_sha256=digest,
            nested=is_nested, **of_reports,
        )  # fmt: skip
    return made


def _rows(table: str) -> Sequence[tuple[int, Mapping[str, str]]]:
    """Raises `Invalid` for a table that is none, or is too large to wait for."""
    from inference.challenges import reader_scores

    if len(table.encode()) > LONGEST_TABLE:
        raise _refused(_("The table is larger than 2 MB."))
    try:
        rows = read_rows(table, *reader_scores.COLUMNS)
    except TableRefused as error:
        raise _refused(*error.reasons[:20]) from None
    for column, most in (("reader", MOST_READERS), ("modality", MOST_MODALITIES)):
        if len({row[column] for _line, row in rows}) > most:
            raise _refused(
                _("More than %(most)d values in the column %(column)s.") % {"most": most, "column": column}
            )
    if len(rows) > MOST_READINGS:
        raise _refused(
            _(
                "More than 20,000 readings: analyse them with python -m inference mrmc on a machine of the laboratory."
            )
        )
    return rows


def studies(actor: Actor) -> QuerySet[ReaderStudy]:
    """The latest first. Raises `NotPermitted`."""
    require(actor, "reader_study.manage")
    return ReaderStudy.objects.select_related("made_by").defer("report", "text", "curves", "table")


def study(actor: Actor, study_id: uuid.UUID) -> ReaderStudy:
    """One with all of it. Raises `NotFound` or `NotPermitted`."""
    require(actor, "reader_study.manage")
    found = ReaderStudy.objects.select_related("made_by").filter(pk=study_id).first()
    if found is None:
        raise NotFound(_("There is no such reader study."))
    return found


@transaction.atomic
def downloaded(actor: Actor, study_id: uuid.UUID, kind: str) -> ReaderStudy:
    """One that leaves the platform as a file. Raises `NotFound` or `NotPermitted`."""
    found = study(actor, study_id)
    if kind == "csv" and not found.table:
        raise NotFound(_("The table of this study is not kept."))
    record(actor, "reader_study.download", object_type="reader_study", object_id=found.pk, kind=kind)
    return found


def _refused(*sentences: str, field: str = "table") -> Invalid:
    return Invalid(
        _("The reader study was not analysed."), errors=tuple(FieldError(each, field) for each in sentences)
    )

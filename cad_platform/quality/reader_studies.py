"""Reader studies: several readers, several cases, several modalities; do they see more with one of them? By the
laboratory's analysis, of tables so small that a request waits for it."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import replace

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from cad_platform.accounts.rules import require
from cad_platform.analysis.tables import TableRefused, read_rows
from cad_platform.audit.services import record
from cad_platform.core.actor import Actor
from cad_platform.core.errors import FieldError, Invalid, NotFound
from cad_platform.core.sentences import Sentences, as_it_came
from cad_platform.quality.models import ReaderStudy
from cad_platform.studies.typed_text import has_controls

LONGEST_NAME = 120
LONGEST_TABLE = 2_000_000
#: A request waits for the analysis: below two seconds of a processor at the most.
MOST_READINGS, MOST_READERS, MOST_MODALITIES = 20_000, 30, 8

#: What gives the same numbers in the laboratory.
_COMMAND = "python -m inference mrmc --scores TABLE.csv --out DIR"
_REFUSALS = Sentences(
    {
        "%(modalities)s modality(ies) and %(readers)s reader(s): a comparison needs two of each at least": gettext_noop(
            "modalities: %(modalities)s, readers: %(readers)s; a comparison needs two of each at least"
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
        gettext_noop("fewer than two cases of a class"),
        gettext_noop("the readers' scores do not vary: there is no error to measure a difference by"),
    ),
)


def analyse(actor: Actor, name: str, table: str) -> ReaderStudy:
    """Analyse a table of readings and keep what came of it.

    Parameters
    ----------
    table
        CSV with the columns `reader, modality, case, truth, score`.

    Raises
    ------
    NotPermitted
    Invalid
        The table is not complete, or too large to wait for; the sentence says which line and why.
    """
    require(actor, "reader_study.manage")
    assert actor.user is not None
    name = name.strip()
    if not name or len(name) > LONGEST_NAME or has_controls(name):
        raise _refused(_("A name of at most 120 characters is wanted."), field="name")
    if len(table.encode()) > LONGEST_TABLE:
        raise _refused(_("The table is larger than 2 MB."))
    from inference.challenges import mrmc_report, reader_scores
    from inference.challenges.report import ChallengeError

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
    try:
        study = reader_scores.study_of(rows)
        report = replace(mrmc_report.report_of(study), command=_COMMAND)
    except ChallengeError as error:
        raise _refused(_REFUSALS.words(str(error)) or as_it_came(str(error))) from None
    digest = hashlib.sha256(table.encode()).hexdigest()
    with transaction.atomic():
        made = ReaderStudy.objects.create(
            name=name,
            made_by=actor.user,
            table_sha256=digest,
            readings=len(rows),
            report=report.as_json(),
            text=report.as_text(),
            curves=mrmc_report.curves_of(study),
        )
        record(
            actor, "reader_study.make", object_type="reader_study", object_id=made.pk, readings=len(rows),
            table_sha256=digest,
        )  # fmt: skip
    return made


def studies(actor: Actor) -> QuerySet[ReaderStudy]:
    """The latest first. Raises `NotPermitted`."""
    require(actor, "reader_study.manage")
    return ReaderStudy.objects.select_related("made_by").defer("report", "text", "curves")


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
    record(actor, "reader_study.download", object_type="reader_study", object_id=found.pk, kind=kind)
    return found


def _refused(*sentences: str, field: str = "table") -> Invalid:
    return Invalid(
        _("The reader study was not analysed."), errors=tuple(FieldError(each, field) for each in sentences)
    )

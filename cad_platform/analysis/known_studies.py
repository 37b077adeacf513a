"""What is true of studies, as a person's table says or as signed pathology does (`quality.known_truth`): known cases,
by which versions are compared."""

from __future__ import annotations

from collections import defaultdict

from django.core.files import File
from django.db import transaction
from django.utils.translation import gettext as _

from cad_platform.accounts.rules import require
from cad_platform.analysis.models import KnownTruth
from cad_platform.analysis.tables import TableRefused, decoded, read_rows
from cad_platform.audit.services import record
from cad_platform.core.actor import Actor
from cad_platform.core.errors import FieldError, Invalid
from cad_platform.studies.models import Study

#: Rows of one table.
MOST_ROWS = 10_000
#: Bytes of one.
LONGEST_TABLE = 2_000_000
_STUDY, _POSITIVE = "study", "positive"
_WORDS = {"yes": True, "1": True, "positive": True, "malignant": True, "no": False, "0": False, "negative": False,
          "benign": False, "normal": False}  # fmt: skip


def record_file(actor: Actor, file: File) -> int:
    """`record_truth` of an uploaded file; raises `Invalid` of one that is too large or not UTF-8, too."""
    if file.size > LONGEST_TABLE:
        raise _refused(_("The table is larger than 2 MB."))
    try:
        return record_truth(actor, decoded(file.read()))
    except TableRefused as error:
        raise _refused(*error.reasons) from None


@transaction.atomic
def record_truth(actor: Actor, table: str) -> int:
    """Keep what is known of studies, from a table of two columns, `study` (its UID) and `positive` (yes or no); returns
    of how many. All or nothing.

    Raises
    ------
    NotPermitted
    Invalid
        No such columns, a study that is not here, or neither yes nor no: the first ten lines are named.
    """
    require(actor, "model.manage")
    try:
        rows = read_rows(table, _STUDY, _POSITIVE)
    except TableRefused as error:
        raise _refused(*error.reasons) from None
    if not 0 < len(rows) <= MOST_ROWS:
        raise _refused(_("A CSV with the columns study and positive, of up to 10,000 lines"))
    uids = [row[_STUDY] for _line, row in rows]
    known: dict[str, list[Study]] = defaultdict(list)
    for study in Study.objects.filter(study_instance_uid__in=uids, withdrawn_at=None).only(
        "pk", "study_instance_uid"
    ):
        known[study.study_instance_uid].append(study)
    entries, wrong = [], []
    for line, row in rows:
        uid, positive = row[_STUDY], _WORDS.get(row[_POSITIVE].lower())
        if positive is None or len(known[uid]) != 1:
            wrong.append(_("line %(line)d: no such study, or neither yes nor no") % {"line": line})
            continue
        entries.append(KnownTruth(study=known[uid][0], positive=positive, source="table", by=actor.user))
    if wrong:
        raise _refused(*wrong)
    return keep_truth(actor, entries, "table")


def keep_truth(actor: Actor, entries: list[KnownTruth], source: str) -> int:
    """What is known of studies, from `source`, which the audit log names; how many they are."""
    KnownTruth.objects.bulk_create(entries)
    record(
        actor, "truth.record", object_type="known_truth", object_id="", studies=len(entries), source=source
    )
    return len(entries)


def _refused(*reasons: str) -> Invalid:
    return Invalid(
        _("The table was not taken."), errors=tuple(FieldError(each, "table") for each in reasons[:10])
    )

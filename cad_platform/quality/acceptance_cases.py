"""The known cases that a version is measured on, as a person's table tells them; `picking` has what the platform knows.

A case is a study with a label; where the study shows both breasts, a positive one says which breast it tells of, and
the images of the other are left out: nothing is known of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from cad_platform.accounts.models import Site
from cad_platform.analysis.tables import TableRefused, read_rows
from cad_platform.core.errors import FieldError, Invalid
from cad_platform.registry.models import ModelVersion
from cad_platform.registry.selectors import manifest_of
from cad_platform.studies.models import Instance, Study

#: Studies of one measurement.
FEWEST, MOST = 50, 500
#: Bytes of a table.
LONGEST_TABLE = 1_000_000
_NAMED = 10
_STUDY, _LABEL, _SIDE = "study", "label", "side"
_SIDES = frozenset({"", "L", "R"})


@dataclass(frozen=True)
class KnownCase:
    """A study, what is known of it, and of which breast; an empty side: of all that it shows."""

    study_id: Any
    label: str
    side: str = ""


def read_table(version: ModelVersion, site: Site, table: str) -> list[KnownCase]:
    """The cases of a table: columns `study` (accession number or study instance UID) and `label`, and where it is
    needed `side`. Commas, semicolons or tabs.

    Raises
    ------
    Invalid
        Anything that is not as it should be; the first ten lines are named.
    """
    try:
        rows = read_rows(table, _STUDY, _LABEL)
    except TableRefused as error:
        raise refused(*_first(error.reasons)) from None
    labels = labels_known(version)
    named = named_studies(site, {row[_STUDY] for _line, row in rows})
    both = with_both_sides(study.pk for found in named.values() for study in found)
    cases: list[KnownCase] = []
    wrong: list[str] = []
    seen: dict[tuple[Any, str], int] = {}
    for line, row in rows:
        try:
            case = _case(row, named[row[_STUDY]], labels, both, version.modality)
            if (first := seen.setdefault((case.study_id, case.side), line)) != line:
                raise ValueError(_("the study stands in line %(line)d already") % {"line": first})
        except ValueError as error:
            wrong.append(_("line %(line)d: %(why)s") % {"line": line, "why": error})
        else:
            cases.append(case)
    if wrong:
        raise refused(*_first(wrong))
    check_count(len({case.study_id for case in cases}))
    return cases


def labels_known(version: ModelVersion) -> Mapping[str, bool]:
    """Label → whether it is positive for the model's question."""
    from inference.evaluation.cases import labels_of

    return labels_of(manifest_of(version))


def named_studies(site: Site, names: set[str]) -> Mapping[str, list[Study]]:
    """Studies by what a table may call them, their UID or their accession number, of one site."""
    found: dict[str, list[Study]] = defaultdict(list)
    here = Study.objects.filter(site=site, withdrawn_at=None).only(
        "pk", "study_instance_uid", "accession_number", "modality", "state"
    )
    for study in here.filter(study_instance_uid__in=names):
        found[study.study_instance_uid].append(study)
    for study in here.filter(accession_number__in=names - set(found) - {""}):
        found[study.accession_number].append(study)
    return found


def _case(
    row: Mapping[str, str], found: list[Study], labels: Mapping[str, bool], both: set[Any], modality: str
) -> KnownCase:
    """One row's case. Raises `ValueError` with what is wrong of it."""
    label, side = row[_LABEL].lower(), row.get(_SIDE, "").upper()
    if not found:
        raise ValueError(_("the site has no study with this accession number or UID"))
    if len(found) > 1:
        raise ValueError(_("several studies have this accession number: name the study by its UID"))
    (study,) = found
    if study.modality != modality:
        raise ValueError(_("the model does not read studies of this kind"))
    if study.state != Study.State.COMPLETE:
        raise ValueError(_("the study is not complete"))
    if label not in labels:
        raise ValueError(_("the label is none of %(known)s") % {"known": ", ".join(labels)})
    if side not in _SIDES:
        raise ValueError(_("the side is neither L nor R"))
    if labels[label] and not side and study.pk in both:
        raise ValueError(_("the study shows both breasts: say L or R in a column side"))
    return KnownCase(study.pk, label, side)


def with_both_sides(studies: Iterable[Any]) -> set[Any]:
    sides: dict[Any, set[str]] = defaultdict(set)
    pairs = Instance.objects.filter(series__study__in=list(studies), active=True).order_by()
    for study, side in pairs.values_list("series__study", "laterality").distinct():
        sides[study] |= {"L", "R"} if side == "B" else {side}
    return {study for study, seen in sides.items() if {"L", "R"} <= seen}


def check_count(studies: int) -> None:
    if not FEWEST <= studies <= MOST:
        raise refused(
            _("%(count)d known studies; a measurement takes from %(fewest)d to %(most)d")
            % {"count": studies, "fewest": FEWEST, "most": MOST}
        )


def _first(reasons: Sequence[str]) -> list[str]:
    left = len(reasons) - _NAMED
    return [*reasons[:_NAMED], *([_("and %(count)d more") % {"count": left}] if left > 0 else [])]


def refused(*reasons: str) -> Invalid:
    return Invalid(
        _("The known cases were not taken."), errors=tuple(FieldError(reason, "table") for reason in reasons)
    )

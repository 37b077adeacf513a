"""The known studies of a site: all of them, or those of a period, device, label and source, from which a person picks
the cases of an acceptance. What is known of a study has the order that comparisons have: a person's table, else
signed pathology.

A study shows no patient here: its accession number, its day and its device.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import BooleanField, Case, F, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce, TruncDate
from django.utils.translation import gettext as _

from cad_platform.accounts.models import Site
from cad_platform.accounts.rules import require
from cad_platform.analysis.models import KnownTruth
from cad_platform.audit.services import record
from cad_platform.core import choices
from cad_platform.core.actor import Actor
from cad_platform.core.days import asked_day
from cad_platform.quality.acceptance_cases import (
    MOST,
    KnownCase,
    check_count,
    named_studies,
    refused,
    with_both_sides,
)
from cad_platform.quality.facts import diagnosis_of
from cad_platform.quality.models import AnalysisFact
from cad_platform.quality.truth import proven_positive
from cad_platform.registry.models import ModelVersion
from cad_platform.registry.selectors import manifest_of
from cad_platform.studies.models import Study

TABLE, PATHOLOGY = "table", "pathology"
POSITIVE, NEGATIVE = "positive", "negative"


@dataclass(frozen=True)
class Choice:
    """What is asked for; empty is everything. Days are those of the study, both inclusive; `device` is a part of its
    name, `search` the beginning of an accession number or the whole study instance UID."""

    since: str = ""
    until: str = ""
    device: str = ""
    label: str = ""
    source: str = ""
    search: str = ""


@dataclass(frozen=True)
class KnownStudy:
    """A study of which something is known. `side` is the breast that a positive one tells of; where the study shows
    both and nothing says which, it is no case (`is_usable`)."""

    study: Study
    day: Any
    device: str
    label: str
    source: str
    side: str
    is_usable: bool


@dataclass(frozen=True)
class Found:
    """The first of the studies that fit a choice, the latest first, and how many fit."""

    studies: Sequence[KnownStudy]
    count: int

    @property
    def usable(self) -> list[str]:
        return [each.study.study_instance_uid for each in self.studies if each.is_usable]


def choice_from(asked: Mapping[str, Any]) -> Choice:
    """From a form or a body.

    Raises
    ------
    Invalid
        A label or source that there is not: a misspelt filter must not mean "all".
    NotATime
    """
    return choices.choice_from(
        asked,
        Choice,
        known={"label": (POSITIVE, NEGATIVE), "source": (TABLE, PATHOLOGY)},
        days=("since", "until"),
    )


@transaction.atomic
def open_known(actor: Actor, version: ModelVersion, site: Site, choice: Choice, most: int = MOST) -> Found:
    """What a choice finds, with the fact that it was looked at. Raises `NotPermitted`."""
    require(actor, "model.manage")
    fit = fitting(version, site, choice)
    found = Found(_told(version, fit[:most]), fit.count())
    record(
        actor, "acceptance.list_known", object_type="known_truth", object_id="", site_id=site.pk,
        name=version.name, version=version.version, shown=len(found.studies),
    )  # fmt: skip
    return found


def picked(version: ModelVersion, site: Site, names: Sequence[str]) -> list[KnownCase]:
    """The cases that a person named by accession number or study instance UID, with what is known of them.

    Raises
    ------
    Invalid
        One is not among the site's known studies or cannot be a case, or they are too few or too many.
    """
    wanted = list(dict.fromkeys(name.strip() for name in names))
    check_count(len(wanted))
    by_name = named_studies(site, set(wanted))
    meant = {name: found[0].pk for name, found in by_name.items() if len(found) == 1}
    among = _known(version, site).filter(pk__in=meant.values())
    known = {each.study.pk: each for each in _told(version, among)}
    wrong, cases = [], {}
    for name in wanted:
        each = known.get(meant[name]) if name in meant else None
        if len(by_name.get(name, ())) > 1:
            wrong.append(
                _("%(study)s: several studies have this accession number; name the study by its UID")
                % {"study": name}
            )
        elif each is None:
            wrong.append(_("%(study)s: nothing is known of such a study at this site") % {"study": name})
        elif not each.is_usable:
            wrong.append(
                _("%(study)s: it shows both breasts, and nothing says which one the disease is in")
                % {"study": name}
            )
        else:
            cases[each.study.pk] = KnownCase(each.study.pk, each.label, each.side)
    if wrong:
        raise refused(*wrong[:10])
    check_count(len(cases))
    return list(cases.values())


def of_platform(version: ModelVersion, site: Site) -> list[KnownCase]:
    """Every known study of the site that can be a case, the latest first, as many as a measurement takes.

    Raises
    ------
    Invalid
        Of fewer studies than a measurement takes.
    """
    known = _known(version, site)
    cases: list[KnownCase] = []
    start = 0
    while len(cases) < MOST and (told := _told(version, known[start : start + MOST])):
        cases += [KnownCase(each.study.pk, each.label, each.side) for each in told if each.is_usable]
        start += MOST
    check_count(len(cases[:MOST]))
    return cases[:MOST]


def _known(version: ModelVersion, site: Site) -> QuerySet[Any]:
    """Studies of the site that the model reads and of which something is known, annotated with what."""
    facts = AnalysisFact.objects.filter(study=OuterRef("pk"), model_version__name=version.name)
    proven = AnalysisFact.objects.filter(
        site=site, model_version__name=version.name, proven_positive__isnull=False
    )
    told = KnownTruth.objects.filter(study=OuterRef("pk")).order_by("-at", "-pk")
    latest = facts.order_by("-ended_at", "pk")
    by_table = Q(told_by=TABLE)
    return (
        Study.objects.filter(
            site=site, modality=version.modality, state=Study.State.COMPLETE, withdrawn_at=None
        )
        .filter(
            Q(pk__in=KnownTruth.objects.filter(study__site=site).values("study"))
            | Q(pk__in=proven.values("study"))
        )
        .annotate(
            told=Subquery(told.values("positive")[:1]),
            told_by=Subquery(told.values("source")[:1]),
            proven=Subquery(latest.filter(proven_positive__isnull=False).values("proven_positive")[:1]),
            device=Coalesce(Subquery(latest.values("device")[:1]), Value("")),
            day=Coalesce("study_date", TruncDate("received_at")),
        )
        .annotate(
            positive=Case(
                When(by_table, then=F("told")), default=Coalesce("proven", "told"), output_field=BooleanField()
            ),
            source=Case(When(by_table, then=Value(TABLE)), default=Value(PATHOLOGY)),
        )
        .order_by("-day", "-received_at", "pk")
    )  # fmt: skip


def fitting(version: ModelVersion, site: Site, choice: Choice) -> QuerySet[Any]:
    """The known studies of a site that fit a choice, the latest first, each with `positive`, `source` and `day`."""
    found = _known(version, site)
    if (since := asked_day(vars(choice), "since")) is not None:
        found = found.filter(day__gte=since)
    if (until := asked_day(vars(choice), "until")) is not None:
        found = found.filter(day__lte=until)
    if choice.device:
        found = found.filter(device__icontains=choice.device)
    if choice.label:
        found = found.filter(positive=choice.label == POSITIVE)
    if choice.source:
        found = found.filter(source=choice.source)
    if choice.search:
        found = found.filter(
            Q(accession_number__istartswith=choice.search) | Q(study_instance_uid=choice.search)
        )
    return found


def _told(version: ModelVersion, found: QuerySet[Any]) -> list[KnownStudy]:
    studies: list[Any] = list(found.select_related("patient"))
    both = with_both_sides(study.pk for study in studies if study.positive)
    sides = _sides(version, [study for study in studies if study.pk in both])
    return [
        KnownStudy(
            study=study, day=study.day, device=study.device, label=POSITIVE if study.positive else NEGATIVE,
            source=study.source, side=sides.get(study.pk) or "",
            is_usable=study.pk not in sides or sides[study.pk] is not None,
        )
        for study in studies
    ]  # fmt: skip


def _sides(version: ModelVersion, studies: Collection[Study]) -> dict[Any, str | None]:
    """Of positive studies of both breasts the one that pathology names; empty: it names both, None: neither."""
    asked = manifest_of(version).positive_class if studies else ""
    found: dict[Any, str | None] = {}
    for study in studies:
        named = [side for side in "LR" if proven_positive(asked, diagnosis_of(study, side))]
        found[study.pk] = None if not named else named[0] if len(named) == 1 else ""
    return found

"""Which jobs the page of jobs shows: a choice, as its form's address has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime, time, timedelta

from django.db.models import QuerySet
from django.utils import timezone

from cad_platform.accounts.models import Site
from cad_platform.analysis import selectors
from cad_platform.analysis.models import AnalysisJob
from cad_platform.core import choices
from cad_platform.core.actor import Actor
from cad_platform.core.days import asked_day
from cad_platform.registry.models import ModelVersion
from cad_platform.studies.models import Study


@dataclass(frozen=True)
class JobChoice:
    """What is asked for; empty is everything. `reason` is a part of the sentence as the job keeps it; the days are
    those of the platform's time zone, both inclusive."""

    state: str = ""
    queue: str = ""
    model: str = ""
    version: str = ""
    site: str = ""
    reason: str = ""
    requested_from: str = ""
    requested_until: str = ""

    def query(self) -> dict[str, str]:
        """As the form's address has it, without what nobody chose."""
        asked = {each.name: str(getattr(self, each.name)) for each in fields(self)}
        return {name: value for name, value in asked.items() if value}


def choice_from(asked: Mapping[str, str]) -> JobChoice:
    """From a form or an address.

    Raises
    ------
    Invalid
        A state or queue that there is not: a misspelt filter must not mean "all".
    NotATime
        A day that there is not.
    """
    return choices.choice_from(
        asked,
        JobChoice,
        known={"state": ("open", *AnalysisJob.State.values), "queue": AnalysisJob.Queue.values},
        days=("requested_from", "requested_until"),
    )


def chosen(actor: Actor, choice: JobChoice) -> QuerySet[AnalysisJob]:
    """The jobs, newest first. Raises `NotPermitted` for whoever is no administrator."""
    found = selectors.all_jobs(actor)
    if choice.state == "open":
        found = found.filter(state__in=AnalysisJob.OPEN)
    elif choice.state:
        found = found.filter(state=choice.state)
    exact = {
        "queue": choice.queue,
        "model_version__name": choice.model,
        "model_version__version": choice.version,
        "study__site__code": choice.site,
        "reason__icontains": choice.reason,
    }
    found = found.filter(**{name: value for name, value in exact.items() if value})
    if (begin := asked_day(vars(choice), "requested_from")) is not None:
        found = found.filter(requested_at__gte=_begin_of(begin))
    if (last := asked_day(vars(choice), "requested_until")) is not None:
        found = found.filter(requested_at__lt=_begin_of(last + timedelta(days=1)))
    return found


def studies_of(actor: Actor, choice: JobChoice) -> QuerySet[Study]:
    """The studies of the jobs. Raises `NotPermitted` for whoever is no administrator."""
    return Study.objects.filter(pk__in=chosen(actor, choice).order_by().values("study"))


def options(actor: Actor) -> dict[str, list[str]]:
    """What there is to choose from: models, versions and sites. Raises `NotPermitted`."""
    selectors.all_jobs(actor)
    versions = ModelVersion.objects.order_by("name", "version")
    return {
        "models": sorted(set(versions.values_list("name", flat=True))),
        "versions": sorted(set(versions.values_list("version", flat=True))),
        "sites": list(Site.objects.order_by("code").values_list("code", flat=True)),
    }


def _begin_of(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))

"""What administrators may read of figures and alerts, added up over what they choose."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from cad_platform.accounts.models import Role, Site, User
from cad_platform.accounts.rules import require
from cad_platform.core.actor import Actor
from cad_platform.core.errors import FieldError, Invalid, NotFound
from cad_platform.core.numbers import whole_number
from cad_platform.quality.counting import SUBGROUPS, Counts
from cad_platform.quality.measures import Measured, Watched, auc_of, drift, judged
from cad_platform.quality.models import Alert, AlertRule, AnalysisFact, DeviceTest, HourlyFigures
from cad_platform.quality.truth import settled
from cad_platform.registry.models import ModelVersion

#: Days that may be looked at.
PERIODS = (1, 7, 30, 90)
#: Groups with fewer judged cases have no AUC of their own.
_FEWEST_OF_A_GROUP = 30


@dataclass(frozen=True)
class Choice:
    """Which figures: of one version, at a site or all, of the last days."""

    version: ModelVersion | None
    site: Site | None
    days: int

    @property
    def since(self) -> datetime:
        return timezone.now() - timedelta(days=self.days)

    def rows(self, model: Any) -> QuerySet[Any]:
        found: QuerySet[Any] = model.objects.none()
        if self.version:
            found = model.objects.filter(model_version=self.version)
        return found.filter(site=self.site) if self.site else found


@dataclass(frozen=True)
class Group:
    """One subgroup: how many verdicts, how many of them positive, and the AUC where enough is known."""

    name: str
    value: str
    cases: int
    positive: int
    judged: int
    auc: tuple[float, float, float] | None


def choose(actor: Actor, version: str, site: str, days: str) -> Choice:
    """What an address asks for; the version that worked last where it names none. Raises `NotPermitted`."""
    require(actor, "quality.view")
    known = versions(actor)
    key = whole_number(version)
    chosen = known.filter(pk=key).first() if key is not None else None
    if chosen is None:
        last = AnalysisFact.objects.order_by("-ended_at").values_list("model_version", flat=True).first()
        worked = known.filter(pk=last).first() if last is not None else None
        chosen = worked or known.filter(is_default=True).first()
    period = whole_number(days)
    return Choice(
        chosen,
        sites(actor).filter(code=site).first() if site else None,
        period if period in PERIODS else 7,
    )


def chosen(actor: Actor, *, model: str, version: str, site: str | None, days: int) -> Choice:
    """What a program asks for by name, where everything that it names must be there.

    Raises
    ------
    NotFound, NotPermitted
        There is no such version or site; the actor is no administrator.
    Invalid
        Figures are not added up over so many days.
    """
    found = versions(actor).filter(name=model, version=version).first()
    at = sites(actor).filter(code=site).first() if site else None
    if found is None or (site and at is None):
        raise NotFound(_("There is no such model version or site."))
    if days not in PERIODS:
        raise Invalid(
            _("Figures are not added up over so many days."),
            errors=(FieldError(_("One of %(days)s.") % {"days": ", ".join(map(str, PERIODS))}, "days"),),
        )
    return Choice(found, at, days)


def versions(actor: Actor) -> QuerySet[ModelVersion]:
    """Those that figures may be of."""
    require(actor, "quality.view")
    return ModelVersion.objects.defer("card", "metrics").order_by("name", "-registered_at")


def sites(actor: Actor) -> QuerySet[Site]:
    require(actor, "quality.view")
    return Site.objects.order_by("name")


def totals(actor: Actor, choice: Choice) -> Counts:
    """Everything of the period together."""
    require(actor, "quality.view")
    rows = choice.rows(HourlyFigures).filter(hour__gte=choice.since)
    return Counts.sum_of(rows.values_list("counts", flat=True))


def by_time(actor: Actor, choice: Choice) -> list[tuple[datetime, Counts]]:
    """Of each hour for one day, of each day for more, those without anything too."""
    require(actor, "quality.view")
    begin = _hour if choice.days == 1 else _day
    step = timedelta(hours=1) if choice.days == 1 else timedelta(days=1)
    found: dict[datetime, Counts] = {}
    moment = begin(choice.since)
    while moment <= timezone.now():
        found[moment] = Counts()
        moment += step
    rows = choice.rows(HourlyFigures).filter(hour__gte=begin(choice.since))
    for hour, counts in rows.order_by("hour").values_list("hour", "counts"):
        found.setdefault(begin(hour), Counts()).add(Counts.of_json(counts))
    return sorted(found.items())


def watched(actor: Actor, choice: Choice) -> list[Watched]:
    """The sites that a choice is of, each as the rules see it."""
    require(actor, "quality.view")
    if choice.version is None:
        return []
    facts = choice.rows(AnalysisFact).order_by().values_list("site_id", "modality").distinct()
    positive = choice.version.manifest.get("positive_class", "")
    return [
        Watched(site, choice.version.pk, modality, positive, timezone.now())
        for site, modality in sorted(facts)
    ]


def cases(actor: Actor, choice: Choice) -> list[tuple[float, bool]]:
    """Score and truth of the latest cases that have one, of all sites of a choice."""
    return [case for each in watched(actor, choice) for case in judged(each)]


def drifts(actor: Actor, choice: Choice) -> Iterator[tuple[Site, Measured | None]]:
    """Of each site how far its scores are from its first; None where there are too few."""
    names = {site.pk: site for site in sites(actor)}
    for each in watched(actor, choice):
        found = drift(each, float("inf"))
        yield names[each.site_id], found[0] if found else None


def device_tests(actor: Actor, choice: Choice) -> list[DeviceTest]:
    """The latest of each device."""
    require(actor, "quality.view")
    tests = choice.rows(DeviceTest).select_related("site").order_by("site", "device", "-up_to")
    return list(tests.distinct("site", "device"))


def groups(actor: Actor, choice: Choice) -> list[Group]:
    """Subgroups of what ended in the period, by name and value."""
    require(actor, "quality.view")
    facts = choice.rows(AnalysisFact).filter(ended_at__gte=choice.since, score__isnull=False)
    rows = list(facts.values("score", "is_positive", "said_positive", "proven_positive", *SUBGROUPS))
    asked = choice.version.manifest.get("positive_class", "") if choice.version else ""
    found = []
    for name in SUBGROUPS:
        for value in sorted({row[name] for row in rows}):
            own = [row for row in rows if row[name] == value]
            known = [
                (row["score"], truth)
                for row in own
                if (truth := settled(asked, row["proven_positive"], row["said_positive"])) is not None
            ]
            area = auc_of(known) if len(known) >= _FEWEST_OF_A_GROUP else None
            positive = sum(row["is_positive"] is True for row in own)
            found.append(Group(name, value, len(own), positive, len(known), area))
    return found


def alerts(actor: Actor, *, standing: bool | None = None) -> QuerySet[Alert]:
    """Alerts, the latest first: those that go on, those that ended, or all."""
    require(actor, "quality.view")
    found = Alert.objects.select_related("rule__owner", "site", "model_version", "acknowledged_by")
    return found if standing is None else found.filter(ended_at__isnull=standing)


def alert(actor: Actor, alert_id: uuid.UUID) -> Alert:
    """One alert. Raises `NotFound` or `NotPermitted`."""
    found = alerts(actor).filter(pk=alert_id).first()
    if found is None:
        raise NotFound(_("There is no such alert."))
    return found


def rules(actor: Actor) -> QuerySet[AlertRule]:
    require(actor, "quality.view")
    return AlertRule.objects.select_related("owner")


def owners(actor: Actor) -> QuerySet[User]:
    """Who may be in charge of a rule."""
    require(actor, "quality.manage")
    return User.objects.filter(role=Role.ADMINISTRATOR, is_active=True).order_by("last_name", "pk")


def owner_named(actor: Actor, username: str | None) -> User | None:
    """An administrator by name; None, which is every administrator, for none. Raises `Invalid` or `NotPermitted`."""
    if username is None:
        return None
    found = owners(actor).filter(username=username).first()
    if found is None:
        reason = _("There is no administrator of that name whose account is active.")
        raise Invalid(_("The rule was not changed."), errors=(FieldError(reason, "owner"),))
    return found


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def _day(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0, second=0, microsecond=0)

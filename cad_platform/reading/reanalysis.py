"""Which studies a person may choose to have analysed again, and how many of a choice need it. Administrators ask it
too, for every site: it counts, and shows no study and no patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet, TextChoices
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from cad_platform import modalities
from cad_platform.accounts.rules import require
from cad_platform.analysis.again import without_result
from cad_platform.analysis.models import AnalysisJob
from cad_platform.core.actor import Actor
from cad_platform.core.days import asked_day
from cad_platform.core.errors import FieldError, Invalid
from cad_platform.core.numbers import whole_number
from cad_platform.reading.case_state import only_current
from cad_platform.reading.states import ReadingState, narrowed
from cad_platform.registry.models import ModelVersion
from cad_platform.registry.routing import routed_versions
from cad_platform.registry.selectors import newest_first
from cad_platform.studies.models import Study

#: The reading states in which a study can be analysed, and the two that stand for several.
STATES = (
    "unread",
    ReadingState.ANALYSING,
    ReadingState.READY,
    ReadingState.DRAFT,
    ReadingState.SIGNED,
    "all",
)
_GAVE_NONE = (AnalysisJob.State.FAILED, AnalysisJob.State.NOT_APPLICABLE, AnalysisJob.State.CANCELLED)


class Shown(TextChoices):
    """Whose result a study shows now (`case_state.only_current`)."""

    ANY = "any", gettext_lazy("Any result, or none")
    NONE = "none", gettext_lazy("No result: failed, or not analysed")
    BY = "by", gettext_lazy("Of one version")
    OTHER = "other", gettext_lazy("Of another version than one")


@dataclass(frozen=True)
class Choice:
    """What is asked for. `version` says of which, or than which other, where `shown` names one. The days are those of
    the platform's time zone, both inclusive."""

    state: str = "unread"
    modality: str = ""
    priority: str = ""
    received_from: date | None = None
    received_until: date | None = None
    shown: str = Shown.ANY
    version: ModelVersion | None = None

    def query(self) -> dict[str, str]:
        """As a form's address has it, without what nobody chose."""
        plain = Choice()
        names = ("state", "modality", "priority", "received_from", "received_until")
        asked = {
            name: str(getattr(self, name)) for name in names if getattr(self, name) != getattr(plain, name)
        }
        return asked | ({"shown": self.shown_key} if self.shown != Shown.ANY else {})

    @property
    def shown_key(self) -> str:
        """`any`, `none`, `by:7` or `other:7`."""
        return f"{self.shown}:{self.version.pk}" if self.version else str(self.shown)

    def criteria(self) -> dict[str, str]:
        """As a set keeps it: names, which outlive the form's keys."""
        asked = {"state": self.state} | self.query()
        if self.shown != Shown.ANY:
            asked["shown"] = self.shown
        return asked | ({"version": str(self.version)} if self.version else {})


@dataclass(frozen=True)
class Extent:
    """Of the studies that a choice names: how many there are, how many would be analysed, and for how many no model is
    in use."""

    fitting: int
    needed: int
    without_model: int


def choice_from(asked: Mapping[str, str]) -> Choice:
    """From a form or an address. Raises `Invalid` for what it does not know: a misspelt filter must not mean "all"."""
    shown, _colon, key = asked.get("shown", "").partition(":")
    return checked(
        Choice(
            state=asked.get("state") or "unread",
            modality=asked.get("modality", ""),
            priority=asked.get("priority", ""),
            received_from=asked_day(asked, "received_from"),
            received_until=asked_day(asked, "received_until"),
            shown=shown or Shown.ANY,
            version=_version(pk=number) if (number := whole_number(key)) is not None else None,
        )
    )


def checked(choice: Choice) -> Choice:
    """The choice, if each of its values exists. Raises `Invalid`."""
    known = {
        "state": choice.state in STATES,
        "modality": choice.modality in {"", *modalities.codes()},
        "priority": choice.priority in {"", *Study.Priority.values},
        "shown": choice.shown in Shown.values
        and (choice.version is not None) == (choice.shown in {Shown.BY, Shown.OTHER}),
    }
    wrong = [name for name, is_known in known.items() if not is_known]
    if wrong:
        raise _invalid(*wrong)
    return choice


def version_named(name: str, version: str) -> ModelVersion:
    """A version by what people call it. Raises `Invalid`."""
    return _version(name=name, version=version)


def other_than(version_id: int) -> Choice:
    """The studies not signed yet that show a result of another version of the same model. Raises `Invalid`."""
    return Choice(shown=Shown.OTHER, version=_version(pk=version_id))


def chosen(actor: Actor, choice: Choice) -> QuerySet[Study]:
    """The studies of the actor's site (an administrator's: of every site) that can be analysed and that the choice
    names.

    Raises
    ------
    NotPermitted
        The actor has nothing analysed again.
    """
    require(actor, "study.reanalyse")
    studies = Study.objects.filter(state=Study.State.COMPLETE, withdrawn_at__isnull=True)
    if actor.site_id is not None:
        studies = studies.filter(site_id=actor.site_id)
    studies = narrowed(studies, choice.state, choice.modality, choice.priority)
    if choice.received_from is not None:
        studies = studies.filter(received_at__gte=_begin_of(choice.received_from))
    if choice.received_until is not None:
        studies = studies.filter(received_at__lt=_begin_of(choice.received_until + timedelta(days=1)))
    return _showing(studies, choice)


def extent(actor: Actor, choice: Choice) -> Extent:
    """How many studies a choice names and how many of them would be analysed. Raises `NotPermitted`."""
    studies = chosen(actor, choice)
    served = routed_versions().values("modality")
    return Extent(
        fitting=studies.count(),
        needed=without_result(studies).count(),
        without_model=studies.exclude(modality__in=served).count(),
    )


def versions_to_choose(actor: Actor) -> list[ModelVersion]:
    """The versions whose results the actor's studies may show: by name, newest first. Raises `NotPermitted`."""
    require(actor, "study.reanalyse")
    jobs = AnalysisJob.objects.filter(model_version=OuterRef("pk"))
    if actor.site_id is not None:
        jobs = jobs.filter(study__site_id=actor.site_id)
    return newest_first(ModelVersion.objects.filter(Exists(jobs)))


def _showing(studies: QuerySet[Any], choice: Choice) -> QuerySet[Any]:
    current = only_current(AnalysisJob.objects.filter(study=OuterRef("pk")))
    if choice.shown == Shown.NONE:
        return studies.filter(~Exists(current) | Exists(current.filter(state__in=_GAVE_NONE)))
    if choice.version is None:
        return studies
    results = current.filter(state=AnalysisJob.State.SUCCEEDED, model_version__name=choice.version.name)
    if choice.shown == Shown.BY:
        return studies.filter(Exists(results.filter(model_version=choice.version)))
    return studies.filter(Exists(results.exclude(model_version=choice.version)))


def _begin_of(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))


def _version(**named: object) -> ModelVersion:
    found = ModelVersion.objects.filter(**named).first()
    if found is None:
        raise _invalid("shown")
    return found


def _invalid(*fields: str) -> Invalid:
    reason = _("unknown value")
    return Invalid(
        _("This choice of studies is not known here. Please choose again."),
        errors=tuple(FieldError(reason, field) for field in fields),
    )

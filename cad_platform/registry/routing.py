"""Which versions of the models run for a study, and which of them count: the one place that says so.

Of each model of the study's modalities one version is shown: the canary, where the study's patient falls into its
share; else the default of the site, where it has one of its own; else the default of the platform. A patient's share is
drawn once, by a hash of the patient and the model's name, so all of a patient's studies are analysed by one version and
a larger share holds every patient of a smaller one. Beside it another version may run in shadow: what it says is kept
apart (`analysis.ShadowResult`) and no reader sees it.

Jobs keep the version that they were made for; whether a job's version is still routed is asked here too, of one study
in Python and of many in SQL, by the same shares.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial

from django.db.models import Exists, F, Func, IntegerField, OuterRef, Q, QuerySet, TextField, Value
from django.db.models.functions import Cast, Coalesce, Concat
from django.db.models.lookups import GreaterThanOrEqual, LessThan

from cad_platform import modalities
from cad_platform.registry.models import ModelRoute, ModelVersion
from cad_platform.studies.models import Study

#: A model's studies are analysed with another version now. Payload: `name`.
ROUTED_TOPIC = "model.routed"
_BUCKETS = 100
#: Of `read_once`: nothing yet, or what was read.
_read: ContextVar[list[Sequence[Share]] | None] = ContextVar("read", default=None)


@dataclass(frozen=True)
class Share:
    """Studies that one version analyses: those of `sites` (with `elsewhere` of all others) whose patients' buckets lie
    from `low` to below `high`."""

    name: str
    version_id: int
    modality: str
    sites: frozenset[int]
    elsewhere: bool
    low: int = 0
    high: int = _BUCKETS

    def takes(self, study: Study) -> bool:
        """Whether the study is one of them."""
        here = (study.site_id in self.sites) != self.elsewhere
        return here and self.low <= bucket_of(study, self.name) < self.high

    def studies(self, prefix: str = "") -> Q:
        """The same as a condition on rows that lead to a study by `prefix`, as Django's lookups write it."""
        of_sites = Q(**{f"{prefix}site__in": sorted(self.sites)})
        condition = (~of_sites if self.sites else Q()) if self.elsewhere else of_sites
        if self.low > 0:
            condition &= Q(GreaterThanOrEqual(_bucket(prefix, self.name), self.low))
        if self.high < _BUCKETS:
            condition &= Q(LessThan(_bucket(prefix, self.name), self.high))
        return condition


def route(study: Study) -> list[ModelVersion]:
    """The versions that analyse this study now, by name, without their long texts. Their results are the ones that
    count: one of each model."""
    found = list(routed_versions(study.modalities or [study.modality]).defer("card", "metrics"))
    special = shares()
    names = {share.name for share in special}
    chosen = {share.version_id for share in special if share.takes(study)}
    return [v for v in found if (v.pk in chosen if v.name in names else v.is_default)]


def shadows(study: Study) -> list[ModelVersion]:
    """The versions that look at this study unseen, by name: those that the study is not shown the result of."""
    of = ModelRoute.objects.filter(
        kind=ModelRoute.Kind.SHADOW, version__modality__in=study.modalities or [study.modality]
    )
    routes = (
        of.filter(Q(site=study.site_id) | Q(site=None))
        .select_related("version")
        .order_by("name", F("site").desc(nulls_last=True))
    )
    by_name: dict[str, ModelVersion] = {}
    for each in routes:
        by_name.setdefault(each.name, each.version)
    shown = {version.pk for version in route(study)} if by_name else set()
    return [version for version in by_name.values() if version.pk not in shown]


def routed_versions(of: Collection[str] | None = None) -> QuerySet[ModelVersion]:
    """The versions whose results some studies show, of some modalities (of any where None), by name."""
    found = ModelVersion.objects.filter(is_in_use()).order_by("name", "pk")
    return found if of is None else found.filter(modality__in=of)


def standby_versions() -> QuerySet[ModelVersion]:
    """The versions that are known and analyse nothing that is shown; a retired one is not asked for any more."""
    return ModelVersion.objects.exclude(is_in_use()).exclude(state=ModelVersion.State.RETIRED)


def is_in_use() -> Q:
    """As a condition on versions: the results of some studies are theirs."""
    shown = ModelRoute.objects.filter(version=OuterRef("pk"), kind__in=ModelRoute.SHOWN)
    return Q(is_default=True) | Q(Exists(shown))


def is_analysed() -> Q:
    """As a condition on studies: some version is routed to them."""
    special = shares()
    default = ModelVersion.objects.filter(is_default=True, modality=OuterRef("modality"))
    condition = Q(Exists(default.exclude(name__in={share.name for share in special})))
    for share in special:
        condition |= Q(modality=share.modality) & share.studies()
    return condition


def has_model() -> Q:
    """As a condition on studies: a model analyses such studies. One is routed, or the platform brings one for the
    modality, which becomes the default at the first start."""
    brought = [modality.code for modality in modalities.registered() if modality.champion]
    return Q(modality__in=brought) | is_analysed()


def is_routed_job() -> Q:
    """As a condition on jobs: their version is routed to their study."""
    special = shares()
    plain = Q(model_version__is_default=True)
    if not special:
        return plain
    condition = plain & ~Q(model_version__name__in=sorted({share.name for share in special}))
    for share in special:
        condition |= Q(model_version=share.version_id) & share.studies("study__")
    return condition


@contextmanager
def read_once() -> Iterator[None]:
    """Inside, and in what it decorates, the routes are read once: for who composes one page of many conditions. Nothing
    that locks may wait inside, or it would go on with the routes of before."""
    if _read.get() is not None:
        yield
        return
    token = _read.set([])
    try:
        yield
    finally:
        _read.reset(token)


def shares() -> Sequence[Share]:
    """How the studies are shared out, of those models that more is said of than one default; of the others the
    default analyses all."""
    kept = _read.get()
    if kept is None:
        return _shares()
    if not kept:
        kept.append(_shares())
    return kept[0]


def _shares() -> Sequence[Share]:
    by_name: dict[str, list[ModelRoute]] = defaultdict(list)
    for each in (
        ModelRoute.objects.filter(kind__in=ModelRoute.SHOWN)
        .select_related("version")
        .only("name", "kind", "percent", "site", "version__modality")
    ):
        by_name[each.name].append(each)
    if not by_name:
        return ()
    defaults = dict(ModelVersion.objects.filter(is_default=True, name__in=by_name).values_list("name", "pk"))
    return [
        share for name, routes in by_name.items() for share in _shares_of(name, routes, defaults.get(name))
    ]


def fingerprint() -> list[tuple[object, ...]]:
    """Differs whenever studies are shared out otherwise between the versions, defaults apart."""
    shown = ModelRoute.objects.filter(kind__in=ModelRoute.SHOWN).order_by("pk")
    return list(shown.values_list("pk", "version", "site", "kind", "percent"))


def bucket_of(study: Study, name: str) -> int:
    """Which of 100 equal parts of the patients the study's belongs to, for one model; a study without a patient stands
    for itself."""
    key = f"{study.patient_id or study.pk}:{name}"
    return int(hashlib.md5(key.encode(), usedforsecurity=False).hexdigest()[:8], 16) % _BUCKETS


def _bucket(prefix: str, name: str) -> Func:
    """`bucket_of` in SQL."""
    whose = Coalesce(Cast(F(f"{prefix}patient_id"), TextField()), Cast(F(f"{prefix}id"), TextField()))
    return Func(
        Concat(whose, Value(f":{name}"), output_field=TextField()),
        template=f"MOD(('x' || substr(md5(%(expressions)s), 1, 8))::bit(32)::bigint, {_BUCKETS})",
        output_field=IntegerField(),
    )


def _shares_of(name: str, routes: Sequence[ModelRoute], default: int | None) -> Iterator[Share]:
    """Each site of its own that a route names, and all others together."""
    named = frozenset(each.site_id for each in routes if each.site_id is not None)
    of = {(each.kind, each.site_id): each for each in routes}
    modality = routes[0].version.modality
    for site in (*sorted(named), None):
        share = partial(
            Share, name, modality=modality,
            sites=named if site is None else frozenset({site}), elsewhere=site is None,
        )  # fmt: skip
        canary = of.get((ModelRoute.Kind.CANARY, site)) or of.get((ModelRoute.Kind.CANARY, None))
        own = of.get((ModelRoute.Kind.DEFAULT, site))
        shown = own.version_id if own is not None else default
        begin = 0
        if canary is not None and canary.version_id != shown:
            begin = canary.percent or 0
            yield share(version_id=canary.version_id, high=begin)
        if shown is not None:
            yield share(version_id=shown, low=begin)

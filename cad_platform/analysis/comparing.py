"""Two versions on the same studies: how far they agree, and by known cases which is better.

What a version said of a study is its job's score, or what it said in shadow. The database pairs and counts them, a
million studies as a hundred: here come figures of sites, a few studies, and the known cases of one site at a time. A
comparison of each site is kept in the registry, which promotes by it (`registry.evidence`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext as _

from cad_platform.accounts.models import KNOWN_CASES_SITE, Site
from cad_platform.accounts.rules import require
from cad_platform.core import outbox
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict
from cad_platform.registry import evidence, thresholds
from cad_platform.registry.history import record_of
from cad_platform.registry.models import Comparison, ModelVersion
from cad_platform.studies.models import Study
from cad_platform.studies.selectors import sorted_images
from cad_platform.studies.sorting import scored

COMPARE_TOPIC = "model.compare"
#: Of each kind; with fewer known cases of a site nothing is said.
ENOUGH = 10
_NORMAL_95 = 1.959963984540054
#: The operating point at which two versions agree or not.
_POINT = "balanced"


@dataclass(frozen=True)
class Pair:
    """One study that both versions gave a score of."""

    study_id: object
    uid: str
    score: float
    against: float

    @property
    def gap(self) -> float:
        return abs(self.score - self.against)


@dataclass(frozen=True)
class Pictured:
    """Such a study, and the image that stands for it; None where it has none."""

    pair: Pair
    image: object | None


@dataclass(frozen=True)
class Agreement:
    """How far two versions agree at one place.

    Attributes
    ----------
    flips, kappa
        Studies on two sides of the balanced operating point, and Cohen's kappa of the sides; `kappa` is None where it
        cannot be said.
    level, level_against
        Where that point lies for each version at a site: the site's own that is in force, else as shipped. None of all
        sites together, where each site's count, and of a version without such a point.
    """

    place: str
    studies: int
    mean_gap: float
    largest_gap: float
    flips: int
    kappa: float | None
    comparison: Comparison | None
    level: float | None = None
    level_against: float | None = None


def ask(actor: Actor, version: ModelVersion, against: ModelVersion) -> None:
    """Have two versions compared at each site with known cases; a worker does it.

    Raises
    ------
    NotPermitted
    Conflict
        Versions of two models, or one with itself.
    """
    require(actor, "model.manage")
    if version.name != against.name or version.pk == against.pk:
        raise Conflict(_("Two versions of one model are compared."))
    with transaction.atomic():
        record_of(actor, "model.compare", version, against=against.version)
        outbox.publish(COMPARE_TOPIC, version_id=version.pk, against_id=against.pk)


def compare(version_id: int, against_id: int) -> int:
    """Write a comparison of every concerned site that has enough known cases; returns how many."""
    version, against = ModelVersion.objects.get(pk=version_id), ModelVersion.objects.get(pk=against_id)
    made = [
        found
        for site in evidence.sites_concerned(version)
        if (found := _compared(version, against, site)) is not None
    ]
    Comparison.objects.bulk_create(made)
    return len(made)


def agreement(actor: Actor, version: ModelVersion, against: ModelVersion) -> list[Agreement]:
    """Of all sites together, then of each; an approver of one site sees that one alone. Raises `NotPermitted`."""
    require(actor, "model.view")
    levels = _Levels(version), _Levels(against)
    counts = _counts(version, against, levels, actor.site_id)
    sites = list(Site.objects.filter(pk__in=counts).order_by("code"))
    told = []
    if len(sites) != 1:
        whole = sum(counts.values(), start=_Counts())
        told.append(_agreement(_("All sites"), whole, evidence.latest(version, against, None)))
    for site in sites:
        made = evidence.latest(version, against, site.pk)
        told.append(_agreement(site.name, counts[site.pk], made, *(each.at(site.pk) for each in levels)))
    return told


def disagreements(actor: Actor, version: ModelVersion, against: ModelVersion, limit: int = 12) -> list[Pair]:
    """The studies of the actor's site of which the two say the most different things, for who may see their images.

    Raises
    ------
    NotPermitted
        The actor sees no images, or approves no models.
    """
    require(actor, "model.view")
    require(actor, "image.view")
    if actor.site_id is None:
        return []
    rows = _asked(_FURTHEST_APART, version, against, site=actor.site_id, limit=limit)
    return [Pair(*row) for row in rows]


def pictured(version: ModelVersion, found: Iterable[Pair]) -> list[Pictured]:
    """Each with the image to show of it: the first that the model reads."""
    of = list(found)
    studies = Study.objects.in_bulk([pair.study_id for pair in of])
    shown = []
    for pair in of:
        images = sorted_images(studies[pair.study_id])
        read = scored(images, version.modality) or images
        shown.append(Pictured(pair, read[0].instance.pk if read else None))
    return shown


# --- asked of the database ------------------------------------------------------------------------------

#: Present contents of studies that are not withdrawn; what was shown goes before what was said in shadow.
_PAIRS = """
WITH said AS (
    SELECT study_id, content_hash, model_version_id, score, 1 AS place FROM analysis_analysisjob
    WHERE model_version_id IN (%(version)s, %(against)s) AND state = 'succeeded' AND score IS NOT NULL
    UNION ALL
    SELECT study_id, content_hash, model_version_id, score, 2 AS place FROM analysis_shadowresult
    WHERE model_version_id IN (%(version)s, %(against)s) AND state = 'succeeded' AND score IS NOT NULL
), scores AS (
    SELECT study_id, content_hash,
        coalesce(max(score) FILTER (WHERE model_version_id = %(version)s AND place = 1),
                 max(score) FILTER (WHERE model_version_id = %(version)s)) AS score,
        coalesce(max(score) FILTER (WHERE model_version_id = %(against)s AND place = 1),
                 max(score) FILTER (WHERE model_version_id = %(against)s)) AS against
    FROM said GROUP BY study_id, content_hash
), pairs AS (
    SELECT study.id AS study_id, study.study_instance_uid AS uid, study.site_id, scores.score, scores.against
    FROM scores
    JOIN studies_study AS study ON study.id = scores.study_id AND study.content_hash = scores.content_hash
    JOIN accounts_site AS site ON site.id = study.site_id
    WHERE scores.score IS NOT NULL AND scores.against IS NOT NULL
        AND study.withdrawn_at IS NULL AND site.code <> %(known_cases)s
        AND (%(site)s::bigint IS NULL OR study.site_id = %(site)s)
)
"""
_COUNTED = """, sides AS (
    SELECT pairs.site_id, abs(score - against) AS gap,
        score >= coalesce(own.level, %(level)s::float8) AS ours,
        against >= coalesce(other.level, %(level_against)s::float8) AS theirs
    FROM pairs
    LEFT JOIN unnest(%(sites)s::bigint[], %(levels)s::float8[]) AS own(site_id, level)
        ON own.site_id = pairs.site_id
    LEFT JOIN unnest(%(sites_against)s::bigint[], %(levels_against)s::float8[]) AS other(site_id, level)
        ON other.site_id = pairs.site_id
)
SELECT site_id, count(*), sum(gap), max(gap), count(*) FILTER (WHERE ours IS NOT NULL AND theirs IS NOT NULL),
    count(*) FILTER (WHERE ours), count(*) FILTER (WHERE theirs), count(*) FILTER (WHERE ours AND theirs)
FROM sides GROUP BY site_id
"""
_FURTHEST_APART = """
SELECT study_id, uid, score, against FROM pairs ORDER BY abs(score - against) DESC, study_id LIMIT %(limit)s
"""
_KNOWN = """
SELECT truth.positive, pairs.score, pairs.against FROM pairs
JOIN LATERAL (
    SELECT positive FROM analysis_knowntruth AS told WHERE told.study_id = pairs.study_id
    ORDER BY told.at DESC, told.id DESC LIMIT 1
) AS truth ON true
"""


@dataclass(frozen=True)
class _Counts:
    """Of the pairs of one place: `known` of those of which both sides are known."""

    studies: int = 0
    gaps: float = 0.0
    largest: float = 0.0
    known: int = 0
    ours: int = 0
    theirs: int = 0
    both: int = 0

    def __add__(self, other: _Counts) -> _Counts:
        return _Counts(
            self.studies + other.studies, self.gaps + other.gaps, max(self.largest, other.largest),
            self.known + other.known, self.ours + other.ours, self.theirs + other.theirs, self.both + other.both,
        )  # fmt: skip


class _Levels:
    """Where a version's balanced point lies, by site: as readers there see its results, or would."""

    def __init__(self, version: ModelVersion) -> None:
        self.shipped, self.own = thresholds.by_site(version, _POINT)

    def at(self, site_id: int) -> float | None:
        return self.own.get(site_id, self.shipped)


def _asked(sql: str, version: ModelVersion, against: ModelVersion, **values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(
            _PAIRS + sql,
            {"version": version.pk, "against": against.pk, "known_cases": KNOWN_CASES_SITE, **values},
        )
        return list(cursor.fetchall())


def _counts(
    version: ModelVersion, against: ModelVersion, levels: tuple[_Levels, _Levels], site_id: int | None
) -> Mapping[int, _Counts]:
    """Site → its counts; of one site where that is named."""
    ours, theirs = levels
    rows = _asked(
        _COUNTED, version, against, site=site_id, level=ours.shipped, level_against=theirs.shipped,
        sites=list(ours.own), levels=list(ours.own.values()),
        sites_against=list(theirs.own), levels_against=list(theirs.own.values()),
    )  # fmt: skip
    return {site: _Counts(*counts) for site, *counts in rows}


def _compared(version: ModelVersion, against: ModelVersion, site: Site) -> Comparison | None:
    import numpy as np

    from inference.evaluation.delong import delong

    cases = _asked(_KNOWN, version, against, site=site.pk)
    positives = sum(positive for positive, *_scores in cases)
    if positives < ENOUGH or len(cases) - positives < ENOUGH:
        return None
    positive, ours, theirs = (np.array(column) for column in zip(*cases, strict=True))
    test = delong(positive.astype(bool), ours.astype(float), theirs.astype(float))
    return Comparison(
        version=version, against=against, site=site, positives=positives, negatives=len(cases) - positives,
        auc=test.first, auc_against=test.second,
        low=test.first - test.second - _NORMAL_95 * test.standard_error,
    )  # fmt: skip


def _agreement(
    place: str,
    found: _Counts,
    comparison: Comparison | None,
    level: float | None = None,
    level_against: float | None = None,
) -> Agreement:
    return Agreement(
        place=place, studies=found.studies, mean_gap=found.gaps / found.studies if found.studies else 0.0,
        largest_gap=found.largest, flips=found.ours + found.theirs - 2 * found.both if found.known else 0,
        kappa=_kappa(found), comparison=comparison, level=level, level_against=level_against,
    )  # fmt: skip


def _kappa(found: _Counts) -> float | None:
    """Cohen's; None where chance alone explains everything."""
    n = found.known
    if not n:
        return None
    same = (n - found.ours - found.theirs + 2 * found.both) / n
    first, second = found.ours / n, found.theirs / n
    chance = first * second + (1 - first) * (1 - second)
    return (same - chance) / (1 - chance) if chance < 1 else None

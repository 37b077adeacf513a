"""What two versions said of the same studies, paired and counted by the database: a million studies as a hundred."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from cad_platform.accounts.models import KNOWN_CASES_SITE
from cad_platform.analysis import shadow
from cad_platform.registry import thresholds
from cad_platform.registry.models import ModelVersion

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


#: What both have ended with, of present contents of studies that are not withdrawn: their scores, and of what has none
#: how each ended, by its first letter (succeeded without a verdict, not applicable, failed). What was shown goes before
#: what was said in shadow. What a person cancelled, or what left the shadow before its turn, was not looked at.
_PAIRS = """
WITH said AS (
    SELECT study_id, content_hash, model_version_id, score, state, 1 AS place FROM analysis_analysisjob
    WHERE model_version_id IN (%(version)s, %(against)s) AND state IN ('succeeded', 'not_applicable', 'failed')
    UNION ALL
    SELECT study_id, content_hash, model_version_id, score, state, 2 AS place FROM analysis_shadowresult
    WHERE model_version_id IN (%(version)s, %(against)s) AND state IN ('succeeded', 'not_applicable', 'failed')
        AND reason <> %(left)s
), scores AS (
    SELECT study_id, content_hash,
        coalesce(max(score) FILTER (WHERE model_version_id = %(version)s AND place = 1),
                 max(score) FILTER (WHERE model_version_id = %(version)s)) AS score,
        coalesce(max(score) FILTER (WHERE model_version_id = %(against)s AND place = 1),
                 max(score) FILTER (WHERE model_version_id = %(against)s)) AS against,
        min(place || left(state, 1)) FILTER (WHERE model_version_id = %(version)s) AS ended,
        min(place || left(state, 1)) FILTER (WHERE model_version_id = %(against)s) AS ended_against
    FROM said GROUP BY study_id, content_hash
), looked_at AS (
    SELECT study.id AS study_id, study.study_instance_uid AS uid, study.site_id, scores.score, scores.against,
        CASE WHEN scores.score IS NULL THEN right(scores.ended, 1) END AS without,
        CASE WHEN scores.against IS NULL THEN right(scores.ended_against, 1) END AS without_against
    FROM scores
    JOIN studies_study AS study ON study.id = scores.study_id AND study.content_hash = scores.content_hash
    JOIN accounts_site AS site ON site.id = study.site_id
    WHERE scores.ended IS NOT NULL AND scores.ended_against IS NOT NULL
        AND study.withdrawn_at IS NULL AND site.code <> %(known_cases)s
        AND (%(site)s::bigint IS NULL OR study.site_id = %(site)s)
), pairs AS (
    SELECT study_id, uid, site_id, score, against FROM looked_at
    WHERE score IS NOT NULL AND against IS NOT NULL
)
"""
_COUNTED = """, sides AS (
    SELECT looked_at.site_id, abs(score - against) AS gap, without, without_against,
        score >= coalesce(own.level, %(level)s::float8) AS ours,
        against >= coalesce(other.level, %(level_against)s::float8) AS theirs
    FROM looked_at
    LEFT JOIN unnest(%(sites)s::bigint[], %(levels)s::float8[]) AS own(site_id, level)
        ON own.site_id = looked_at.site_id
    LEFT JOIN unnest(%(sites_against)s::bigint[], %(levels_against)s::float8[]) AS other(site_id, level)
        ON other.site_id = looked_at.site_id
)
SELECT site_id, count(gap), coalesce(sum(gap), 0), coalesce(max(gap), 0),
    count(*) FILTER (WHERE ours IS NOT NULL AND theirs IS NOT NULL),
    count(*) FILTER (WHERE ours AND theirs IS NOT NULL), count(*) FILTER (WHERE theirs AND ours IS NOT NULL),
    count(*) FILTER (WHERE ours AND theirs),
    count(*) FILTER (WHERE without = 's'), count(*) FILTER (WHERE without = 'n'),
    count(*) FILTER (WHERE without = 'f'),
    count(*) FILTER (WHERE without_against = 's'), count(*) FILTER (WHERE without_against = 'n'),
    count(*) FILTER (WHERE without_against = 'f'),
    count(*) FILTER (WHERE without IS NOT NULL AND without_against IS NOT NULL)
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
class Counts:
    """Of what both have looked at, at one place: `known` of the pairs of which both sides are known, and what has no
    score, by how each version ended (no verdict, not analysed, failed)."""

    studies: int = 0
    gaps: float = 0.0
    largest: float = 0.0
    known: int = 0
    ours: int = 0
    theirs: int = 0
    both: int = 0
    without: tuple[int, int, int] = (0, 0, 0)
    without_against: tuple[int, int, int] = (0, 0, 0)
    without_both: int = 0

    @classmethod
    def of_row(cls, row: Sequence[Any]) -> Counts:
        studies, gaps, largest, known, ours, theirs, both, *without = row
        first, second, of_both = without[:3], without[3:6], without[6]
        return cls(
            studies, gaps, largest, known, ours, theirs, both,
            (first[0], first[1], first[2]), (second[0], second[1], second[2]), of_both,
        )  # fmt: skip

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.studies + other.studies, self.gaps + other.gaps, max(self.largest, other.largest),
            self.known + other.known, self.ours + other.ours, self.theirs + other.theirs, self.both + other.both,
            _added(self.without, other.without), _added(self.without_against, other.without_against),
            self.without_both + other.without_both,
        )  # fmt: skip


def _added(one: tuple[int, int, int], other: tuple[int, int, int]) -> tuple[int, int, int]:
    return one[0] + other[0], one[1] + other[1], one[2] + other[2]


class Levels:
    """Where a version's balanced point lies, by site: as readers there see its results, or would."""

    def __init__(self, version: ModelVersion) -> None:
        self.shipped, self.own = thresholds.by_site(version, _POINT)

    def at(self, site_id: int) -> float | None:
        return self.own.get(site_id, self.shipped)


def counts(
    version: ModelVersion, against: ModelVersion, levels: tuple[Levels, Levels], site_id: int | None
) -> Mapping[int, Counts]:
    """Site → its counts; of one site where that is named."""
    ours, theirs = levels
    rows = _asked(
        _COUNTED, version, against, site=site_id, level=ours.shipped, level_against=theirs.shipped,
        sites=list(ours.own), levels=list(ours.own.values()),
        sites_against=list(theirs.own), levels_against=list(theirs.own.values()),
    )  # fmt: skip
    return {site: Counts.of_row(counts) for site, *counts in rows}


def furthest_apart(version: ModelVersion, against: ModelVersion, site_id: int, limit: int) -> list[Pair]:
    """The studies of a site of which the two say the most different things."""
    return [Pair(*row) for row in _asked(_FURTHEST_APART, version, against, site=site_id, limit=limit)]


def known_cases(
    version: ModelVersion, against: ModelVersion, site_id: int
) -> list[tuple[bool, float, float]]:
    """Of each known case of a site that both gave a score of: whether it is positive, and the two scores."""
    return [
        (positive, score, other) for positive, score, other in _asked(_KNOWN, version, against, site=site_id)
    ]


def _asked(sql: str, version: ModelVersion, against: ModelVersion, **values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(
            _PAIRS + sql,
            {
                "version": version.pk,
                "against": against.pk,
                "known_cases": KNOWN_CASES_SITE,
                "left": shadow.LEFT,
                **values,
            },
        )
        return list(cursor.fetchall())

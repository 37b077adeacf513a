"""The figures of the last day for `/metrics`, from the hours that are counted anyway; no patient, study or person."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta

from django.db.models import Count
from django.utils import timezone

from cad_platform.core.declarations import Metric, Sample
from cad_platform.quality.counting import PHASES, Counts
from cad_platform.quality.models import Alert, HourlyFigures, Measure

_DAY = timedelta(hours=24)
_TOTALS: tuple[tuple[str, str, Callable[[Counts], int]], ...] = (
    ("cad_verdicts_last_day", "Results that are a verdict", lambda counts: counts.verdicts),
    (
        "cad_reports_signed_last_day",
        "Reports that were signed with an analysis",
        lambda counts: counts.signed,
    ),
    (
        "cad_reports_contradicting_last_day",
        "Reports that say otherwise than the model's balanced operating point",
        lambda counts: counts.contradicted,
    ),
)
_PARTS: tuple[tuple[str, str, str, Callable[[Counts], Mapping[str, int]]], ...] = (
    (
        "cad_analyses_last_day",
        "Analyses that ended within a day, by how",
        "state",
        lambda counts: counts.states,
    ),
    (
        "cad_marks_decided_last_day",
        "Marks by what readers made of them",
        "verdict",
        lambda counts: counts.decisions,
    ),
)


def metrics() -> Iterator[Metric]:
    """Of each site and version: the latest 24 whole hours and the one that has begun."""
    found: dict[tuple[str, str, str], Counts] = {}
    rows = HourlyFigures.objects.filter(hour__gt=timezone.now() - _DAY - timedelta(hours=1))
    for site, name, version, counts in rows.values_list(
        "site__code", "model_version__name", "model_version__version", "counts"
    ):
        found.setdefault((site, name, version), Counts()).add(Counts.of_json(counts))
    labelled = [
        ({"site": site, "model": name, "version": version}, counts)
        for (site, name, version), counts in sorted(found.items())
    ]
    for name, of, count_of in _TOTALS:
        yield Metric(name, of, tuple(Sample(float(count_of(counts)), labels) for labels, counts in labelled))
    for name, of, label, counts_of in _PARTS:
        yield Metric(
            name,
            of,
            tuple(
                Sample(float(count), {**labels, label: part})
                for labels, counts in labelled
                for part, count in sorted(counts_of(counts).items())
            ),
        )
    yield Metric(
        "cad_analysis_seconds_last_day",
        "Upper bound of the seconds that a share of the analyses took, by phase",
        tuple(
            Sample(bound, {**labels, "phase": phase, "quantile": f"{share:g}"})
            for labels, counts in labelled
            for phase in PHASES
            for share in (0.5, 0.95)
            if (bound := counts.quantile(phase, share)) is not None and math.isfinite(bound)
        ),
    )
    standing = dict(
        Alert.objects.filter(ended_at__isnull=True)
        .order_by()
        .values_list("rule__measure")
        .annotate(alerts=Count("pk"))
    )
    yield Metric(
        "cad_model_alerts",
        "Alerts about models that go on",
        tuple(Sample(float(standing.get(measure, 0)), {"measure": measure}) for measure in Measure.values),
    )

"""What each rule watches, measured of one site and version now: a value, whether it is beyond the threshold, and what
it was measured of. Too little to say anything is no value.

Every measure is repeated for months, so none may be beyond its threshold by chance: shares by the lower end of their
99 % interval, drift by two statistics at once, a device by two sets of images that both differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import QuerySet

from cad_platform.quality.counting import Counts
from cad_platform.quality.distances import distance, least_share, log_odds
from cad_platform.quality.models import AnalysisFact, DeviceTest, HourlyFigures, Measure
from cad_platform.quality.truth import settled

#: Scores that drift is measured against: the first of a version at a site.
REFERENCE = 300
#: Scores that it is measured in: the latest, that many at most and at least.
WINDOW, FEWEST = 200, 50
#: Besides the index being beyond the threshold: both together are beyond by chance in one quiet month of hundreds.
DRIFT_P = 1e-4
#: Cases with a truth that calibration and AUC are measured of: the latest, at most and at least.
JUDGED, FEWEST_JUDGED = 1000, 100
#: Signed cases that agreement is measured of.
SIGNED, FEWEST_SIGNED = 200, 50
DAY = timedelta(hours=24)
FEWEST_ENDED = 20


@dataclass(frozen=True)
class Measured:
    """`value` in the rule's own terms; `is_beyond` its threshold; of which device where it is of one."""

    value: float
    is_beyond: bool
    evidence: Mapping[str, float | int | str] = field(default_factory=dict)
    device: str = ""


@dataclass(frozen=True)
class Watched:
    """One site and version at a time."""

    site_id: int
    model_version_id: int
    modality: str
    positive_class: str
    at: datetime

    def facts(self) -> QuerySet[AnalysisFact]:
        return AnalysisFact.objects.filter(
            site=self.site_id,
            model_version=self.model_version_id,
            modality=self.modality,
            ended_at__lte=self.at,
        )

    def last_day(self) -> Counts:
        """What ended and was signed in the latest 24 whole hours and the one that has begun."""
        rows = HourlyFigures.objects.filter(
            site=self.site_id,
            model_version=self.model_version_id,
            modality=self.modality,
            hour__gt=self.at - DAY - timedelta(hours=1),
            hour__lte=self.at,
        )
        return Counts.sum_of(rows.values_list("counts", flat=True))


def drift(watched: Watched, threshold: float) -> list[Measured]:
    """Scores of the latest verdicts against the first of the version at the site."""
    scores = watched.facts().filter(score__isnull=False)
    first = list(scores.order_by("ended_at", "pk").values_list("score", "ended_at", "pk")[:REFERENCE])
    if len(first) < REFERENCE:
        return []
    latest = scores.exclude(pk__in=[row[2] for row in first]).order_by("-ended_at", "-pk")
    now = list(latest.values_list("score", flat=True)[:WINDOW])
    if len(now) < FEWEST:
        return []
    found = distance(
        [log_odds(score) for score, _, _ in first if score is not None],
        [log_odds(score) for score in now if score is not None],
    )
    return [
        Measured(
            round(found.psi, 3),
            found.psi >= threshold and found.p < DRIFT_P,
            {
                "ks": round(found.ks, 3),
                "p": float(f"{found.p:.2g}"),
                "cases": len(now),
                "reference": REFERENCE,
            },
        )
    ]


def device(watched: Watched, threshold: float) -> list[Measured]:
    """Devices whose two latest sets of images both differ from those that the model was made from, in a feature that is
    the same. The value is how many sets in a row did."""
    found = []
    tests = DeviceTest.objects.filter(
        site=watched.site_id, model_version=watched.model_version_id, up_to__lte=watched.at
    )
    for name in tests.order_by("device").values_list("device", flat=True).distinct():
        common: set[str] | None = None
        row = 0
        latest = list(tests.filter(device=name).order_by("-up_to")[:10])
        for test in latest:
            both = set(test.named) if common is None else common & set(test.named)
            if not both:
                break
            common, row = both, row + 1
        features = ", ".join(sorted(common or ()))
        found.append(
            Measured(
                float(row),
                row >= threshold,
                {"features": features, "images": latest[0].images},
                device=name,
            )
        )
    return found


def judged(watched: Watched) -> list[tuple[float, bool]]:
    """Score and truth (`truth.settled`) of the latest cases that have one."""
    rows = (
        watched.facts()
        .filter(score__isnull=False)
        .exclude(proven_positive=None, said_positive=None)
        .order_by("-ended_at", "-pk")
        .values_list("score", "proven_positive", "said_positive")
    )
    found = ((score, settled(watched.positive_class, proven, said)) for score, proven, said in rows[:JUDGED])
    return [(score, truth) for score, truth in found if score is not None and truth is not None]


def calibration(watched: Watched, threshold: float) -> list[Measured]:
    """How many standard errors the number of positive cases is from the sum of the probabilities; either way."""
    cases = judged(watched)
    variance = sum(score * (1 - score) for score, _ in cases)
    if len(cases) < FEWEST_JUDGED or variance <= 0:
        return []
    expected, observed = sum(score for score, _ in cases), sum(truth for _, truth in cases)
    z = (observed - expected) / math.sqrt(variance)
    return [
        Measured(
            round(abs(z), 2),
            abs(z) >= threshold,
            {"expected": round(expected, 1), "observed": observed, "cases": len(cases)},
        )
    ]


def auc_of(cases: Sequence[tuple[float, bool]]) -> tuple[float, float, float] | None:
    """AUC with its 95 % interval (`delong.auc_interval`); None with fewer than ten cases of a class."""
    import numpy as np

    from inference.evaluation.delong import auc_covariance, auc_interval

    truth = np.array([positive for _, positive in cases], bool)
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if min(positives, negatives) < 10:
        return None
    areas, spread = auc_covariance(truth, [np.array([score for score, _ in cases], float)])
    area = float(areas[0])
    return area, *auc_interval(area, float(spread[0, 0]), positives, negatives)


def auc(watched: Watched, threshold: float) -> list[Measured]:
    """Beyond where even the upper end of the interval lies below the threshold."""
    cases = judged(watched)
    found = auc_of(cases) if len(cases) >= FEWEST_JUDGED else None
    if found is None:
        return []
    area, low, high = (round(one, 3) for one in found)
    return [Measured(area, high < threshold, {"low": low, "high": high, "cases": len(cases)})]


def overrides(watched: Watched, threshold: float) -> list[Measured]:
    """Share of the latest signed cases whose report contradicts the model's balanced operating point."""
    rows = (
        watched.facts()
        .filter(signed_at__isnull=False)
        .exclude(is_positive=None)
        .exclude(said_positive=None)
        .order_by("-signed_at", "-pk")
        .values_list("is_positive", "said_positive")[:SIGNED]
    )
    pairs = list(rows)
    return _share(sum(ours != said for ours, said in pairs), len(pairs), threshold, FEWEST_SIGNED)


def failures(watched: Watched, threshold: float) -> list[Measured]:
    """Of what ended in a day."""
    day = watched.last_day()
    return _share(day.states["failed"], day.ended - day.states["cancelled"], threshold)


def refusals(watched: Watched, threshold: float) -> list[Measured]:
    day = watched.last_day()
    return _share(day.states["not_applicable"], day.ended - day.states["cancelled"], threshold)


def unlike(watched: Watched, threshold: float) -> list[Measured]:
    """Results that are no verdict, since no image is like what the model has learnt from."""
    day = watched.last_day()
    return _share(day.states["succeeded"] - day.verdicts, day.states["succeeded"], threshold)


def latency(watched: Watched, threshold: float) -> list[Measured]:
    """The time from request to result that one in twenty exceeds, as the edge of its bar."""
    day = watched.last_day()
    ended = sum(day.seconds.get("total", ()))
    late = day.quantile("total", 0.95)
    if ended < FEWEST_ENDED or late is None:
        return []
    shown = late if math.isfinite(late) else 86_400.0
    return [Measured(shown, late > threshold, {"cases": ended})]


def _share(count: int, of: int, threshold: float, fewest: int = FEWEST_ENDED) -> list[Measured]:
    if of < fewest:
        return []
    return [
        Measured(round(count / of, 4), least_share(count, of) >= threshold, {"count": count, "cases": of})
    ]


#: Measure → how it is measured. Known cases raise their own (`quality.known_cases`).
MEASURES: Mapping[str, Callable[[Watched, float], list[Measured]]] = {
    Measure.DRIFT: drift,
    Measure.DEVICE: device,
    Measure.CALIBRATION: calibration,
    Measure.AUC: auc,
    Measure.OVERRIDES: overrides,
    Measure.FAILURES: failures,
    Measure.REFUSALS: refusals,
    Measure.UNLIKE: unlike,
    Measure.LATENCY: latency,
}

"""What the pages show of figures and alerts: charts, tables and sentences, put together from what is counted."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from cad_platform.analysis.models import AnalysisJob
from cad_platform.analysis.reasons import OTHER_REASON
from cad_platform.core.actor import Actor
from cad_platform.quality import charts, selectors
from cad_platform.quality.counting import PHASES, SCORE_BINS, Counts
from cad_platform.quality.measures import auc_of
from cad_platform.quality.models import Alert, DeviceTest, Measure

_PHASES = {
    "wait": gettext_lazy("Waiting"),
    "decode": gettext_lazy("Reading the images"),
    "preprocess": gettext_lazy("Preparing"),
    "model": gettext_lazy("The network"),
    "postprocess": gettext_lazy("Marks and maps"),
    "total": gettext_lazy("From request to result"),
}
GROUPS = {
    "age_band": gettext_lazy("Age"),
    "vendor": gettext_lazy("Vendor"),
    "device": gettext_lazy("Device"),
    "density": gettext_lazy("Density"),
    "sides": gettext_lazy("Side"),
}
_FEATURES = {
    "score": gettext_lazy("score"),
    "gate": gettext_lazy("images held back"),
    "contrast": gettext_lazy("contrast"),
    "entropy": gettext_lazy("grey levels"),
    "sharpness": gettext_lazy("sharpness"),
    "breast_share": gettext_lazy("share of breast"),
    "novelty": gettext_lazy("novelty"),
    "all": gettext_lazy("all together"),
}
#: What a rule's threshold is a number of.
UNITS = {
    Measure.DRIFT: gettext_lazy("population stability index, less what chance gives"),
    Measure.DEVICE: gettext_lazy("sets of 100 images in a row that differ"),
    Measure.CALIBRATION: gettext_lazy("standard errors between expected and found"),
    Measure.AUC: gettext_lazy("AUC that even the upper end of its interval is below"),
    Measure.OVERRIDES: gettext_lazy("share of signed reports"),
    Measure.FAILURES: gettext_lazy("share of a day's analyses"),
    Measure.REFUSALS: gettext_lazy("share of a day's analyses"),
    Measure.UNLIKE: gettext_lazy("share of a day's results"),
    Measure.LATENCY: gettext_lazy("seconds that one result in twenty exceeds"),
    Measure.KNOWN_CASE: gettext_lazy("difference of a probability"),
    Measure.ACCEPTANCE: gettext_lazy("steps from the signed verdict down"),
}
_EVIDENCE = {
    "ks": gettext_lazy("Kolmogorov-Smirnov statistic"),
    "p": gettext_lazy("p value"),
    "cases": gettext_lazy("cases"),
    "reference": gettext_lazy("cases of the reference"),
    "features": gettext_lazy("what differs"),
    "images": gettext_lazy("images of the latest set"),
    "expected": gettext_lazy("positive cases expected"),
    "observed": gettext_lazy("positive cases found"),
    "low": gettext_lazy("lower end of the interval"),
    "high": gettext_lazy("upper end of the interval"),
    "count": gettext_lazy("of these"),
    "change": gettext_lazy("what is otherwise"),
    "signed": gettext_lazy("signed verdict"),
    "measured": gettext_lazy("verdict measured now"),
}
_OTHER = gettext_noop("Another reason")
_PLACES = re.compile(r"%\(\w+\)s")


@dataclass(frozen=True)
class Latency:
    phase: str
    half: str
    most: str


@dataclass(frozen=True)
class GroupRow:
    kind: str
    value: str
    cases: int
    share: str
    judged: int
    auc: str


@dataclass(frozen=True)
class DriftRow:
    site: str
    psi: str
    ks: str
    cases: str


@dataclass(frozen=True)
class DeviceRow:
    test: DeviceTest
    words: str


@dataclass(frozen=True)
class Page:
    """Everything that the page of figures shows of one choice."""

    choice: selectors.Choice
    counts: Counts
    volume: charts.Chart
    scores: charts.Chart
    latencies: list[Latency]
    states: list[tuple[str, int]]
    reasons: list[tuple[str, str, int]]
    decisions: list[tuple[str, int]]
    contradicted: str
    auc: str
    judged: int
    tenths: list[charts.Tenth]
    drifts: list[DriftRow]
    devices: list[DeviceRow]
    groups: list[GroupRow]


def page_of(actor: Actor, choice: selectors.Choice) -> Page:
    """Put the page together."""
    counts = selectors.totals(actor, choice)
    moment = "%H:%M" if choice.days == 1 else "%m-%d"
    times = [(f"{at:{moment}}", float(each.ended)) for at, each in selectors.by_time(actor, choice)]
    scores = [(f"{100 * bar // SCORE_BINS}", float(count)) for bar, count in enumerate(counts.scores)]
    cases = selectors.cases(actor, choice)
    area = _area(cases)
    return Page(
        choice=choice,
        counts=counts,
        volume=charts.bars("volume", _("Analyses that ended"), (_("Time (UTC)"), _("Analyses")), times),
        scores=charts.bars(
            "scores", _("Scores of the verdicts"), (_("From (%)"), _("Verdicts")), scores, most=10
        ),
        latencies=[
            Latency(
                str(_PHASES[phase]),
                _seconds(counts.quantile(phase, 0.5)),
                _seconds(counts.quantile(phase, 0.95)),
            )
            for phase in PHASES
            if counts.quantile(phase, 0.5) is not None
        ],
        states=[
            (str(AnalysisJob.State(state).label), counts.states[state])
            for state in AnalysisJob.ENDED
            if counts.states[state]
        ],
        reasons=[
            (kind, reason_words(reason), count)
            for kind, counted in ((_("Failed"), counts.failures), (_("Not analysed"), counts.refusals))
            for reason, count in sorted(counted.items(), key=lambda item: (-item[1], item[0]))
        ],
        decisions=[
            (_("Accepted"), counts.decisions["accepted"]),
            (_("Edited"), counts.decisions["edited"]),
            (_("Rejected"), counts.decisions["rejected"]),
            (_("Undecided"), counts.decisions["undecided"]),
        ],
        contradicted=_share(counts.contradicted, counts.compared),
        auc=area,
        judged=len(cases),
        tenths=charts.tenths(cases),
        drifts=[
            DriftRow(
                site.name,
                f"{found.value:g}" if found else "—",
                f"{found.evidence['ks']:g}" if found else "—",
                str(found.evidence["cases"]) if found else _("too few yet"),
            )
            for site, found in selectors.drifts(actor, choice)
        ],
        devices=[
            DeviceRow(test, listed_features(test.named)) for test in selectors.device_tests(actor, choice)
        ],
        groups=[
            GroupRow(
                str(GROUPS[group.name]),
                group.value or _("not known"),
                group.cases,
                _share(group.positive, group.cases),
                group.judged,
                _interval(group.auc),
            )
            for group in selectors.groups(actor, choice)
        ],
    )


def reason_words(kind: str) -> str:
    """A kind of reason (`analysis.reasons.reason_kind`) in words, without what differs."""
    if kind == OTHER_REASON:
        return _(_OTHER)
    return _PLACES.sub("…", _(kind))


def listed_features(named: list[str]) -> str:
    """What differs in words; empty where nothing does."""
    return " · ".join(feature_words(name) for name in named)


def feature_words(name: str) -> str:
    """A feature of the shift test in words."""
    return str(_FEATURES.get(name, name))


def evidence_of(alert: Alert) -> list[tuple[str, str]]:
    """What else was measured of an alert, as pairs of words."""
    found = []
    for name, value in alert.evidence.items():
        words = listed_features(str(value).split(", ")) if name == "features" else _plain(value)
        found.append((str(_EVIDENCE.get(name, name)), words))
    return found


def _area(cases: list[tuple[float, bool]]) -> str:
    return _interval(auc_of(cases) if cases else None)


def _interval(found: tuple[float, float, float] | None) -> str:
    return f"{found[0]:.3f} [{found[1]:.3f}, {found[2]:.3f}]" if found else "—"


def _share(count: int, of: int) -> str:
    return f"{100 * count / of:.1f} %" if of else "—"


def _seconds(edge: float | None) -> str:
    if edge is None:
        return "—"
    return f"≤ {edge:g} s" if math.isfinite(edge) else "> 1800 s"


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)

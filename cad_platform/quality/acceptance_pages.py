"""What the page of an acceptance shows, put together from what the laboratory measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from cad_platform.accounts.rules import allowed
from cad_platform.core.actor import Actor
from cad_platform.quality.acceptance_words import in_words
from cad_platform.quality.models import Acceptance
from cad_platform.quality.pages import GROUPS, feature_words
from cad_platform.reading.wording import point_words
from cad_platform.registry import thresholds
from cad_platform.registry.models import SiteThresholds

#: Side of a drawn curve, in its own units.
SIDE = 200
_TONES = {
    Acceptance.Verdict.ON: "good",
    Acceptance.Verdict.WITH: "warn",
    Acceptance.Verdict.TOO_FEW: "warn",
    Acceptance.Verdict.DO_NOT: "danger",
}
#: Corners of a curve that its table tells.
_ROWS = 20


@dataclass(frozen=True)
class PointRow:
    """An operating point: the shipped threshold, and its figures here and on the card."""

    name: str
    threshold: str
    sensitivity: str
    home_sensitivity: str
    specificity: str
    home_specificity: str
    holds: bool


@dataclass(frozen=True)
class CalibrationRow:
    name: str
    error: str
    expected: str
    brier: str
    said: str
    true: str


@dataclass(frozen=True)
class GroupRow:
    kind: str
    value: str
    images: int
    positives: int
    auc: str
    below: bool


@dataclass(frozen=True)
class ProposalRow:
    """A threshold of the site's own, and what it is expected to give on patients that it was not fitted to."""

    name: str
    threshold: str
    sensitivity: str
    specificity: str


@dataclass(frozen=True)
class ShiftRow:
    feature: str
    statistic: str
    p: str
    differs: bool


@dataclass(frozen=True)
class Curve:
    """A curve in a square of `SIDE`: its corners, dots for single points, and some of its numbers as a table."""

    name: str
    title: str
    heads: tuple[str, str]
    path: str
    dots: list[tuple[float, float]]
    rows: list[tuple[str, str]]

    side: int = SIDE

    @property
    def foot(self) -> int:
        """Where the words below it stand."""
        return SIDE + 14


@dataclass(frozen=True)
class Page:
    """Everything that the page shows of one measurement; the lists are empty until it is measured."""

    acceptance: Acceptance
    is_open: bool
    percent: int
    tone: str
    cases: int
    counts: str
    said: list[str]
    reasons: list[str]
    conditions: list[str]
    notes: list[str]
    left_out: list[str]
    auc: str
    promised: str
    points: list[PointRow]
    calibration: list[CalibrationRow]
    proposal: list[ProposalRow]
    thresholds: SiteThresholds | None
    groups: list[GroupRow]
    shift: list[ShiftRow]
    curves: list[Curve]


def is_open(found: Acceptance) -> bool:
    """Whether a worker has it, or will."""
    return found.state == Acceptance.State.WAITING


def page_of(found: Acceptance) -> Page:
    """Put the page together."""
    report: Mapping[str, Any] = found.report or {}
    auc = _named(report, f"auc_{report.get('positive_class', '')}")
    return Page(
        acceptance=found,
        is_open=is_open(found),
        percent=round(100 * found.done / found.whole) if found.whole else 0,
        tone=_TONES.get(Acceptance.Verdict(found.verdict), "") if found.verdict else "",
        cases=found.cases.values("study").distinct().count(),
        counts=_counts(report),
        said=in_words(found.said.splitlines()),
        reasons=in_words(report.get("reasons", ())),
        conditions=in_words(report.get("conditions", ())),
        notes=in_words(report.get("notes", ())),
        left_out=in_words([*report.get("left_out", ()), *report.get("not_read", ())]),
        auc=_interval(auc),
        promised=_number(report.get("promised_auc")),
        points=[
            PointRow(
                name=point_words(point["name"]), threshold=_number(point["threshold"]),
                sensitivity=_interval(point["sensitivity"]), home_sensitivity=_interval(point["home_sensitivity"]),
                specificity=_interval(point["specificity"]), home_specificity=_interval(point["home_specificity"]),
                holds=point["holds"],
            )
            for point in report.get("points", ())
        ],
        calibration=_calibration(report),
        proposal=_proposal(report),
        thresholds=thresholds.proposed_by(found.pk),
        groups=[
            GroupRow(
                str(GROUPS.get(_COLUMNS.get(group["column"], ""), group["column"])), group["value"],
                group["images"], group["positives"], _interval(group["auc"]), group["below"],
            )
            for group in report.get("subgroups", ())
        ],
        shift=_shift(report),
        curves=[curve for each in report.get("curves", ()) if (curve := _curve(each)) is not None],
    )  # fmt: skip


def why_not_signed(actor: Actor, found: Acceptance) -> str | None:
    """Why the actor is shown no form to sign: a sentence, empty where there is nothing to say; None: they may."""
    if found.state != Acceptance.State.MEASURED or found.signed_by_id is not None:
        return ""
    if not allowed(actor, "model.approve"):
        return _("A second person signs it: an administrator, or the clinical lead of the site.")
    if found.asked_by_id is None:
        return _("The clock asked for it: a repetition is watched and not signed.")
    if actor.user is not None and actor.user.pk == found.asked_by_id:
        return _("You have asked for it: another person signs it.")
    return None


#: The laboratory's table has these columns of ours.
_COLUMNS = {"age": "age_band", "vendor": "vendor", "device": "device", "density": "density", "side": "sides"}


def _named(report: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    return next((figure for figure in report.get("figures", ()) if figure["name"] == name), None)


def _counts(report: Mapping[str, Any]) -> str:
    if not report:
        return ""
    return _(
        "%(images)d images of %(patients)d patients, %(positives)d with and %(negatives)d without the disease; "
        "%(not_read)d not read; %(held_back).1f %% held back as unlike."
    ) % {
        "images": report["images"], "patients": report["patients"], "positives": report["positives"],
        "negatives": report["negatives"], "not_read": len(report["not_read"]), "held_back": 100 * report["held_back"],
    }  # fmt: skip


def _calibration(report: Mapping[str, Any]) -> list[CalibrationRow]:
    proposal = report.get("proposal") or {}
    found = [
        (_("As shipped"), report.get("calibration")),
        (_("Recalibrated here"), proposal.get("calibration")),
    ]
    return [
        CalibrationRow(
            name,
            *(_number(each[key]) for key in ("ece", "floor_95", "brier", "said", "true")),
        )
        for name, each in found
        if each
    ]


def _proposal(report: Mapping[str, Any]) -> list[ProposalRow]:
    proposal = report.get("proposal") or {"thresholds": {}}
    return [
        ProposalRow(point_words(name), _number(level), *map(_number, proposal["expected"][name]))
        for name, level in proposal["thresholds"].items()
    ]


def what_of_thresholds(actor: Actor, found: Acceptance) -> str:
    """What the actor may do about the site's own thresholds of a measurement: propose, sign, or nothing."""
    made = thresholds.proposed_by(found.pk)
    if made is None:
        ready = found.signed_by_id is not None and found.verdict != Acceptance.Verdict.TOO_FEW
        return "propose" if ready and allowed(actor, "model.manage") else ""
    waits = made.signed_at is None and made.ended_at is None and allowed(actor, "model.approve")
    return "sign" if waits and actor.user is not None and actor.user.pk != made.proposed_by_id else ""


def _shift(report: Mapping[str, Any]) -> list[ShiftRow]:
    shift = report.get("shift") or {}
    return [
        ShiftRow(
            feature_words(each["name"]), _number(each["statistic"]), f"{each['p']:.2g}",
            each["name"] in shift["named"],
        )
        for each in shift.get("compared", ())
    ]  # fmt: skip


def _curve(drawn: Mapping[str, Any]) -> Curve | None:
    """ROC and reliability; other plots are the laboratory's."""
    if drawn["name"].startswith("roc_"):
        title, heads = (
            _("ROC curve; dots: shipped operating points"),
            (_("1 − specificity"), _("Sensitivity")),
        )
        told = drawn["points"]
    elif drawn["name"].startswith("reliability_"):
        title, heads = (
            _("Calibration: what was said, and what was true"),
            (_("Probability said"), _("Share true")),
        )
        told = drawn["dots"]
    else:
        return None
    step = max(1, len(told) // _ROWS)
    return Curve(
        name=drawn["name"].partition("_")[0],
        title=title,
        heads=heads,
        path=" ".join(f"{SIDE * x:.1f},{SIDE * (1 - y):.1f}" for x, y in told),
        dots=[(round(SIDE * x, 1), round(SIDE * (1 - y), 1)) for x, y in drawn["dots"]],
        rows=[(_number(x), _number(y)) for x, y in told[::step]],
    )


def _interval(figure: Mapping[str, Any] | None) -> str:
    return "—" if figure is None else f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"


def _number(value: float | None) -> str:
    return "—" if value is None else f"{value:.3f}"

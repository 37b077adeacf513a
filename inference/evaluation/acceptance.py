"""Should a hospital switch this model on? Its own known cases, measured; a verdict by rules that are stated.

Everything here is a pure function of what the model said of the cases and of what its card says: reading files and
running the network is the caller's (`inference.cli.acceptance`; pages of the platform may call it as well).

The rules, in their order:

1. **too few cases** below 50 images read, or below 10 patients with or 10 without the disease.
2. **do not switch on** where more than three images in ten get no verdict (not read, or held back by the gate); or
   where the AUC is below what the card promises, or its interval does not reach above 0.70. The card promises the
   lower bound of its internal figure less 0.05, at least 0.70.
3. **too few cases** below 20 patients with or 20 without the disease, or where the AUC is as promised, but its interval
   reaches below 0.70: less is enough to see that a model fails than to trust it.
4. **switch on with** conditions: only the operating points that hold (neither sensitivity nor specificity lies,
   interval and all, below the card's by more than 0.05), or none but local thresholds that new cases have confirmed;
   not for subgroups that fall below the promise; with the local recalibration where probabilities are further off than
   chance; with the local figures in the place of the card's where the shift test names a difference; with the images
   that get no verdict counted, above one in ten.
5. **switch on** otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

import numpy as np

from inference.contract import OPERATING_POINTS, Flag, ModelManifest
from inference.evaluation.figures import Figure
from inference.evaluation.lines import lines_of
from inference.evaluation.local_figures import (
    SET,
    TOLERANCE,
    Point,
    Subgroup,
    figure_or_none,
    figures_at_home,
    point_of,
    subgroups_of,
)
from inference.evaluation.patients import BIOPSY
from inference.evaluation.protocol import protocol_of
from inference.evaluation.recalibration import Calibration, Proposal, calibration_of, propose
from inference.evaluation.records import Record
from inference.evaluation.results import share_flagged
from inference.evaluation.shift import Seen, Shift, ShiftError, shift_of

#: Rule 1.
ENOUGH_IMAGES, ENOUGH_TO_FAIL = 50, 10
#: Rule 3.
ENOUGH_TO_TRUST = 20
#: Rules 2 to 4.
LEAST_AUC = 0.70
TOO_MANY_WITHOUT, MANY_WITHOUT = 0.30, 0.10


class Verdict(StrEnum):
    """What the rules come to."""

    TOO_FEW = "too_few_cases"
    DO_NOT = "do_not_switch_on"
    WITH = "switch_on_with"
    ON = "switch_on"


WORDS = {
    Verdict.TOO_FEW: "too few cases",
    Verdict.DO_NOT: "do not switch on",
    Verdict.WITH: "switch on with conditions",
    Verdict.ON: "switch on",
}


@dataclass(frozen=True)
class Acceptance:
    """The whole report. `reasons` are sentences that led to the verdict, `conditions` what switching on asks for,
    `notes` what else should be known."""

    model: str
    version: str
    weights_sha256: str
    positive_class: str
    verdict: Verdict
    reasons: tuple[str, ...]
    conditions: tuple[str, ...]
    notes: tuple[str, ...]
    images: int
    patients: int
    positives: int
    negatives: int
    not_read: tuple[str, ...]
    held_back: float
    promised_auc: float
    figures: tuple[Figure, ...]
    home: tuple[Figure, ...]
    points: tuple[Point, ...]
    subgroups: tuple[Subgroup, ...]
    calibration: Calibration | None
    proposal: Proposal | None
    shift: Shift | None
    shift_not_made: str
    records: tuple[Record, ...]

    def as_json(self) -> dict[str, object]:
        """Everything but the images' own answers."""
        content = {name: value for name, value in vars(self).items() if name not in ("records", "shift")}
        for name in ("figures", "home", "points", "subgroups"):
            content[name] = [asdict(one) for one in content[name]]
        for name in ("calibration", "proposal"):
            content[name] = asdict(content[name]) if content[name] is not None else None
        content["shift"] = self.shift.as_json() if self.shift is not None else None
        return {**content, "verdict": str(self.verdict), "in_words": WORDS[self.verdict], "rules": __doc__}


def accept(
    manifest: ModelManifest, records: Sequence[Record], features: Sequence[Mapping[str, float]],
    not_read: Sequence[str], at_home: Sequence[Figure], reference: Sequence[Seen] | None,
) -> Acceptance:  # fmt: skip
    """Judge a model by local cases.

    Parameters
    ----------
    records, features
        What the served model said of each image that it read (facts: `positive` yes or no, and the table's columns),
        and what the shift test compares of it.
    not_read
        A sentence for each image that gave no result.
    at_home
        The internal figures of the version's card.
    reference
        The version's `reference.csv`; None where it has none.
    """
    sheet = protocol_of(SET, manifest)
    ask = sheet.asked[0]
    lines = {line.name: line for line in lines_of(sheet, manifest)}
    figures = [one for line in lines.values() if (one := figure_or_none(line, records)) is not None]
    home = figures_at_home(manifest, at_home)
    by_name = {one.name: one for one in figures}
    auc, home_auc = by_name.get(f"auc_{ask.name}"), home.get(f"auc_{ask.name}")
    promised = max(LEAST_AUC, home_auc.low - TOLERANCE) if home_auc is not None else LEAST_AUC
    points = [point_of(name, manifest, by_name, home) for name in OPERATING_POINTS]
    positive = np.array([ask.truth(record) for record in records], bool)
    chances = np.array([ask.score(record) for record in records], np.float64)
    both = len(records) and positive.any() and not positive.all()
    shift, why_not = _shift(reference, records, features)
    found = Acceptance(
        model=manifest.name,
        version=manifest.version,
        weights_sha256=manifest.weights.sha256,
        positive_class=manifest.positive_class,
        verdict=Verdict.TOO_FEW,
        reasons=(), conditions=(), notes=(),
        images=len(records),
        patients=len({record.group for record in records}),
        positives=len({record.group for record in records if ask.truth(record)}),
        negatives=len({record.group for record in records if not ask.truth(record)}),
        not_read=tuple(not_read),
        held_back=share_flagged(records),
        promised_auc=round(promised, 4),
        figures=tuple(figures),
        home=tuple(home.values()),
        points=tuple(point for point in points if point is not None),
        subgroups=tuple(subgroups_of(records, lines, ask, promised)),
        calibration=calibration_of(positive, chances) if len(records) else None,
        proposal=propose(positive, chances, [record.group for record in records]) if both else None,
        shift=shift,
        shift_not_made=why_not,
        records=tuple(records),
    )  # fmt: skip
    verdict, reasons, conditions = _judge(found, auc)
    return replace(
        found, verdict=verdict, reasons=tuple(reasons), conditions=tuple(conditions),
        notes=tuple(_notes(found, by_name)),
    )  # fmt: skip


# --- the rules -----------------------------------------------------------------------------------------------


def _judge(found: Acceptance, auc: Figure | None) -> tuple[Verdict, list[str], list[str]]:
    few = _too_few(found, ENOUGH_TO_FAIL)
    if few or auc is None:
        return Verdict.TOO_FEW, few or ["the AUC cannot be computed"], []
    reasons = list(_against(found, auc))
    if reasons:
        return Verdict.DO_NOT, reasons, []
    few = _too_few(found, ENOUGH_TO_TRUST)
    if auc.low < LEAST_AUC:
        few.append(
            f"the AUC is {_told(auc)}: as promised, but with so few cases it may lie below {LEAST_AUC:.2f}"
        )
    if few:
        return Verdict.TOO_FEW, few, []
    reasons.append(f"the AUC is {_told(auc)}; the card promises {found.promised_auc:.3f} or more")
    conditions = list(_conditions(found))
    return (Verdict.WITH if conditions else Verdict.ON), reasons, conditions


def _too_few(found: Acceptance, enough: int) -> list[str]:
    sentences = []
    if found.images < ENOUGH_IMAGES:
        sentences.append(f"{found.images} images were read, {ENOUGH_IMAGES} are needed")
    for number, words in ((found.positives, "with"), (found.negatives, "without")):
        if number < enough:
            sentences.append(f"{number} patients {words} the disease, {enough} are needed")
    return sentences


def _against(found: Acceptance, auc: Figure) -> list[str]:
    sentences = []
    if _without_verdict(found) > TOO_MANY_WITHOUT:
        sentences.append(
            f"{_without_verdict(found):.0%} of the images get no verdict (not read, or held back by the gate); "
            f"at most {TOO_MANY_WITHOUT:.0%} may"
        )
    if auc.value < found.promised_auc or auc.high < LEAST_AUC:
        sentences.append(f"the AUC is {_told(auc)}; the card promises {found.promised_auc:.3f} or more")
        sentences += [_missed(point) for point in found.points if not point.holds]
    return sentences


def _conditions(found: Acceptance) -> list[str]:
    sentences = []
    holding = [point.name.replace("_", " ") for point in found.points if point.holds]
    sentences += [_missed(point) for point in found.points if not point.holds]
    if found.points and not holding:
        sentences.append(
            "no shipped operating point holds here: local thresholds (see the proposal), confirmed on new cases first"
        )
    elif len(holding) < len(found.points):
        sentences.append(f"only at the operating points that hold: {', '.join(holding)}")
    sentences += [
        f"not for {one.column} {one.value}: its AUC is {_told(one.auc)}"
        for one in found.subgroups
        if one.below and one.auc is not None
    ]
    if found.calibration is not None and found.calibration.is_off:
        sentences.append(
            f"probabilities are further off than chance (calibration error {found.calibration.ece:.3f}, at most "
            f"{found.calibration.floor_95:.3f} expected): the local recalibration, confirmed on new cases first"
        )
    if found.shift is not None and found.shift.named:
        names = ", ".join(one.name for one in found.shift.named)
        sentences.append(
            f"the images differ from the model's own ({names}): expect the figures measured here, not the card's, and "
            "measure again when a scanner or its settings change"
        )
    if _without_verdict(found) > MANY_WITHOUT:
        sentences.append(
            f"{_without_verdict(found):.0%} of the images get no verdict: they are read without the model"
        )
    return sentences


def _missed(point: Point) -> str:
    home = ""
    if point.home_sensitivity is not None and point.home_specificity is not None:
        home = f"; the card says {point.home_sensitivity.value:.3f} and {point.home_specificity.value:.3f}"
    return (
        f"the {point.name.replace('_', ' ')} point does not hold: sensitivity {_told(point.sensitivity)}, specificity "
        f"{_told(point.specificity)}{home}"
    )


def _notes(found: Acceptance, figures: Mapping[str, Figure]) -> list[str]:
    sentences = []
    reader = figures.get("reader_auc_patient")
    model = next((one for name, one in figures.items() if name.startswith("auc_patient_")), None)
    if reader is not None and model is not None:
        level = (
            "below"
            if model.high < reader.low
            else "above"
            if model.low > reader.high
            else "not told apart from"
        )
        sentences.append(
            f"the readers' BI-RADS alone reads an AUC of {_told(reader)} a patient (a biopsy from {BIOPSY:g} on); the "
            f"model, {_told(model)}, is {level} that"
        )
    if found.shift_not_made:
        sentences.append(f"no shift test: {found.shift_not_made}")
    if found.not_read:
        sentences.append(f"{len(found.not_read)} images gave no result and count as without a verdict")
    sentences.append(
        "nothing was changed: thresholds and calibration stay as shipped until somebody decides otherwise"
    )
    return sentences


def _without_verdict(found: Acceptance) -> float:
    held = sum(Flag.OUT_OF_DISTRIBUTION.value in record.flags for record in found.records)
    return (held + len(found.not_read)) / max(found.images + len(found.not_read), 1)


def _told(one: Figure | None) -> str:
    return "–" if one is None else f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]"


def _shift(
    reference: Sequence[Seen] | None, records: Sequence[Record], features: Sequence[Mapping[str, float]]
) -> tuple[Shift | None, str]:
    if reference is None:
        return None, "the version keeps no reference of its own images"
    # "positive" and "negative" say less than the reference's labels: then the mix of cases cannot be held fixed
    seen = [Seen(r.group, r.label, own) for r, own in zip(records, features, strict=True)]
    known = {one.label for one in reference}
    if not all(one.label in known for one in seen):
        seen = [Seen(one.group, "", one.features) for one in seen]
    try:
        return shift_of(reference, seen), ""
    except ShiftError as error:
        return None, str(error)

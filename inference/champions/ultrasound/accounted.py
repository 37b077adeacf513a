"""How the ultrasound model was made, in words, for its card."""

from __future__ import annotations

from collections.abc import Sequence

from inference.champions.method import facts, method
from inference.champions.plan import Plan
from inference.champions.ultrasound.held_out import TITLES
from inference.datasets.sample import Sample
from inference.evaluation.account import Account
from inference.runtime.ultrasound import preprocessing as frame

_SOURCES = {
    "busi": "BUSI (Al-Dhabyani 2020), {count} frames of one hospital; no patient ids exist, near-duplicates are "
    "grouped",
    "busbra": "BUS-BRA (Gómez-Flores 2024), {count} frames of {groups} women of another country, biopsy-proven, by "
    "patient",
}
_LIMITS = (
    "Learned from two collections and a few machines; other machines and populations are another matter: see the "
    "figures of what was left out.",
    "`normal` is learned from BUSI's frames and from parts of other frames that show no lesion; BUS-BRA has no normal "
    "frames, so three-class figures on it mean little.",
    "Many frames of BUSI carry callipers and text; marks are drawn into training frames at random, which lessens what "
    "can be learned from them and does not end it.",
    "The BI-RADS category is that of one radiologist's readings of BUS-BRA.",
    "Two pairs of frames of BUSI show one picture under both labels (benign 333 and malignant 77, benign 406 and "
    "malignant 94): one of each pair counts as an error whatever is said.",
    "No patient ids exist in BUSI: two frames of one woman that look different may stand in different folds.",
    "Sensitivity and specificity at the operating points are those of the folds' own points; the served points were "
    "fitted on all held-out predictions and cannot be measured on them again.",
)


def account(plan: Plan, samples: Sequence[Sample], measured: Sequence[Sample], *, refitted: bool) -> Account:
    """`samples`: all that the recipe learns from; `measured`: those of them that figures are of."""
    protocol = plan.recipe.protocol
    served = (
        "The served network was fitted on all frames by the same recipe."
        if refitted
        else "The served network is that of the first fold, which never saw its frames."
    )
    away = (
        "Before them stand the predictions of networks that have seen nothing of one collection, or of one scanner "
        f"(trained for {protocol.left_out_epochs:.0%} of the epochs, calibrated on a fifth of the rest that was kept "
        "for that). "
        if protocol.leave_out
        else ""
    )
    sources = "; ".join(_source(name, samples) for name in dict.fromkeys(s.dataset for s in samples))
    return Account(
        data=f"{sources}. {len(measured)} of {len(samples)} frames are measured by folds; the others are copies of a "
        "frame in another fold.",
        method="Outline, malignancy map, three classes and a reader's BI-RADS category in one network. A frame is read "
        f"twice, whole at {frame.SIDE} px and at {frame.CLOSER_SIDE} px closer at what was outlined; the answers are "
        f"averaged. {method(plan.recipe)}",
        protocol=f"Figures of record are pooled out-of-fold predictions: {protocol.folds} folds, disjoint by patient "
        "or near-duplicate group (BUS-BRA's own folds); a fold's network never saw it, and its calibration, outline "
        "level, gates and operating points were fitted on the held-out predictions of the other folds. "
        f"{away}{plan.recipe.history} {served} It is calibrated on the pooled out-of-fold predictions.",
        limits=_LIMITS,
        refitted=refitted,
        run=facts(plan.recipe),
    )


def _source(name: str, samples: Sequence[Sample]) -> str:
    own = [sample for sample in samples if sample.dataset == name]
    groups = len({sample.group_id for sample in own})
    return _SOURCES.get(name, f"{TITLES.get(name, name)}, {{count}} frames").format(
        count=len(own), groups=groups
    )

"""The model card, written from what was measured and nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from inference.contract import ModelManifest
from inference.evaluation.figures import Figure

METRICS = "metrics.json"
CARD = "card.md"


@dataclass(frozen=True)
class Account:
    """What a card says beside its figures; one a model, in the words of the field."""

    data: str
    method: str
    protocol: str
    limits: tuple[str, ...]


_PROTOCOL = (
    "Fitted on the published `train` part only. Calibration, gates, operating points and the outline "
    "level were fitted on groups of `train` that the calibrated network had not seen. The published "
    "`val` part, disjoint by {group}, was read {reads}, for the figures here. Intervals are 95 % "
    "percentile bootstraps over groups."
)

ACCOUNTS = {
    "ultrasound": Account(
        data="BUSI (Al-Dhabyani 2020): 491 frames to train and calibrate, 118 to measure. No patient ids "
        "exist; near-duplicates are grouped.",
        method="EfficientNet-Lite0 (ImageNet weights, stem and first stage frozen) with a light "
        "top-down decoder: one network gives the outline, a malignancy map and three classes. Frame "
        "and mirror image are averaged.",
        protocol=_PROTOCOL.format(group="near-duplicate group", reads="twice")
        + " Between the two readings a second calibration fold of `train` was added, because the first "
        "showed operating points too strict for `val`; the weights stayed. The AUC stayed 0.852, the Dice "
        "went from 0.751 to 0.748.",
        limits=(
            "One hospital, two machines of one maker; other machines, probes and populations were not tried.",
            "`normal` frames look different altogether, so three-class figures flatter.",
            "Many frames carry callipers and text; the network may have learned from them.",
            "The `val` part is small and known to be a hard draw: mind the interval.",
            "The operating points were fitted on folds that proved easier than `val`: expect less "
            "sensitivity than their names promise.",
        ),
    ),
    "mammography": Account(
        data="Two tasks, never pooled. Masses: CBIS-DDSM mass films at 256 px (1,008 films to train and "
        "calibrate, 223 to measure). Abnormality: mini-MIAS (210 films of 105 women to train, 48 to "
        "measure).",
        method="A mass network (EfficientNet-Lite0 with a decoder, at 288×192) outlines masses and "
        "judges them; a frozen ImageNet EfficientNet-Lite0 at 576×384 and one penalised linear layer "
        "say whether a film is abnormal. A breast is the mean of its views, an exam the higher breast.",
        protocol=_PROTOCOL.format(group="woman", reads="once"),
        limits=(
            "Digitised film only; full-field digital mammograms were not tried.",
            "`malignancy` was learned from films that all show a mass: on a film without one it says little.",
            "At this resolution calcifications are invisible.",
            "The abnormality score is weak: 210 films of one screening programme taught it, MLO views only.",
            "Breast density is not reported.",
        ),
    ),
    "histopathology": Account(
        data="IDC patches (Cruz-Roa 2014, Janowczyk 2016): 50×50 px at about 4 µm/px, 7,219 to train "
        "and calibrate, 1,711 to measure.",
        method="EfficientNet-Lite0 (ImageNet weights, stem and first stage frozen) on fields of 0.2 mm "
        "enlarged to 96 px, trained with stain augmentation. An image's score is the mean of its "
        "highest tenth of field logits, calibrated on single fields.",
        protocol=_PROTOCOL.format(group="runs of patients", reads="once"),
        limits=(
            "Class 0 means *not invasive ductal carcinoma*: normal, fat, stroma, perhaps DCIS. It is "
            "not benign.",
            "The outlines that gave the labels are coarse; borders are noise.",
            "The calibration holds for a field. A whole slide's score is a ranking, not a probability "
            "of disease.",
            "Scanners other than the set's own, frozen sections and lobular carcinoma were not measured.",
        ),
    ),
}


def write_card(folder: Path, manifest: ModelManifest, figures: Sequence[Figure], flagged: float) -> None:
    """`metrics.json` and `card.md` into `folder`. `flagged`: share of measured images that the gate held out
    of distribution."""
    metrics = {
        "model": manifest.name,
        "version": manifest.version,
        "weights_sha256": manifest.weights.sha256,
        "figures": [figure.as_json() for figure in figures],
        "held_out_of_distribution": round(flagged, 6),
    }
    (folder / METRICS).write_text(json.dumps(metrics, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / CARD).write_text(card_text(manifest, figures, flagged), encoding="utf-8")


def card_text(manifest: ModelManifest, figures: Sequence[Figure], flagged: float) -> str:
    """The card in Markdown."""
    account = ACCOUNTS[manifest.name]
    rows = [
        f"| {figure.meaning} | **{figure.value:.3f}** | {figure.low:.3f}–{figure.high:.3f} | "
        f"{figure.images} | {figure.groups} |"
        for figure in figures
    ]
    points = [f"| {name.replace('_', ' ')} | {value:.3f} |" for name, value in manifest.thresholds.items()]
    return "\n".join(
        (
            f"# {manifest.title}",
            "",
            f"`{manifest.name}` {manifest.version} · {manifest.parameters / 1e6:.1f} M parameters · weights "
            f"`{manifest.weights.sha256[:16]}…`",
            "",
            manifest.intended_use,
            "",
            "## Data and licence",
            "",
            account.data,
            "",
            f"{manifest.licence}.",
            "",
            "## Method",
            "",
            account.method,
            "",
            "## Protocol",
            "",
            account.protocol,
            "",
            "## Results",
            "",
            "| figure | value | 95 % interval | images | groups |",
            "|---|---|---|---|---|",
            *rows,
            "",
            f"{flagged:.1%} of the measured images were flagged out of distribution; they count in every "
            f"figure.",
            "",
            "## Operating points",
            "",
            f"On the calibrated probability of `{manifest.positive_class}`; at or above counts as positive.",
            "",
            "| point | threshold |",
            "|---|---|",
            *points,
            "",
            "## Limits",
            "",
            *(f"- {limit}" for limit in account.limits),
            "",
            f"`python -m inference evaluate {manifest.name}` prints these figures again from the "
            f"predictions of "
            "record, `--rerun` from the weights.",
            "",
        )
    )

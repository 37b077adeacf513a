"""The report of an acceptance, for people (Markdown, PNG) and for programs (JSON)."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from inference.contract import ModelManifest
from inference.evaluation import acceptance
from inference.evaluation.acceptance import WORDS, Acceptance, Verdict
from inference.evaluation.figures import Figure
from inference.evaluation.plots import Plot, plots, thinned
from inference.evaluation.raster import write_png
from inference.evaluation.recalibration import Calibration

REPORT, DATA, SCORES = "report.md", "acceptance.json", "scores.csv"


def write(found: Acceptance, manifest: ModelManifest, out: Path) -> list[Path]:
    """`report.md`, `acceptance.json`, `scores.csv` (what the model said of each image) and the plots, into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    drawn = [_named(plot, found) for plot in plots(manifest, found.records)]
    pictures = [write_png(plot, out / f"{plot.name}.png") for plot in drawn]
    curves = [
        {"name": plot.name, "title": plot.title, "points": thinned(plot.curve), "dots": plot.dots}
        for plot in drawn
    ]
    text = json.dumps({**found.as_json(), "curves": curves}, indent=2, ensure_ascii=False)
    (out / DATA).write_text(text + "\n", encoding="utf-8")
    with (out / SCORES).open("w", newline="", encoding="utf-8") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(("image", "label", *manifest.classes, "gate"))
        for record in found.records:
            chances = (record.probabilities.get(name, "") for name in manifest.classes)
            writer.writerow((record.image, record.label, *chances, record.facts.get("gate", "")))
    pairs = [(plot.title, f"{plot.name}.png") for plot in drawn]
    (out / REPORT).write_text(as_markdown(found, pairs), encoding="utf-8")
    return [out / REPORT, out / DATA, out / SCORES, *pictures]


def _named(plot: Plot, found: Acceptance) -> Plot:
    """With a title of its own, and the shipped points on the curve."""
    kind, _, rest = plot.title.partition(",")
    title = f"{kind} on local cases:{rest.partition(':')[2]}"
    if kind != "ROC":
        return replace(plot, title=title)
    points = tuple((1 - point.specificity.value, point.sensitivity.value) for point in found.points)
    leading = plot.name.endswith(f"_{found.positive_class}")
    return replace(
        plot, title=f"{title}; dots: shipped points" if leading else title, dots=points if leading else ()
    )


def as_markdown(found: Acceptance, pictures: Sequence[tuple[str, str]] = ()) -> str:
    """The whole report; `pictures` are titles and files beside it."""
    lines = [
        f"# Acceptance of {found.model} {found.version} on local cases",
        "",
        f"**Verdict: {WORDS[found.verdict]}.**",
        "",
        *_listed(found.reasons),
        *(["", "Conditions:", "", *_listed(found.conditions)] if found.conditions else []),
        *(["", "More cases are needed before anything can be decided."] if found.verdict is Verdict.TOO_FEW else []),
        "",
        *_listed(found.notes),
        "",
        f"{found.images} images of {found.patients} patients ({found.positives} with, {found.negatives} without the "
        f"disease); {len(found.not_read)} not read; {found.held_back:.1%} held back by the gate. Weights SHA-256 "
        f"`{found.weights_sha256[:16]}…`. Intervals are 95 %, over patients.",
        "",
        "## Figures",
        "",
        *_table(
            ("figure", "here", "on the card, at home"),
            [(one.meaning, _told(one), _told(_same(one, found.home))) for one in found.figures],
        ),
        "",
        "## The shipped operating points",
        "",
        *_table(
            ("point", "threshold", "sensitivity", "at home", "specificity", "at home", "holds"),
            [
                (p.name.replace("_", " "), f"{p.threshold:.3f}", _told(p.sensitivity), _told(p.home_sensitivity),
                 _told(p.specificity), _told(p.home_specificity), "yes" if p.holds else "**no**")
                for p in found.points
            ],
        ),
        "",
        *_calibration(found),
        *_subgroups(found),
        *_shift(found),
        *(["## Plots", "", *(f"![{title}]({file})\n" for title, file in pictures)] if pictures else []),
        *(["## Not read", "", *_listed(found.not_read), ""] if found.not_read else []),
        "## The rules",
        "",
        (acceptance.__doc__ or "").partition("The rules, in their order:")[2].strip(),
        "",
    ]  # fmt: skip
    return "\n".join(lines)


def _calibration(found: Acceptance) -> Iterator[str]:
    if found.calibration is None:
        return
    rows = [("as shipped", *_off(found.calibration))]
    if found.proposal is not None:
        rows.append(("recalibrated, cross-fitted", *_off(found.proposal.calibration)))
    yield from ("## Calibration", "")
    yield from _table(
        (
            "probabilities",
            "calibration error",
            "a perfect model of this size",
            "one in twenty",
            "Brier",
            "said",
            "true",
        ),
        rows,
    )
    yield ""
    proposal = found.proposal
    if proposal is None:
        yield from ("No recalibration is proposed: a part of the cases lacks a class.", "")
        return
    yield (
        f"**Proposed, not applied**: p′ = sigmoid({proposal.slope:g} · log-odds {proposal.offset:+g}); thresholds on p "
        "as the model says it. What they give is cross-fitted over five parts of the patients."
    )
    yield ""
    yield from _table(
        ("point", "local threshold", "sensitivity expected", "specificity expected"),
        [
            (name.replace("_", " "), f"{level:.3f}", *(f"{value:.3f}" for value in proposal.expected[name]))
            for name, level in proposal.thresholds.items()
        ],
    )
    yield ""


def _off(one: Calibration) -> tuple[str, ...]:
    return tuple(
        f"{value:.3f}" for value in (one.ece, one.floor, one.floor_95, one.brier, one.said, one.true)
    )


def _subgroups(found: Acceptance) -> Iterator[str]:
    if not found.subgroups:
        return
    yield from ("## Subgroups", "")
    names = [name.replace("_", " ") for name, _, _ in found.subgroups[0].points]
    yield from _table(
        ("column", "value", "images", "positive", "AUC", *(f"{name}: sensitivity, specificity" for name in names)),
        [
            (one.column, one.value, str(one.images), str(one.positives),
             _told(one.auc) + (" **below**" if one.below else ""),
             *(f"{_value(sensitivity)}, {_value(specificity)}" for _, sensitivity, specificity in one.points))
            for one in found.subgroups
        ],
    )  # fmt: skip
    yield ""


def _shift(found: Acceptance) -> Iterator[str]:
    if found.shift is None:
        return
    yield from (
        "## Do these images look like the model's own?",
        "",
        f"{found.shift.in_words().capitalize()}.",
        "",
    )
    if not found.shift.weighed:
        yield from (
            "The mix of cases could not be held fixed: another prevalence looks like a shift here.",
            "",
        )
    yield from _table(
        ("feature", "model's own, median or share", "here", "statistic", "p, corrected"),
        [
            (one.meaning, "–" if one.reference_median is None else f"{one.reference_median:g}",
             "–" if one.cases_median is None else f"{one.cases_median:g}", f"{one.statistic:.3f}", f"{one.p:.2g}")
            for one in found.shift.compared
        ],
    )  # fmt: skip
    yield ""


def _listed(sentences: Sequence[str]) -> list[str]:
    return [f"- {sentence[:1].upper()}{sentence[1:]}." for sentence in sentences]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    whole = (head, ["---"] * len(head), *rows)
    return [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in whole]


def _cell(text: str) -> str:
    """What stood in a table of somebody else's cannot break ours."""
    return " ".join(text.replace("|", "/").replace("<", "‹").replace(">", "›").split())


def _same(one: Figure, others: Sequence[Figure]) -> Figure | None:
    """The figure of the card that asks the same; its name ends otherwise where its set calls the disease otherwise."""
    kind = one.name if one.name.startswith(("sensitivity_", "specificity_")) else one.name.split("_")[0]
    if one.name.startswith(("sensitivity_at", "specificity_at", "auc_patient")):
        return None
    return next((o for o in others if o.name == kind or (kind == "auc" and o.name.startswith("auc_"))), None)


def _told(one: Figure | None) -> str:
    return "–" if one is None else f"{one.value:.3f} ({one.low:.3f}–{one.high:.3f})"


def _value(one: Figure | None) -> str:
    return "–" if one is None else f"{one.value:.2f}"

"""What the page of a reader study shows, put together from the laboratory's report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from cad_platform.quality import signed_readings
from cad_platform.quality.models import ReaderStudy

#: Side of a drawn plot, in its own units.
SIDE = 200
#: Lines that are told apart without colour, in the order of the modalities.
DASHES = ("none", "7 4", "2 3", "10 3 2 3", "1 4", "12 4", "6 2 1 2", "3 6")
_ROWS = 12
_POPULATIONS = {
    "readers and cases": gettext_lazy("readers and cases like these"),
    "cases, these readers": gettext_lazy("cases like these, and these readers"),
    "readers, these cases": gettext_lazy("readers like these, and these cases"),
}


@dataclass(frozen=True)
class TestRow:
    """Whether all modalities are equal, for a population."""

    population: str
    f: str
    freedom: str
    p: str


@dataclass(frozen=True)
class DifferenceRow:
    population: str
    which: str
    difference: str
    p: str


@dataclass(frozen=True)
class CurveLine:
    """One modality's curve: corners in the plot's units, and some of its numbers."""

    modality: str
    dash: str
    path: str
    rows: list[tuple[str, str]]


@dataclass(frozen=True)
class ReaderPlot:
    """One reader's curves, with the areas under them as the plot's text."""

    name: str
    reader: str
    told: str
    lines: list[CurveLine]

    side: int = SIDE


@dataclass(frozen=True)
class Origin:
    """Of a study of signed reports: what was compared, how many known studies were no cases and why, how to read it."""

    facts: list[tuple[str, str]]
    left_out: list[tuple[str, int]]
    cautions: list[str]


@dataclass(frozen=True)
class Page:
    """Everything on it."""

    study: ReaderStudy
    origin: Origin | None
    modalities: tuple[str, ...]
    facts: list[tuple[str, str]]
    conclusion: list[str]
    tests: list[TestRow]
    differences: list[DifferenceRow]
    means: list[tuple[str, str]]
    readers: list[tuple[str, list[str]]]
    plots: list[ReaderPlot]


def page_of(study: ReaderStudy) -> Page:
    """Everything on the page of a study."""
    report: Mapping[str, Any] = study.report
    modalities = tuple(row["modality"] for row in report["modalities"])
    differences = [_difference(row) for row in report["differences"]]
    main = [row for row in report["differences"] if row["speaks of"] == "readers and cases"]
    # Readers of signed reports are numbers.
    named = _("Reader %(number)s") if study.source else "%(number)s"
    readers = [
        (named % {"number": row["reader"]}, [_interval(row[modality]) for modality in modalities])
        for row in report["readers"]
    ]
    return Page(
        study=study,
        origin=_origin(study.source) if study.source else None,
        modalities=modalities,
        facts=_facts(study),
        conclusion=[_sentence(row) for row in main],
        tests=[
            TestRow(
                _population(row["speaks of"]),
                f"{row['F']:.3f}",
                f"{row['df']}, {'∞' if row['df of the error'] is None else format(row['df of the error'], '.1f')}",
                _p(row["p"]),
            )
            for row in report["tests"]
        ],
        differences=differences,
        means=[(row["modality"], _interval(row["AUC"])) for row in report["modalities"]],
        readers=readers,
        plots=[
            _plot(number, reader, areas, study.curves[row["reader"]], modalities)
            for number, ((reader, areas), row) in enumerate(zip(readers, report["readers"], strict=True), 1)
        ],
    )


def _facts(study: ReaderStudy) -> list[tuple[str, str]]:
    told = study.report["settings"]
    design = _("one reader each (nested in readers)") if study.is_nested else _("read by every reader")
    return [
        (_("Readers"), str(told["readers"])),
        (_("Modalities"), str(told["modalities"])),
        (_("Cases"), str(told["cases"])),
        (_("Each case"), design),
        (_("Positive cases"), str(told["positive cases"])),
    ]


def _origin(source: Mapping[str, Any]) -> Origin:
    days = " – ".join(source[name] or "…" for name in ("since", "until"))
    counts = {"known": source["known"], "signed": source["signed"]}
    in_view = (
        _("Readers had this version's answer in view: their categories are of reader and model together.")
        if source["answer"] == signed_readings.SHOWN
        else _("Readers had no model's answer in view; the version scored the same images at some time.")
    )
    return Origin(
        facts=[
            (_("Compared with"), f"{source['name']} {source['version']}"),
            (_("Site"), source["site"]),
            (_("Days"), days if source["since"] or source["until"] else _("all")),
            (_("Signed reports"), str(source["signed"])),
            (_("Known studies"), str(source["known"])),
            (_("Cases by signed pathology"), str(source["by_source"].get("pathology", 0))),
            (_("Cases by a table"), str(source["by_source"].get("table", 0))),
        ],
        left_out=signed_readings.left_out_words(source["left_out"]),
        cautions=[
            _(
                "Each examination has one report, so each reader has cases of their own: readers are compared with the "
                "model, not with each other, and not with themselves without it."
            ),
            in_view,
            _(
                "What is true is known of %(known)d studies, and %(signed)d reports are signed. Who is biopsied is who "
                "was suspected: where mostly such cases are known, readers' categories differ less among them, and "
                "their areas come out too low (verification bias)."
            )
            % counts,
            _("A category has seven steps, a score many: few steps cost a little area."),
        ],
    )


def _sentence(row: Mapping[str, Any]) -> str:
    values = {
        "first": row["first"], "second": row["second"], "difference": _interval(row["difference"]), "p": _p(row["p"])
    }  # fmt: skip
    if row["p"] < 0.05:
        return _("%(first)s and %(second)s differ: difference of the AUC %(difference)s, p = %(p)s.") % values
    return (
        _("%(first)s and %(second)s are not told apart: difference of the AUC %(difference)s, p = %(p)s.")
        % values
    )


def _difference(row: Mapping[str, Any]) -> DifferenceRow:
    which = _("%(first)s minus %(second)s") % {"first": row["first"], "second": row["second"]}
    return DifferenceRow(_population(row["speaks of"]), which, _interval(row["difference"]), _p(row["p"]))


def _population(name: str) -> str:
    return str(_POPULATIONS[name])


def _plot(
    number: int,
    reader: str,
    areas: list[str],
    curves: Mapping[str, list[tuple[float, float]]],
    modalities: tuple[str, ...],
) -> ReaderPlot:
    lines = []
    for modality, dash in zip(modalities, DASHES, strict=False):
        points = curves[modality]
        step = max(1, len(points) // _ROWS)
        shown = points[::step] if points[-1] in points[::step] else [*points[::step], points[-1]]
        lines.append(
            CurveLine(
                modality,
                dash,
                " ".join(f"{SIDE * x:.1f},{SIDE * (1 - y):.1f}" for x, y in points),
                [(f"{x:.3f}", f"{y:.3f}") for x, y in shown],
            )
        )
    told = "; ".join(f"{modality}: AUC {area}" for modality, area in zip(modalities, areas, strict=True))
    return ReaderPlot(f"reader-{number}", reader, told, lines)


def _interval(figure: Mapping[str, float | None]) -> str:
    value, low, high = (
        "—" if figure[name] is None else f"{figure[name]:.3f}" for name in ("value", "low", "high")
    )
    return f"{value} [{low}, {high}]"


def _p(value: float) -> str:
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"

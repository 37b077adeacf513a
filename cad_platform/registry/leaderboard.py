"""Methods of the literature as they were run again, and the models of this platform: one measure at a time, figures
from elsewhere first, each with its interval, leaky ones marked. Nothing is measured here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from cad_platform.core.actor import Actor
from cad_platform.registry import selectors
from cad_platform.registry.models import ModelVersion

#: Ships with the platform (`python -m inference reproductions` writes it).
REPRODUCTIONS = Path("docs/reproductions/reproductions.json")
#: How a figure came about, the most trustworthy first.
PLACES = {
    "external": gettext_lazy("another collection"),
    "left_out_collection": gettext_lazy("a collection left out of training"),
    "left_out_scanner": gettext_lazy("a scanner left out of training"),
    "oof": gettext_lazy("held-out patients (folds)"),
    "test": gettext_lazy("held-out patients"),
    "val": gettext_lazy("held-out patients (validation part)"),
    "patients": gettext_lazy("held-out patients (folds)"),
    "leaky": gettext_lazy("leaky: images divided, not patients"),
}
_ELSEWHERE = ("external", "left_out_collection", "left_out_scanner")
MEASURES = {"auc": "AUC", "accuracy": gettext_lazy("Accuracy"), "dice": "Dice"}
KINDS = {
    "model": gettext_lazy("Models of this platform"),
    "method": gettext_lazy("Methods of the literature"),
}
SORTS = {
    "trust": gettext_lazy("how it was measured"),
    "value": gettext_lazy("figure"),
    "name": gettext_lazy("name"),
}

#: What an AUC is of, by the beginning of a figure's name, and which classes it tells apart, by its end.
_UNITS = {"patient_": gettext_lazy("a patient"), "breast_": gettext_lazy("a breast")}
_CONTRASTS = {
    "malignant_benign": gettext_lazy("malignant against benign"),
    "malignancy": gettext_lazy("malignant against benign"),
    "malignant_rest": gettext_lazy("malignant against all else"),
    "abnormal": gettext_lazy("abnormal against normal"),
    "idc": gettext_lazy("carcinoma against none"),
    "mosaic": gettext_lazy("carcinoma against none"),
}
#: A measure of a paper that is another name for one of ours.
_ALSO = {"image_recognition_rate": "accuracy"}

#: Units of the plot: its width, where its axis begins and ends, and a row's height.
WIDTH, LEFT, RIGHT, ROW = 800, 370, 785, 31
#: As much of a name as fits beside the axis.
_LETTERS = 60


@dataclass(frozen=True)
class Entry:
    """One figure of one method or model version.

    Attributes
    ----------
    of
        What it is of (an image, a patient) and which classes it tells apart: one model and one set have several.
    said
        What exactly was measured, or each thing that differs from the paper, in the laboratory's words; English.
    paper
        The number that the paper gives, where it gives one of this measure.
    """

    kind: str
    name: str
    of: str
    said: tuple[str, ...]
    measure: str
    dataset: str
    place: str
    value: float
    low: float
    high: float
    images: int
    groups: int
    paper: float | None = None
    version_id: int | None = None

    @property
    def detail(self) -> str:
        return "; ".join(self.said)

    @property
    def is_leaky(self) -> bool:
        return self.place == "leaky"

    @property
    def is_elsewhere(self) -> bool:
        return self.place in _ELSEWHERE

    @property
    def place_words(self) -> str:
        return str(PLACES.get(self.place, self.place))

    @property
    def interval(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Choice:
    """What is looked at; values that are none count as not chosen."""

    measure: str = "auc"
    kind: str = ""
    dataset: str = ""
    sort: str = "trust"
    leaky: bool = True

    @classmethod
    def of(cls, asked: Mapping[str, str]) -> Choice:
        """From an address."""
        measure, sort = asked.get("measure", ""), asked.get("sort", "")
        return cls(
            measure if measure in MEASURES else "auc",
            asked.get("kind", "") if asked.get("kind") in KINDS else "",
            asked.get("dataset", ""),
            sort if sort in SORTS else "trust",
            asked.get("leaky", "yes") != "no",
        )


@dataclass(frozen=True)
class Whisker:
    """A row of the plot: where its interval and its dot lie."""

    entry: Entry
    y: float
    low: float
    high: float
    dot: float
    paper: float | None

    @property
    def label(self) -> str:
        """Whose figure it is, and on which set; as much as fits beside the axis."""
        text = f"{self.entry.name}, {self.entry.dataset}"
        return text if len(text) <= _LETTERS else f"{text[: _LETTERS - 1]}…"

    @property
    def of(self) -> str:
        """What tells the rows of one name apart: what the figure is of, and how it was measured."""
        return " · ".join(words for words in (self.entry.of, self.entry.place_words) if words)


@dataclass(frozen=True)
class Plot:
    """Whiskers over one axis. The table beside it says the same numbers."""

    rows: list[Whisker]
    ticks: list[tuple[float, str]]
    height: int

    foot: int = 16
    width: int = WIDTH
    left: int = LEFT
    right: int = RIGHT


@dataclass(frozen=True)
class Board:
    """What was chosen, in its order, by page and API; `datasets`: what the measure was measured on; `ships`: whether
    the methods' figures are there."""

    entries: list[Entry]
    datasets: list[str]
    ships: bool

    @cached_property
    def plot(self) -> Plot | None:
        return _plot(self.entries) if self.entries else None


def board_of(actor: Actor, choice: Choice) -> Board:
    """Raises `NotPermitted`."""
    versions = list(selectors.versions(actor).defer("card"))
    methods = _methods()
    everything = [entry for version in versions for entry in _of_version(version)] + list(methods)
    measured = [entry for entry in everything if entry.measure == choice.measure]
    shown = [
        entry
        for entry in measured
        if choice.kind in ("", entry.kind)
        and choice.dataset in ("", entry.dataset)
        and (choice.leaky or not entry.is_leaky)
    ]
    datasets = sorted({entry.dataset for entry in measured})
    return Board(_ordered(shown, choice.sort), datasets, bool(methods))


def _ordered(entries: Sequence[Entry], sort: str) -> list[Entry]:
    """By what was chosen; leaky figures come last, however high they are."""
    ranks = {place: rank for rank, place in enumerate(PLACES)}

    def key(entry: Entry) -> tuple[Any, ...]:
        last = entry.is_leaky
        rank = ranks.get(entry.place, len(ranks))
        if sort == "name":
            return last, entry.name, rank, entry.dataset, -entry.value
        if sort == "value":
            return last, -entry.value, entry.name
        # Of models and methods that were measured alike, the models that are served come first.
        return (
            last,
            not entry.is_elsewhere,
            entry.kind != "model",
            rank,
            entry.dataset,
            -entry.value,
            entry.name,
        )

    return sorted(entries, key=key)


def _of_version(version: ModelVersion) -> list[Entry]:
    """The figures of a version's card that methods are compared by."""
    found = []
    for figure in version.metrics.get("figures", ()):
        measure = next(
            (name for name in MEASURES if figure["name"] == name or figure["name"].startswith(f"{name}_")),
            None,
        )
        if measure is None or figure.get("low") is None or figure.get("high") is None:
            continue
        found.append(
            Entry(
                "model", f"{version.name} {version.version}", _of(figure, measure), (figure["meaning"],), measure,
                figure["dataset"], figure["split"], figure["value"], figure["low"], figure["high"],
                figure["images"], figure["groups"],
                version_id=version.pk,
            )
        )  # fmt: skip
    return found


def _of(figure: Mapping[str, Any], measure: str) -> str:
    """What a version's figure is of, in the language in use; of a name that is not known here its own words."""
    if measure == "dice":
        return _("outlines")
    if measure == "accuracy":
        return _("an image, the right class")
    name = figure["name"].removeprefix(f"{measure}_")
    unit = next((unit for unit in _UNITS if name.startswith(unit)), "")
    contrast = _CONTRASTS.get(name.removeprefix(unit))
    if contrast is None:
        return str(figure["meaning"]).removeprefix("AUC, ")
    return _("%(unit)s, %(contrast)s") % {"unit": _UNITS.get(unit, _("an image")), "contrast": contrast}


@cache
def _methods() -> tuple[Entry, ...]:
    """The methods' rows; none where the file does not ship. Read once: it changes with a release."""
    try:
        told = json.loads((settings.BASE_DIR / REPRODUCTIONS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()
    found = []
    for row in told["methods"]:
        ways = (("patient_level", "patients"), ("image_level_leaky", "leaky"))
        for field, place in ways:
            figure = row.get(field)
            if figure is None or row["measure"] not in MEASURES or figure.get("low") is None:
                continue
            name = "-".join((row["id"], *(variant for variant in row["variants"] if variant != "port")))
            theirs = _ALSO.get(row["review_measure"], row["review_measure"])
            found.append(
                Entry(
                    "method", f"[{row['reference']}] {name}", "", tuple(row["substitutions"]), row["measure"],
                    row["dataset"], place, figure["value"], figure["low"], figure["high"], row["images"], row["groups"],
                    paper=row["review_number"] if theirs == row["measure"] else None,
                )
            )  # fmt: skip
    return tuple(found)


def _plot(entries: Sequence[Entry]) -> Plot:
    numbers = [number for entry in entries for number in (entry.low, entry.value, entry.high)]
    numbers += [entry.paper for entry in entries if entry.paper is not None]
    least = max(0.0, int(min(numbers) * 10) / 10)

    def place(value: float) -> float:
        return round(LEFT + (value - least) / (1 - least) * (RIGHT - LEFT), 1)

    rows = [
        Whisker(
            entry, ROW * number + 34, place(entry.low), place(entry.high), place(entry.value),
            None if entry.paper is None else place(entry.paper),
        )
        for number, entry in enumerate(entries)
    ]  # fmt: skip
    step = 0.1 if least >= 0.4 else 0.2
    ticks = [least + step * number for number in range(int((1 - least) / step + 1.001))]
    return Plot(rows, [(place(tick), f"{tick:.1f}") for tick in ticks], ROW * len(rows) + 34)


def measure_words(measure: str) -> str:
    """The measure's name in the language in use."""
    return str(MEASURES[measure])


def nothing_words(board: Board) -> str:
    """Why there is none."""
    return (
        _("No figure fits what was chosen.")
        if board.ships
        else _("No figures of methods ship with this platform.")
    )

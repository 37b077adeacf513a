"""The leading figures again for parts of the images: by lesion size, density, view, kind, fold, patient."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from inference.contract import OPERATING_POINTS, ModelManifest
from inference.evaluation.asked import DatasetProtocol
from inference.evaluation.figures import Figure, Measure, NotComputable, figure
from inference.evaluation.lines import lines_of
from inference.evaluation.protocol import parts, protocol_of
from inference.evaluation.records import Record

#: A subgroup of fewer images is counted but not measured.
FEWEST = 10
_NAMES_OF_THIRDS = ("smallest third", "middle third", "largest third")


@dataclass(frozen=True)
class By:
    """One table: a fact and its words. `thirds` cuts a number's range at its tertiles; `against` names the
    label whose images stand in every row, because they have no kind of their own. `more`: figures beside the
    leading ones, by name."""

    fact: str
    words: str
    thirds: bool = False
    against: str | None = None
    more: tuple[str, ...] = ()


#: What a threshold that was fitted elsewhere does here.
_POINTED = tuple(f"{what}_{point}" for point in OPERATING_POINTS for what in ("sensitivity", "specificity"))
TABLES = {
    "busi": (
        By("lesion_share", "lesion size (share of the frame)", thirds=True),
        By("part", "published part"),
    ),
    "busbra": (
        By("device", "scanner", more=_POINTED),
        By("gate", "gate (an image that is held back gets no verdict)", more=_POINTED),
        By("birads", "BI-RADS that the reader gave"),
        By("lesion_share", "lesion size (share of the frame)", thirds=True),
    ),
    "mini_mias": (
        By("density", "density (F fatty, G glandular, D dense)"),
        By("kinds", "kind of lesion, each against all normal films", against="normal"),
        By("part", "published part"),
    ),
    "cbis_mass_256": (
        By("density", "density"),
        By("view", "view"),
        By("subtlety", "subtlety (5 obvious)"),
        By("birads", "BI-RADS assessment"),
        By("lesion_share", "lesion size (share of the film)", thirds=True),
    ),
    "breakhis": (By("magnification", "magnification"),),
    "camelyon17": (By("centre", "centre"),),
}


@dataclass(frozen=True)
class Row:
    """A subgroup: how many images it has, and the leading figures that it can be asked for."""

    dataset: str
    split: str
    table: str
    subgroup: str
    images: int
    figures: tuple[Figure, ...]

    def as_json(self) -> dict[str, object]:
        return {
            "dataset": self.dataset,
            "split": self.split,
            "table": self.table,
            "subgroup": self.subgroup,
            "images": self.images,
            "figures": [
                {"name": entry.name, "value": entry.value, "low": entry.low, "high": entry.high,
                 "images": entry.images, "groups": entry.groups}
                for entry in self.figures
            ],
        }  # fmt: skip


@dataclass(frozen=True)
class Spread:
    """How a leading figure varies over folds or patients, each measured by itself."""

    dataset: str
    split: str
    over: str
    name: str
    meaning: str
    number: int
    mean: float
    sd: float
    lowest: float
    median: float
    highest: float

    def as_json(self) -> dict[str, object]:
        return dict(vars(self))


def headline_lines(sheet: DatasetProtocol, manifest: ModelManifest) -> list[Measure]:
    """The lines that a sheet calls its headline, in its order."""
    by_name = {line.name: line for line in lines_of(sheet, manifest)}
    return [by_name[name] for name in sheet.headline if name in by_name]


def rows(manifest: ModelManifest, records: Sequence[Record]) -> list[Row]:
    """All subgroup tables of the data sets on record; images without the fact stand in none."""
    found = []
    for dataset, split, own in parts(records):
        sheet = protocol_of(dataset, manifest)
        leading = headline_lines(sheet, manifest)
        for by in TABLES.get(dataset, ()):
            led = {line.name for line in leading}
            lines = leading + [
                line for line in lines_of(sheet, manifest) if line.name in by.more and line.name not in led
            ]
            cut = list(_thirds(by, own) if by.thirds else _values(by, own))
            if len(cut) < 2:
                continue
            for subgroup, members in cut:
                measured = _measured(lines, members) if len(members) >= FEWEST else ()
                found.append(Row(dataset, split, by.words, subgroup, len(members), measured))
    return found


def _measured(lines: Sequence[Measure], members: Sequence[Record]) -> tuple[Figure, ...]:
    found = []
    for line in lines:
        try:
            found.append(figure(line, members))
        except NotComputable:
            continue
    return tuple(found)


def _values(by: By, records: Sequence[Record]) -> Iterator[tuple[str, list[Record]]]:
    def own(record: Record) -> list[str]:
        """A film may show several kinds; anything else has one value."""
        value = record.facts.get(by.fact, "")
        return value.split() if by.against else [value] if value else []

    apart = [record for record in records if by.against and record.label == by.against]
    rest = [record for record in records if not by.against or record.label != by.against]
    for value in sorted({value for record in rest for value in own(record)}):
        yield value, [record for record in rest if value in own(record)] + apart


def _thirds(by: By, records: Sequence[Record]) -> Iterator[tuple[str, list[Record]]]:
    known = [(float(record.facts[by.fact]), record) for record in records if by.fact in record.facts]
    if len(known) < 3:
        return
    cuts = np.quantile([value for value, _ in known], (1 / 3, 2 / 3))
    for number, name in enumerate(_NAMES_OF_THIRDS):
        members = [(value, record) for value, record in known if int((value > cuts).sum()) == number]
        if members:
            values = [value for value, _ in members]
            yield f"{name} ({min(values):.2%}–{max(values):.2%})", [record for _, record in members]


def spreads(manifest: ModelManifest, records: Sequence[Record]) -> list[Spread]:
    """The leading figures fold by fold where folds are on record, and patient by patient for the IDC
    patches (patients with both classes)."""
    found = []
    for dataset, _, own in parts(records):
        lines = headline_lines(protocol_of(dataset, manifest), manifest)
        if any(record.fold is not None for record in own):
            found += _spread(lines, own, "folds", lambda r: "" if r.fold is None else str(r.fold))
        if dataset == "idc":
            found += _spread(lines, own, "patients", lambda r: r.facts.get("patient", ""))
    return found


def _spread(
    lines: Sequence[Measure], records: Sequence[Record], over: str, key: Callable[[Record], str]
) -> list[Spread]:
    dataset, split = records[0].dataset, records[0].split
    members: dict[str, list[Record]] = {}
    for record in records:
        if key(record):
            members.setdefault(key(record), []).append(record)
    found = []
    for line in lines:
        values = np.array([line.value(own) for own in members.values()])
        values = values[~np.isnan(values)]
        if len(values) < 2:
            continue
        numbers = (values.mean(), values.std(ddof=1), values.min(), np.median(values), values.max())
        mean, sd, lowest, median, highest = (round(float(number), 4) for number in numbers)
        found.append(
            Spread(dataset, split, over, line.name, line.meaning, len(values), mean, sd, lowest, median,
                   highest)
        )  # fmt: skip
    return found

"""Trained there, tested here: one cell a pair of sets, a scanner and an answer, thresholds included."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from inference.contract import OPERATING_POINTS, ModelManifest
from inference.evaluation.asked import BinaryQuestion
from inference.evaluation.figures import Figure, NotComputable, figure
from inference.evaluation.lines import lines_of
from inference.evaluation.protocol import parts, protocol_of
from inference.evaluation.records import Record
from inference.runtime.whole_image.pipeline import only_outlines

#: Every scanner of a set together.
ALL = "all"
_AT_A_POINT = ("sensitivity", "specificity", "sensitivity_patient", "specificity_patient")
#: The answer of a network that outlines and says nothing of what.
OUTLINE = "how well it outlines"
#: A scanner of fewer images makes no cell.
FEWEST = 30


@dataclass(frozen=True)
class Cell:
    """What a `model` (name and version) that learned an answer on the sets `trained_on` says of another set's images.
    `split`: which images of the set; `external` where nothing of it went into the model, `left_out_collection` or
    `left_out_scanner` where a network of the same recipe saw nothing of it, or of the scanner."""

    model: str
    trained_on: tuple[str, ...]
    tested_on: str
    scanner: str
    split: str
    answer: str
    images: int
    patients: int
    figures: tuple[Figure, ...]

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def cells(
    manifest: ModelManifest,
    records: Sequence[Record],
    trained: Sequence[str],
    foreign: Mapping[str, Sequence[str]],
) -> list[Cell]:
    """Every pair that the records allow.

    Parameters
    ----------
    records
        Of any sets and splits, answers that are foreign to their set parted from the others
        (`external.parted`).
    trained
        The sets of the version's training manifest.
    foreign
        For a set, the classes that no network trained on it answers.
    """
    found = []
    for dataset, split, own in parts(records):
        taught = [name for name in trained if (split, name) != ("left_out_collection", dataset)]
        for answer, learned, counts, wanted in _answers(dataset, manifest, taught, foreign):
            for scanner, members in _scanners(own):
                measured = _figures(dataset, wanted, manifest, members)
                if measured:
                    images = [record for record in members if counts(record)]
                    groups = len({record.group for record in images})
                    found.append(
                        Cell(
                            f"{manifest.name} {manifest.version}",
                            learned,
                            dataset,
                            scanner,
                            split,
                            answer,
                            len(images),
                            groups,
                            tuple(measured),
                        )
                    )
    return found


def _answers(
    dataset: str, manifest: ModelManifest, trained: Sequence[str], foreign: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, tuple[str, ...], Callable[[Record], bool], list[str]]]:
    """What the model answers of the set: in words, the sets that taught it, the records that count, and the names of
    its figures, the first of which makes the cell."""
    sheet = protocol_of(dataset, manifest)
    if only_outlines(manifest):
        wanted = ["dice", "iou", *([sheet.marked] if sheet.marked else [])]
        yield OUTLINE, tuple(trained), lambda record: record.dice is not None, wanted
    for ask in sheet.asked:
        wanted = [f"auc_{ask.name}", f"auc_patient_{ask.name}"]
        if ask.name == sheet.pointed:
            wanted += [f"{what}_{point}" for point in OPERATING_POINTS for what in _AT_A_POINT]
        wanted.append(f"ece_{ask.name}")
        if ask is sheet.asked[0]:
            wanted.append("dice")
        yield ask.meaning, trained_for(ask, manifest, trained, foreign), ask.counts, wanted


def trained_for(
    ask: BinaryQuestion, manifest: ModelManifest, trained: Sequence[str], foreign: Mapping[str, Sequence[str]]
) -> tuple[str, ...]:
    """The sets that taught the class which answers: those that ask for it, unless it is foreign to them."""
    answers = {name for name in ask.chance if name in manifest.classes}
    return tuple(
        name
        for name in trained
        if any(answers & set(other.chance) for other in protocol_of(name, manifest).asked)
        and not answers & set(foreign.get(name, ()))
    )


def untested(found: Sequence[Cell], sets: Sequence[str]) -> list[tuple[str, str]]:
    """The pairs of `sets` (trained there, tested here) that no cell answers: they need a training first."""
    there = {(name, cell.tested_on) for cell in found for name in cell.trained_on}
    return [(a, b) for a in sets for b in sets if (a, b) not in there]


def _scanners(records: Sequence[Record]) -> Iterator[tuple[str, list[Record]]]:
    yield ALL, list(records)
    devices = sorted({record.facts["device"] for record in records if record.facts.get("device")})
    for device in devices if len(devices) > 1 else ():
        members = [record for record in records if record.facts.get("device") == device]
        if len(members) >= FEWEST:
            yield device, members


def _figures(
    dataset: str, wanted: Sequence[str], manifest: ModelManifest, records: Sequence[Record]
) -> list[Figure]:
    """Those of `wanted` that the records answer; none at all without the first."""
    by_name = {line.name: line for line in lines_of(protocol_of(dataset, manifest), manifest)}
    found = []
    for name in wanted:
        try:
            found.append(figure(by_name[name], records))
        except (KeyError, NotComputable):
            continue
    return found if found and found[0].name == wanted[0] else []

"""One data set, checked: what its importer noted, what its files show, and which of its pictures are alike."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from inference.datasets.audit import near_duplicates
from inference.datasets.audit.alignment import Gray
from inference.datasets.audit.near_duplicates import RULES, Pair, Signature
from inference.datasets.audit.reading import Decoded, Undecodable, decode
from inference.datasets.audit.report import DatasetReport, Finding, Severity
from inference.datasets.catalogue import official_splits
from inference.datasets.notes import Trouble
from inference.datasets.sample import LeakError, Manifest, Sample, Split
from inference.progress import StepProgress

#: a split's name, and the indices of its two sides
Side = tuple[str, frozenset[int], frozenset[int]]

_ERRORS = {Trouble.UNREADABLE, Trouble.CONFLICT}
#: labels that say nothing, so that they contradict nothing
_UNTOLD = {"unlabelled", "unknown", "unproven", "outlined", "nuclei"}
_RESTRICTED = (
    (re.compile(r"\bNC\b", re.IGNORECASE), "no commercial use"),
    (re.compile(r"\bND\b", re.IGNORECASE), "no derived works, so no derived tiles may be passed on"),
    (re.compile(r"research|agreement", re.IGNORECASE), "research use only; weights learned from it say so"),
)
_PICTURE_ENDINGS = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".svs", ".pgm", ".dcm"}


def audit(name: str, root: Path, manifest: Manifest, progress: StepProgress) -> DatasetReport:
    """Check the set `name` at `root`. Every image and mask is decoded once, candidates for duplicates again.

    Nothing of the pictures is kept but their signatures, so that memory does not grow with their size."""
    here = _Names(root)
    findings = [*_licence(manifest), *_noted(manifest, here)]
    splits, straddling = _splits(name, root, manifest)
    findings += straddling
    sides = [(split.name, frozenset(split.train), frozenset(split.held_out)) for split in splits]
    present = [sample for sample in manifest.samples if sample.path.is_file()]
    signatures: dict[int, Signature] = {}
    if present:
        findings += _decode_all(manifest, here, signatures, progress)
        findings += _duplicates(manifest, signatures, sides, here, progress)
    masks = {mask for sample in manifest.samples for mask in sample.masks}
    return DatasetReport(
        dataset=name,
        path=str(root),
        licence=manifest.licence,
        images=len(manifest.samples),
        masks=len(masks),
        groups=len({sample.group_id for sample in manifest.samples}),
        patients=len({sample.patient_id for sample in manifest.samples if sample.patient_id}),
        classes=dict(sorted(manifest.counts.items())),
        splits=dict(sorted(Counter(s.split for s in manifest.samples if s.split).items())),
        findings=tuple(sorted(findings, key=lambda finding: finding.severity is not Severity.ERROR)),
    )


class _Names:
    """Paths as the report writes them: relative to the set's root, with forward slashes."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __call__(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix() if path.is_relative_to(self._root) else str(path)


def _licence(manifest: Manifest) -> list[Finding]:
    restrictions = [sentence for pattern, sentence in _RESTRICTED if pattern.search(manifest.licence)]
    return [
        Finding("restricted_licence", Severity.WARNING, (), f"{manifest.licence}: {sentence}")
        for sentence in restrictions
    ]


def _noted(manifest: Manifest, here: _Names) -> list[Finding]:
    """The importer's defects, and its other warnings as they are."""
    findings = [
        Finding(
            defect.trouble.value,
            Severity.ERROR if defect.trouble in _ERRORS else Severity.WARNING,
            tuple(here(path) for path in defect.files),
            defect.sentence,
        )
        for defect in manifest.defects
    ]
    said = Counter(defect.sentence for defect in manifest.defects)
    for sentence in manifest.warnings:
        if said[sentence] > 0:
            said[sentence] -= 1
        else:
            findings.append(Finding("note", Severity.WARNING, (), sentence))
    return findings


def _splits(name: str, root: Path, manifest: Manifest) -> tuple[list[Split], list[Finding]]:
    """The published splits, and what stands on both sides of one. A group that the set's own split column
    cuts is an error; a published protocol that is known to do so is only named."""
    findings = []
    for attribute in ("group_id", "patient_id"):
        sides: dict[str, set[str]] = defaultdict(set)
        for sample in manifest.samples:
            key = getattr(sample, attribute)
            if key is not None and sample.split:
                sides[key].add(sample.split)
        for key, parts in sorted(sides.items()):
            if len(parts) > 1:
                what = attribute.removesuffix("_id")
                message = f"{what} {key} stands in {' and '.join(sorted(parts))}"
                findings.append(Finding(f"{what}_across_splits", Severity.ERROR, (), message))
    try:
        splits = official_splits(name, root, manifest)
    except LeakError:
        splits = []  # said above
    findings += [
        Finding(
            "published_split_straddles",
            Severity.WARNING,
            (),
            f"{split.name} puts on both sides: {', '.join(split.straddling)}",
        )
        for split in splits
        if split.straddling
    ]
    return splits, findings


# --- files ----------------------------------------------------------------------------------------------


def _decode_all(
    manifest: Manifest, here: _Names, signatures: dict[int, Signature], progress: StepProgress
) -> list[Finding]:
    """Decode every image and mask; fills `signatures` by the sample's index."""
    findings: list[Finding] = []
    marked: dict[Path, tuple[tuple[int, ...], bool] | None] = {}
    orphans = [
        path
        for defect in manifest.defects
        if defect.trouble is Trouble.NO_IMAGE
        for path in defect.files
        if path.suffix.lower() in _PICTURE_ENDINGS
    ]
    total = len(manifest.samples) + sum(len(sample.masks) for sample in manifest.samples) + len(orphans)
    done = 0

    def opened(path: Path) -> Decoded | None:
        nonlocal done
        done += 1
        progress("reading", done, total)
        try:
            decoded = decode(path)
        except Undecodable as error:
            findings.append(Finding("unreadable", Severity.ERROR, (here(path),), f"{path.name}: {error}."))
            return None
        if decoded.content:
            message = f"{path.name}: its content is {decoded.content.upper()}, not what its name says"
            findings.append(Finding("wrong_content", Severity.WARNING, (here(path),), message))
        return decoded

    for index, sample in enumerate(manifest.samples):
        picture = opened(sample.path)
        if picture is not None:
            signatures[index] = near_duplicates.sign(picture.gray, RULES[sample.discipline])
        for mask in sample.masks:
            if mask not in marked:
                drawn = opened(mask)
                marked[mask] = None if drawn is None else (drawn.gray.shape, bool(drawn.gray.any()))
            known = marked[mask]
            if known and picture is not None and known[0] != picture.gray.shape:
                message = f"{mask.name} is {_size(known[0])}, its image {_size(picture.gray.shape)}"
                files = (here(mask), here(sample.path))
                findings.append(Finding("mask_size_differs", Severity.WARNING, files, message))
        findings += _emptiness(sample, [known[1] for m in sample.masks if (known := marked[m])], here)
    for path in orphans:
        opened(path)
    return findings


def _emptiness(sample: Sample, drawn: list[bool], here: _Names) -> list[Finding]:
    files = (here(sample.path), *(here(mask) for mask in sample.masks))
    if sample.label == "normal" and any(drawn):
        message = f"{sample.path.name} is normal, but a lesion is drawn in its mask"
        return [Finding(Trouble.CONFLICT.value, Severity.ERROR, files, message)]
    if sample.label not in {"normal", "negative"} and drawn and not any(drawn):
        message = f"{sample.path.name} is {sample.label}, but nothing is drawn in its mask"
        return [Finding("empty_mask", Severity.WARNING, files, message)]
    return []


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}×{shape[0]}"


# --- near-duplicates ------------------------------------------------------------------------------------


def _duplicates(
    manifest: Manifest,
    signatures: dict[int, Signature],
    sides: list[Side],
    here: _Names,
    progress: StepProgress,
) -> list[Finding]:
    findings: list[Finding] = []
    for discipline in sorted({sample.discipline for sample in manifest.samples}):
        indices = [i for i in signatures if manifest.samples[i].discipline == discipline]

        def load(position: int, indices: list[int] = indices) -> Gray:
            return near_duplicates.fine(decode(manifest.samples[indices[position]].path).gray)

        signed = [signatures[i] for i in indices]
        for pair in near_duplicates.find(signed, load, RULES[discipline], progress):
            first, second = indices[pair.first], indices[pair.second]
            findings += _pair_findings(manifest, first, second, pair, sides, here)
    return findings


def _pair_findings(
    manifest: Manifest, i: int, j: int, pair: Pair, sides: list[Side], here: _Names
) -> Iterable[Finding]:
    """At least one finding a pair: a contradiction and a leak are both said."""
    first, second = manifest.samples[i], manifest.samples[j]
    crossed = _crossed(first, second, i, j, sides)
    relations = {"class": _relation(first.label, second.label)}
    relations["group"] = _relation(first.group_id, second.group_id)
    if first.patient_id and second.patient_id:
        relations["patient"] = _relation(first.patient_id, second.patient_id)
    if sides or (first.split and second.split):
        relations["split"] = "across" if crossed else "within"
    same = pair.kind != "look_alike"
    what = {"identical": "the same pixels", "same_picture": "the same picture", "look_alike": "look alike"}
    turned = f", mirrored {pair.mirrored}" if pair.mirrored in {"left-right", "upside down"} else ""
    turned = ", turned by half a turn" if pair.mirrored == "half a turn" else turned
    message = f"{first.path.name} and {second.path.name}: {what[pair.kind]}{turned} ({pair.agreement:.2f})"
    stated = {first.label, second.label}
    contradict = len(stated) == 2 and not stated & _UNTOLD
    codes: list[tuple[str, Severity, str]] = []
    if contradict:
        code = Trouble.CONFLICT.value if same else "look_alikes_across_classes"
        severity = Severity.ERROR if same else Severity.WARNING
        codes.append((code, severity, f", one is {first.label}, the other {second.label}"))
    if crossed:
        code = "duplicates_across_splits" if same else "look_alikes_across_splits"
        codes.append((code, Severity.ERROR if same else Severity.WARNING, f", on both sides of {crossed}"))
    if not codes:
        widest = next((name for name in ("patient", "group") if relations.get(name) == "across"), None)
        place = f"across_{widest}s" if widest else "within_group"
        codes.append((f"{'duplicates' if same else 'look_alikes'}_{place}", Severity.WARNING, ""))
    files = (here(first.path), here(second.path))
    return [
        Finding(code, severity, files, message + more, relations, pair.agreement)
        for code, severity, more in codes
    ]


def _relation(first: str, second: str) -> str:
    return "within" if first == second else "across"


def _crossed(first: Sample, second: Sample, i: int, j: int, sides: list[Side]) -> str:
    """The split that has the two on different sides, or an empty text."""
    if first.split and second.split and first.split != second.split:
        return f"{first.split} and {second.split}"
    for name, train, held_out in sides:
        if (i in train and j in held_out) or (j in train and i in held_out):
            return f"the published split {name}"
    return ""

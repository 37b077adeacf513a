"""`custody.json`: what a version is made of, digest by digest, so that nobody edits a figure unseen.

It names every file of the version's folder, the recipe, the code, the networks that made the predictions of record and,
of those predictions, what was split, what is true and what was said, each apart: a refusal says what was changed.
Whoever could edit a file could edit this one too: only a signature over it (`inference.runtime.signing`) stops that.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from json.encoder import encode_basestring
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from imaging.digest import sha256_of
from inference.contract import ContractModel, ModelManifest, Sha256
from inference.runtime.store import MANIFEST, StoreError, manifest_in

CUSTODY = "custody.json"
#: The signature over a version's files.
SIGNATURE = "model.sig"
#: The recipe that trained the version, in canonical JSON: its SHA-256 is the digest that cards name.
RECIPE = "recipe.json"
PREDICTIONS, METRICS = "predictions.csv", "metrics.json"
#: What a version from outside is made of: data that is read, never run. What is compiled is made where it serves.
KINDS = frozenset({".json", ".csv", ".md", ".svg", ".onnx", ".sig"})
#: In the place of a digest of what no longer exists. Never invented afterwards.
NOT_KEPT: Literal["not kept"] = "not kept"
NOT_RECORDED = "not recorded"
SERVED = "served"

#: What the columns of the predictions of record say, in words, and which columns those are.
_COLUMNS: dict[str, tuple[str, ...]] = {
    "the split (which image was kept out of what)": ("dataset", "split", "fold", "image", "group"),
    "the truth (labels, lesions)": ("label", "lesions"),
    "what the model said": ("probabilities", "dice", "marks", "flags"),
    "the facts of subgroups": ("facts",),
    "the networks that made the rows": ("network",),
}


class CustodyError(StoreError):
    """A version is not what was sealed, or nobody has sealed it. The sentence says which part."""


class Custody(ContractModel):
    """The content of `custody.json`.

    `sealed`: when the version was built, or afterwards, from what there was. `networks`: digest of the weights that
    made each part of the predictions (`served`, `val`, `oof fold 0` …). `predictions`: digests of what their columns
    say. `code`: the commit that trained, with `+` where files had been changed.
    """

    model: str
    version: str
    sealed: Literal["when it was built", "afterwards"]
    recipe_sha256: Sha256 | Literal["not kept"]
    code: str = Field(pattern=r"^([0-9a-f]{40}\+?|not recorded)$")
    networks: dict[str, Sha256 | Literal["not kept"]]
    predictions: dict[str, Sha256]
    files: dict[str, Sha256]


def part_of(split: str, fold: object) -> str:
    """The name of the part of the predictions that one network made."""
    return f"{split} fold {fold}" if fold not in (None, "") else split


def is_sealed(folder: Path) -> bool:
    """Whether a version's folder has a custody record."""
    return (folder / CUSTODY).is_file()


def verify(folder: Path) -> Custody:
    """See that a version's folder holds what was sealed.

    Raises
    ------
    CustodyError
        It has no record, or something differs; the sentence names it.
    StoreError
        Its manifest cannot be used.
    """
    manifest = manifest_in(folder)
    which = f"{manifest.name} {manifest.version}"
    custody = _read(folder, which)
    _refuse_leaky(folder, which)
    if (custody.model, custody.version) != (manifest.name, manifest.version):
        raise CustodyError(f"{CUSTODY} of {which} is that of {custody.model} {custody.version}")
    _check_weights(folder, manifest, custody, which)
    if PREDICTIONS in custody.files:
        _check_predictions(folder, custody, which)
    there = _files(folder)
    for name, digest in custody.files.items():
        if name not in there:
            raise CustodyError(f"{which}: {name} was sealed and is missing")
        if sha256_of(folder / name) != digest:
            raise CustodyError(f"{which}: {name} is not the file that was sealed: it was changed afterwards")
    if added := sorted(there - custody.files.keys()):
        raise CustodyError(f"{which}: {added[0]} was not there when it was sealed")
    # what the record says in other places of what is there
    if custody.recipe_sha256 != custody.files.get(RECIPE, NOT_KEPT):
        raise CustodyError(f"{CUSTODY} of {which} names another recipe than the one that lies there")
    if gone := sorted(set(custody.networks) - {SERVED, *_parts(folder)}):
        raise CustodyError(f"{CUSTODY} of {which} names a network of {gone[0]}, which has no predictions")
    return custody


def _refuse_leaky(folder: Path, which: str) -> None:
    """A recipe of the protocol `image_level` puts images of one patient on both sides: it shows by how much that
    inflates a figure, and nothing that came of it may be served."""
    if not (folder / RECIPE).is_file():
        return
    try:
        data = json.loads((folder / RECIPE).read_text(encoding="utf-8")).get("data")
    except (ValueError, AttributeError):
        return  # no recipe of the review: what else it may be is for its digest to say
    if isinstance(data, dict) and data.get("protocol") == "image_level":
        raise CustodyError(
            f"{which} is leaky: its recipe deals images, not patients (data.protocol: image_level)"
        )


def refuse_unsealed_figures(folder: Path) -> None:
    """`verify`, unless the version makes no claim: it has neither figures nor predictions, nor a record.

    Raises
    ------
    CustodyError, StoreError
        See `verify`.
    """
    if is_sealed(folder) or any((folder / name).is_file() for name in (METRICS, PREDICTIONS)):
        verify(folder)


def write(folder: Path, *, sealed: Literal["when it was built", "afterwards"], code: str) -> Custody:
    """Seal a version's folder as it lies there. The networks are those that the predictions' rows name.

    Raises
    ------
    CustodyError
        A row names no network, or two networks made one part.
    StoreError
        Its manifest cannot be used.
    """
    manifest = manifest_in(folder)
    networks: dict[str, str] = {SERVED: manifest.weights.sha256}
    rows = _rows(folder)
    for row in rows:
        part, network = part_of(row.said["split"], row.said["fold"]), row.said.get("network") or ""
        if networks.setdefault(part, network) != network or not network:
            raise CustodyError(
                f"{manifest.name} {manifest.version}: {row.place}: {part} was made by "
                f"{network or 'nobody knows which network'}, others of it by {networks[part]}"
            )
    custody = Custody.model_validate(
        {
            "model": manifest.name,
            "version": manifest.version,
            "sealed": sealed,
            "recipe_sha256": sha256_of(folder / RECIPE) if (folder / RECIPE).is_file() else NOT_KEPT,
            "code": code,
            "networks": networks,
            "predictions": _said_by(rows),
            "files": {name: sha256_of(folder / name) for name in sorted(_files(folder))},
        }
    )
    unfinished = folder / f".{CUSTODY}"
    unfinished.write_text(custody.model_dump_json(indent=1) + "\n", encoding="utf-8")
    unfinished.replace(folder / CUSTODY)
    (folder / SIGNATURE).unlink(missing_ok=True)  # whoever vouched for the version did so for other files
    return custody


@contextmanager
def rewriting(folder: Path) -> Iterator[None]:
    """Whoever rewrites files of a version on purpose does it within: what is there before must be what was sealed, and
    what is there afterwards is sealed again. A signature does not outlive it.

    Raises
    ------
    CustodyError, StoreError
        See `refuse_unsealed_figures`.
    """
    refuse_unsealed_figures(folder)
    before = _read(folder, folder.name) if is_sealed(folder) else None
    yield
    if before is None:
        write(folder, sealed="afterwards", code=NOT_RECORDED)
    else:
        write(folder, sealed=before.sealed, code=before.code)


def _read(folder: Path, which: str) -> Custody:
    try:
        return Custody.model_validate_json((folder / CUSTODY).read_text(encoding="utf-8"))
    except OSError as error:
        raise CustodyError(
            f"{which} has no {CUSTODY}: nobody can tell whether its figures are its own. Who trusts the folder seals "
            f"it: python -m inference seal {folder.parent.name} --version {folder.name}"
        ) from error
    except (ValidationError, UnicodeDecodeError) as error:
        raise CustodyError(f"{CUSTODY} of {which} is no custody record") from error


def _check_weights(folder: Path, manifest: ModelManifest, custody: Custody, which: str) -> None:
    sealed = custody.networks.get(SERVED)
    path = folder / manifest.weights.file
    if not path.is_file():
        raise CustodyError(f"{which}: its weights, {path.name}, are missing")
    if sha256_of(path) != sealed:
        raise CustodyError(f"{which}: {path.name} is not the network that was sealed: weights were changed")
    if manifest.weights.sha256 != sealed:
        raise CustodyError(f"{which}: {MANIFEST} names other weights than were sealed")
    try:
        measured = json.loads((folder / METRICS).read_text(encoding="utf-8"))["weights_sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return  # missing or damaged: its digest says so
    if measured != sealed:
        raise CustodyError(f"{which}: {METRICS} is of other weights than were sealed")


def _parts(folder: Path) -> set[str]:
    """The parts of the predictions of record."""
    return {part_of(row.said.get("split", ""), row.said.get("fold")) for row in _rows(folder)}


def _check_predictions(folder: Path, custody: Custody, which: str) -> None:
    rows = _rows(folder)
    for row in rows:
        part, network = part_of(row.said.get("split", ""), row.said.get("fold")), row.said.get("network")
        if network != custody.networks.get(part):
            raise CustodyError(
                f"{which}: {row.place} ({row.said.get('dataset')} {row.said.get('image')}), names the network "
                f"{network or 'nobody'}, which did not make {part}"
            )
    for words, digest in _said_by(rows).items():
        if custody.predictions.get(words) != digest:
            raise CustodyError(f"{which}: {PREDICTIONS} was changed after it was sealed: {words}")


@dataclass(frozen=True)
class _Row:
    """A row of the predictions of record: where it stands, and its columns."""

    place: str
    said: dict[str, str]


def _rows(folder: Path) -> list[_Row]:
    """Of the version's own predictions, of networks that left something out, and on sets that it has seen nothing
    of."""
    rows = []
    tables = (
        folder / PREDICTIONS,
        folder / "left_out" / PREDICTIONS,
        *sorted(folder.glob(f"external/*/{PREDICTIONS}")),
    )
    for path in tables:
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            with path.open(newline="", encoding="utf-8") as lines:
                rows += [
                    _Row(f"{name}, line {number}", row) for number, row in enumerate(csv.DictReader(lines), 2)
                ]
    return rows


def _said_by(rows: Sequence[_Row]) -> dict[str, str]:
    return {
        words: _digest([row.said.get(name) for name in names] for row in rows)
        for words, names in _COLUMNS.items()
    }


def _digest(rows: Iterable[Sequence[str | None]]) -> str:
    """Of each row as a line of JSON: `json.dumps` of it, which would make an encoder for each."""
    lines = (", ".join("null" if cell is None else encode_basestring(cell) for cell in row) for row in rows)
    return hashlib.sha256("".join(f"[{line}]\n" for line in lines).encode()).hexdigest()


def _files(folder: Path) -> set[str]:
    """Names of all files of a version but the record and its signature, below `folder`; hidden ones are not its own."""
    found = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    return {name.as_posix() for name in found if not any(part.startswith(".") for part in name.parts)} - {
        CUSTODY,
        SIGNATURE,
    }

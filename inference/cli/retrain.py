"""One fold trained again: does the committed figure lie within the interval of the new one?"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from inference.contract import ModelManifest
from inference.evaluation.account import read_account
from inference.evaluation.figures import Figure, NotComputable, figure
from inference.evaluation.protocol import parts, protocol_of
from inference.evaluation.records import PREDICTIONS, Record, RecordsError, read_records
from inference.evaluation.subgroups import headline_lines
from inference.runtime.custody import RECIPE, part_of, verify
from inference.runtime.pipelines import WHOLE_IMAGE
from inference.runtime.store import read_manifest, version_folder

if TYPE_CHECKING:
    from inference.champions.recipe import ChampionRecipe


@dataclass(frozen=True)
class Repeated:
    """A leading figure of one fold: as committed, None where what is on record does not give it (an older version's
    rows name no side, so there is no breast), and as measured again with its interval."""

    fold: int
    committed: float | None
    again: Figure

    @property
    def within(self) -> bool:
        """Whether the committed figure holds; one that was never committed has nothing to hold."""
        return self.committed is None or self.again.low <= self.committed <= self.again.high

    def as_json(self) -> dict[str, object]:
        return {
            "fold": self.fold, "committed": self.committed, "within": self.within,
            "again": self.again.as_json(),
        }  # fmt: skip


@dataclass(frozen=True)
class Retrained:
    """A fold trained again: by which recipe, into which networks (part → digest of the weights on record, and of the
    new ones), how many of its rows say what is on record, and its leading figures."""

    recipe_sha256: str
    networks: dict[str, tuple[str, str]]
    rows: int
    alike: int
    figures: tuple[Repeated, ...]

    def as_json(self) -> dict[str, object]:
        return {
            "recipe_sha256": self.recipe_sha256,
            "networks": {
                part: {"committed": before, "again": after, "same": before == after}
                for part, (before, after) in self.networks.items()
            },
            "rows": self.rows, "alike": self.alike, "figures": [entry.as_json() for entry in self.figures],
        }  # fmt: skip

    def as_text(self) -> str:
        lines = [f"trained by the recipe {self.recipe_sha256}"]
        for part, (before, after) in self.networks.items():
            now = "the very same weights" if before == after else f"other weights, {after}"
            lines.append(f"network of {part}: {before} on record; {now}")
        lines.append(f"{self.alike} of {self.rows} rows say what is on record")
        for entry in self.figures:
            again = f"again {entry.again.value:.3f} [{entry.again.low:.3f}, {entry.again.high:.3f}]"
            if entry.committed is None:
                held = f"not on record, {again}"
            else:
                held = f"committed {entry.committed:.3f}, {again}: {'within' if entry.within else 'OUTSIDE'}"
            lines.append(f"fold {entry.fold}, {entry.again.meaning} ({entry.again.dataset}): {held}")
        return "\n".join(lines)


def committed_fold(folder: Path, fold: int) -> list[Record]:
    """The predictions of record that a training of the fold makes: the fold's own, and those of `val` where the network
    behind them was not fitted again afterwards. A version without folds was trained once: that is fold 0.

    Raises
    ------
    RecordsError
        There are none of that fold.
    """
    records = read_records(folder / PREDICTIONS)
    there = sorted({record.fold for record in records if record.fold is not None}) or [0]
    if fold not in there:
        raise RecordsError(
            f"{folder.parent.name} {folder.name} has no fold {fold}; "
            f"folds on record: {', '.join(map(str, there))}"
        )
    own = [record for record in records if record.split == "oof" and record.fold == fold]
    val = [record for record in records if record.split == "val"]
    return own + val if val and not read_account(folder).refitted else own


def compare_fold(
    manifest: ModelManifest, committed: Sequence[Record], again: Sequence[Record], fold: int
) -> list[Repeated]:
    """The leading figures of every data set in the fold.

    Raises
    ------
    RecordsError
        The new predictions are of other images: the folds were drawn differently; or of images whose truth is another.
    """
    ours = {(record.dataset, record.image) for record in committed}
    theirs = {(record.dataset, record.image) for record in again}
    if ours != theirs:
        raise RecordsError(
            f"fold {fold} holds other images than the one on record: {len(ours - theirs)} are missing, "
            f"{len(theirs - ours)} are new"
        )
    truth = {(record.dataset, record.image): (record.label, record.group) for record in again}
    for record in committed:
        label, group = truth[record.dataset, record.image]
        if (label, group) != (record.label, record.group):
            raise RecordsError(
                f"{record.dataset} {record.image} is {label} of {group} in these data, {record.label} of "
                f"{record.group} on record"
            )
    found = []
    for dataset, _, own in parts(committed):
        new = [record for record in again if record.dataset == dataset]
        for line in headline_lines(protocol_of(dataset, manifest), manifest):
            before = line.value(own)
            committed_one = None if math.isnan(before) else round(before, 4)
            try:
                found.append(Repeated(fold, committed_one, figure(line, new)))
            except NotComputable:
                if committed_one is not None:
                    raise
    if all(entry.committed is None for entry in found):
        raise NotComputable(f"fold {fold} gives no figure")
    return found


def retrain(
    model: str, store: Path, data: Path, run: Path, fold: int, seed: int, version: str | None = None
) -> Retrained:
    """Train fold `fold` of `model` again by the version's own recipe, and compare.

    Raises
    ------
    RecordsError
        See `committed_fold` and `compare_fold`; or the version's recipe was not kept.
    CustodyError
        The version is not what was sealed.
    """
    from inference.champions.plan import Plan
    from inference.champions.registry import retrain_fold

    manifest = read_manifest(model, store, version)
    folder = version_folder(manifest, store)
    verify(folder)
    if manifest.served_by == WHOLE_IMAGE:
        raise RecordsError(
            f"{manifest.name} was exported from a run: `python -m inference train` with its recipe and another --run "
            "repeats its folds"
        )
    committed = committed_fold(folder, fold)
    plan = Plan(
        data=data, run=run, store=store, version=manifest.version, recipe=recipe_of_version(folder), seed=seed
    )
    again = retrain_fold(model, fold, plan)
    figures = compare_fold(manifest, committed, again, fold)
    new = {(record.dataset, record.image): record for record in again}
    both = [(record, new[record.dataset, record.image]) for record in committed]
    return Retrained(
        recipe_sha256=plan.recipe.hash,
        networks={part_of(one.split, one.fold): (one.network, other.network) for one, other in both},
        rows=len(both),
        alike=sum(one.probabilities == other.probabilities for one, other in both),
        figures=tuple(figures),
    )


def recipe_of_version(folder: Path) -> ChampionRecipe:
    """The recipe that lies beside a version's weights. Those of versions before 2.3.0 are written in another form, and
    said on stderr: the laboratory's recipe of that version, which says the same in the form of now (ADR 39), takes
    their place.

    Raises
    ------
    RecordsError
        It was not kept.
    """
    from inference.champions.recipe import parse
    from inference.champions.registry import recipe_of
    from inference.recipes.schema import RecipeError

    model, path = folder.parent.name, folder / RECIPE
    if not path.is_file():
        raise RecordsError(
            f"the recipe of {model} {folder.name} was not kept: nobody can repeat its training"
        )
    of_now = recipe_of(model, folder.name)
    # whom it serves and what it is measured on is no part of the canonical text
    later = {"modality": of_now.modality, "datasets": of_now.datasets}
    try:
        return parse({**later, **json.loads(path.read_text(encoding="utf-8"))}, path)
    except RecipeError:
        sys.stderr.write(
            f"{RECIPE} of {model} {folder.name} is in the form of before version 2.3.0: "
            f"trained by what says the same in the form of now, {of_now.hash[:16]}…\n"
        )
        return of_now

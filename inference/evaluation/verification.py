"""Is a version what it says it is? What can be seen of it alone, before anybody approves it: its files and who vouches
for them, that it brings no code, that its network runs and answers as it did when it was built, and how its predictions
of record compare with those of the version in use.

It runs a network that nobody has approved: who calls it does so in a process of its own with limits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from inference.contract import AnalysisError, ModelManifest
from inference.evaluation.comparison import common
from inference.evaluation.delong import delong
from inference.evaluation.figures import NotComputable
from inference.evaluation.protocol import questions
from inference.evaluation.records import Record, RecordsError, read_records
from inference.runtime import custody
from inference.runtime.answer import read_answer
from inference.runtime.onnx_session import OnnxForward
from inference.runtime.pipelines import pipeline_of
from inference.runtime.signing import verify_version
from inference.runtime.store import StoreError, manifest_in, verified_weights, version_folder

#: Of one version, all files together.
MOST_BYTES = 2 * 1024**3
_NORMAL_95 = 1.959963984540054


@dataclass(frozen=True)
class Check:
    """One thing that was looked at; `said` is a sentence about it."""

    check: str
    passed: bool
    said: str


@dataclass(frozen=True)
class Least:
    """Of all questions that both versions' predictions of record answer, the one that speaks least for the first:
    AUCs, and the lower bound of the 95 % interval of their difference (DeLong)."""

    question: str
    auc: float
    auc_against: float
    low: float
    positives: int
    negatives: int


@dataclass(frozen=True)
class Verified:
    """What came of it. `reference` is None where there is nothing to compare with."""

    checks: tuple[Check, ...]
    reference: Least | None

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)

    def as_json(self) -> dict[str, object]:
        return {"passed": self.passed, **asdict(self)}


def verify(name: str, version: str, store: Path, trust: Path | None = None, against: str = "") -> Verified:
    """Look at a version in the store.

    Parameters
    ----------
    trust
        Whose signatures count; where None, none is asked for, and the check says so.
    against
        The version in use, of the same model in the same store.
    """
    folder, checks = store / name / version, []

    def look(check: str, step: Callable[[], str]) -> bool:
        try:
            said, passed = step(), True
        except (StoreError, AnalysisError, RecordsError, NotComputable) as error:
            said, passed = str(error), False
        checks.append(Check(check, passed, said))
        return passed

    if not look("manifest", lambda: str(manifest_in(folder).title)):
        return Verified(tuple(checks), None)
    manifest = manifest_in(folder)
    look("size", lambda: _size(folder))
    look("hashes", lambda: _hashes(manifest, store))
    look("signature", lambda: _signature(folder, trust))
    no_code = look("code", lambda: _no_code(manifest, folder))
    if no_code:  # and only then is anything of it loaded: ONNX Runtime knows no operators but its own
        look("network", lambda: _network(manifest, store))
    found: list[Least] = []
    if against:
        look("reference", lambda: _reference(folder, store / name / against, found))
    return Verified(tuple(checks), found[0] if found else None)


def least(first: Sequence[Record], second: Sequence[Record]) -> Least:
    """See `Least`.

    Raises
    ------
    RecordsError, NotComputable
        No image in common, two truths of one, or no question that both answer.
    """
    ours, theirs = common(first, second)
    by_image = {(record.dataset, record.image): record for record in theirs}
    found = []
    for question in questions(ours):
        answers = [by_image[record.dataset, record.image] for record in question.records]
        truth = question.truth
        if truth.sum() < 2 or (~truth).sum() < 2:
            continue
        try:
            test = delong(truth, question.scores, np.array([question.score(record) for record in answers]))
        except NotComputable:
            continue  # the other does not answer this one
        low = test.first - test.second - _NORMAL_95 * test.standard_error
        found.append(
            Least(
                f"{question.meaning} ({question.dataset} {question.split})", test.first, test.second, low,
                int(truth.sum()), int((~truth).sum()),
            )
        )  # fmt: skip
    if not found:
        raise NotComputable("the predictions of record of the two versions answer no question in common")
    return min(found, key=lambda one: one.low)


def _size(folder: Path) -> str:
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if size > MOST_BYTES:
        raise StoreError(f"{size / 1e6:.0f} MB are more than {MOST_BYTES / 1e6:.0f}")
    return f"{size / 1e6:.1f} MB"


def _hashes(manifest: ModelManifest, store: Path) -> str:
    record = custody.verify(version_folder(manifest, store))
    verified_weights(manifest, store)
    return f"{len(record.files)} files are those of its custody record"


def _signature(folder: Path, trust: Path | None) -> str:
    if trust is None:
        return "not asked for here (CAD_MODEL_TRUST)"
    verify_version(folder, trust)
    return "a trusted key vouches for it"


def _no_code(manifest: ModelManifest, folder: Path) -> str:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            raise StoreError(f"{name} is no plain file")
        if path.is_file() and path.suffix not in custody.KINDS:
            raise StoreError(f"{name} may hold code that nobody has reviewed: leave it out")
    pipeline_of(manifest)
    return f"data alone, read by the pipeline {manifest.served_by} of this installation"


def _network(manifest: ModelManifest, store: Path) -> str:
    answer = read_answer(manifest, store)
    forward = OnnxForward(verified_weights(manifest, store))
    answer.check(forward, f"{manifest.weights.file} of {manifest.name} {manifest.version}")
    by, _output = answer.deviation(forward)
    return f"answers its known case within {by:.2g}; {answer.tolerance:g} are allowed"


def _reference(folder: Path, other: Path, found: list[Least]) -> str:
    custody.verify(other)
    one = least(read_records(folder / custody.PREDICTIONS), read_records(other / custody.PREDICTIONS))
    found.append(one)
    return f"{one.question}: AUC {one.auc:.4f} against {one.auc_against:.4f}, less by at most {max(0.0, -one.low):.4f}"

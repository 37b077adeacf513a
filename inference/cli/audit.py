"""`python -m inference audit PATH`: which data sets lie there, each audited, and the exit status."""

from __future__ import annotations

from pathlib import Path

from inference.datasets import wdbc
from inference.datasets.audit.checks import audit
from inference.datasets.audit.report import AuditReport, DatasetReport, Severity, as_json, as_text
from inference.datasets.catalogue import DATASETS, LOOSE, recognise
from inference.datasets.sample import DatasetError, Manifest
from inference.progress import ProgressLine, StepProgress

#: WDBC is a table inside a package: nothing of it lies on disk
AUDITED = tuple(name for name in DATASETS if name != wdbc.NAME)


def run(path: Path, name: str | None = None, *, json: bool = False) -> tuple[int, str]:
    """The exit status (0 no errors, 1 errors, 2 no data set) and what to print. With `name`, `path` is read
    as that set."""
    try:
        found, others = locate(path, name)
    except DatasetError as error:
        return 2, f"inference: {error}"
    reports: list[DatasetReport] = []
    for dataset, root, manifest in found:
        with ProgressLine(dataset) as line:
            reports.append(audit(dataset, root, manifest, _shown_on(line)))
    report = AuditReport(str(path), tuple(reports), others)
    status = 1 if report.number(Severity.ERROR) else 0
    return status, as_json(report) if json else as_text(report)


def locate(path: Path, name: str | None = None) -> tuple[list[tuple[str, Path, Manifest]], dict[str, str]]:
    """The data sets at `path`: itself, or those of its folders; with them the folders that are none and why.

    A folder holds several sets where its folders follow at least two grammars, or one that itself does not.

    Raises
    ------
    DatasetError
        No folder, or no data set at or below it.
    """
    if not path.is_dir():
        raise DatasetError(f"{path} is no folder")
    if name is not None:
        if name not in AUDITED:
            raise DatasetError(f"{name} is none of {', '.join(AUDITED)}")
        return [(name, path, DATASETS[name].read(path))], {}
    below: list[tuple[str, Path, Manifest]] = []
    others: dict[str, str] = {}
    for folder in sorted(item for item in path.iterdir() if item.is_dir()):
        try:
            below += [(dataset, folder, manifest) for dataset, manifest in recognise(folder)]
        except DatasetError as error:
            others[folder.name] = str(error)
    strict = {dataset for dataset, _, _ in below} - LOOSE
    if len(strict) < 2:
        try:
            return [(dataset, path, manifest) for dataset, manifest in recognise(path)], {}
        except DatasetError:
            if not below:
                raise
    return below, others


def _shown_on(line: ProgressLine) -> StepProgress:
    def progress(step: str, done: int, total: int) -> None:
        line.show(f"{step} {done} of {total}")

    return progress

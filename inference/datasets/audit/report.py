"""What an audit found, as a person reads it and as a program does."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from enum import StrEnum

#: raised when a field of the JSON changes its meaning or goes away
REPORT_VERSION = 1


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Finding:
    """`code` is a stable word; `files` are relative to the data set's root. Of near-duplicates, `relations`
    says `within` or `across` for class, group, patient and split, where the set knows them."""

    code: str
    severity: Severity
    files: tuple[str, ...]
    message: str
    relations: dict[str, str] = field(default_factory=dict)
    agreement: float | None = None


@dataclass(frozen=True)
class DatasetReport:
    dataset: str
    path: str
    licence: str
    images: int
    masks: int
    groups: int
    patients: int
    classes: dict[str, int]
    splits: dict[str, int]
    findings: tuple[Finding, ...]

    def number(self, severity: Severity) -> int:
        return sum(1 for finding in self.findings if finding.severity is severity)


@dataclass(frozen=True)
class AuditReport:
    """`not_datasets` are folders that follow no set's grammar, each with a sentence."""

    path: str
    datasets: tuple[DatasetReport, ...]
    not_datasets: dict[str, str] = field(default_factory=dict)

    def number(self, severity: Severity) -> int:
        return sum(report.number(severity) for report in self.datasets)


def as_json(report: AuditReport) -> str:
    """One object: `version`, `path`, `errors`, `warnings`, `datasets` (each with its `findings`) and
    `not_datasets`."""
    document = {
        "version": REPORT_VERSION,
        "path": report.path,
        "errors": report.number(Severity.ERROR),
        "warnings": report.number(Severity.WARNING),
        "datasets": [
            {
                **asdict(one),
                "errors": one.number(Severity.ERROR),
                "warnings": one.number(Severity.WARNING),
            }
            for one in report.datasets
        ],
        "not_datasets": report.not_datasets,
    }
    return json.dumps(document, ensure_ascii=False, indent=1)


def as_text(report: AuditReport) -> str:
    lines: list[str] = []
    for one in report.datasets:
        lines += [*_dataset_lines(one), ""]
    lines += [f"{name}: no data set ({reason})" for name, reason in report.not_datasets.items()]
    errors, warnings = report.number(Severity.ERROR), report.number(Severity.WARNING)
    return "\n".join([*lines, f"{_count(errors, 'error')}, {_count(warnings, 'warning')}"])


def _dataset_lines(one: DatasetReport) -> list[str]:
    classes = ", ".join(f"{number} {label}" for label, number in one.classes.items())
    known = [_count(one.groups, "group"), *([_count(one.patients, "patient")] if one.patients else [])]
    lines = [
        f"{one.dataset} in {one.path}",
        f"  {_count(one.images, 'image')} ({classes}), {_count(one.masks, 'mask')}, {', '.join(known)}",
        f"  licence: {one.licence}",
    ]
    if one.splits:
        lines.append("  splits: " + ", ".join(f"{name} {number}" for name, number in one.splits.items()))
    for severity in Severity:
        chosen = [finding for finding in one.findings if finding.severity is severity]
        for code, number in Counter(finding.code for finding in chosen).items():
            lines.append(f"  {severity}: {code.replace('_', ' ')} ({number})")
            lines += [f"    {_with_files(finding)}" for finding in chosen if finding.code == code]
    if not one.findings:
        lines.append("  nothing to report")
    return lines


def _with_files(finding: Finding) -> str:
    """The message, and before it the files that it does not name itself."""
    unnamed = [name for name in finding.files if name.rsplit("/", 1)[-1] not in finding.message]
    return f"{' and '.join(unnamed)}: {finding.message}" if unnamed else finding.message


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"

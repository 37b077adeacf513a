"""A challenge's answer on disk: `report.json` for machines, `report.md` for people, plots as SVG. The same numbers
stand in all of them, each with its interval."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from inference.challenges.chart import Chart, svg
from inference.evaluation.bootstrap import Floats, interval


class ChallengeError(Exception):
    """An experiment that cannot be made of what was given. The sentence says why."""


@dataclass(frozen=True)
class Figure:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, draws: Floats) -> Figure:
        """With the percentile interval of draws."""
        low, high = interval(np.asarray(draws, np.float64))
        return cls(float(value), low, high)

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


Cell = str | int | float | Figure | None


@dataclass(frozen=True)
class Table:
    """Rows below `columns`; `name` is its key in the JSON, `words` the heading for people."""

    name: str
    words: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]


@dataclass(frozen=True)
class Report:
    """What was asked (`question`), what was done (`settings`, `command`), what came out, and how to read it."""

    challenge: str
    question: str
    settings: dict[str, object]
    tables: Sequence[Table]
    charts: Sequence[Chart] = ()
    notes: Sequence[str] = field(default_factory=tuple)
    command: str = ""
    seconds: float = 0.0

    def as_json(self) -> dict[str, object]:
        told: dict[str, object] = {
            "challenge": self.challenge, "question": self.question, "command": self.command,
            "settings": self.settings, "notes": list(self.notes), "seconds": round(self.seconds, 1),
        }  # fmt: skip
        for table in self.tables:
            told[table.name] = [
                {column: _plain(cell) for column, cell in zip(table.columns, row, strict=True)}
                for row in table.rows
            ]
        return told

    def as_text(self) -> str:
        """The page in Markdown; it is what the command prints, too."""
        lines = [f"# {self.question}", "", f"`{self.command}`", ""]
        lines += [f"- {name}: {value}" for name, value in self.settings.items()]
        for table in self.tables:
            lines += ["", f"## {table.words}", "", _row(table.columns), _row(["---"] * len(table.columns))]
            lines += [_row([_said(cell) for cell in row]) for row in table.rows]
        lines += [line for chart in self.charts for line in ("", f"![{chart.title}]({chart.file})")]
        lines += ["", *(f"- {note}" for note in self.notes), "", f"{self.seconds:.0f} s."]
        return "\n".join(lines) + "\n"

    def write(self, folder: Path) -> Path:
        """Into `folder`, which is made; what an earlier run left there under these names is replaced."""
        folder.mkdir(parents=True, exist_ok=True)
        content = json.dumps(self.as_json(), ensure_ascii=False, indent=1, allow_nan=False)
        (folder / "report.json").write_text(content + "\n", encoding="utf-8")
        (folder / "report.md").write_text(self.as_text(), encoding="utf-8")
        for chart in self.charts:
            (folder / chart.file).write_text(svg(chart), encoding="utf-8")
        return folder / "report.md"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _said(cell: Cell) -> str:
    if cell is None:
        return "–"
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)


def _plain(cell: Cell) -> object:
    if isinstance(cell, Figure):
        return {name: _number(value) for name, value in vars(cell).items()}
    return _number(cell) if isinstance(cell, float) else cell


def _number(value: float) -> float | None:
    return round(value, 6) if np.isfinite(value) else None

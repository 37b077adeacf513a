"""`python -m cad_platform.config.settings.document`: the table of settings in docs/operations.md."""

from __future__ import annotations

import sys
from pathlib import Path

from cad_platform.config.settings.declared import DECLARED, Declared

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "operations.md"
_HEAD = "| variable | default | |\n|---|---|---|\n"


def row(setting: Declared) -> str:
    """One line of the table."""
    default = setting.shown or (f"`{setting.default}`" if setting.default else "none")
    return f"| `{setting.name}` | {default} | {setting.words} |\n"


def with_table(text: str) -> str:
    """The document with the table as it is to be."""
    before, head, rest = text.partition(_HEAD)
    if not head:
        raise ValueError(f"{DOCUMENT} has no table of settings")
    after = rest[rest.index("\n\n") + 1 :]
    return before + head + "".join(map(row, DECLARED)) + after


def main() -> int:
    """Write it; 0."""
    DOCUMENT.write_text(with_table(DOCUMENT.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())

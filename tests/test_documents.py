"""The documents name what is there: paths, links, decisions; and the version has one owner."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from embedded.state import REPOSITORY

#: A path in backquotes or after a list's dash: with a folder and an ending, or a folder's name with its slash.
_PATH = re.compile(r"`((?:[\w.-]+/)+[\w.-]*(?:\.(?:py|md|html|po|ts|css|toml|yaml|json|lock|in|sh|typ))?)`")
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
_ROOTS = (
    "bench",
    "bin",
    "cad_platform",
    "docker",
    "docs",
    "edge",
    "embedded",
    "frontend",
    "imaging",
    "inference",
    "tests",
)


def _documents() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    names = [name for name in listed.stdout.split("\0") if name and not name.startswith("model_store/")]
    return [REPOSITORY / name for name in names if (REPOSITORY / name).exists()]


def unknown_paths(text: str, document: Path) -> list[str]:
    """Paths of the repository, and links, that a text names and that are not there."""
    paths = [path for path in _PATH.findall(text) if path.split("/")[0] in _ROOTS]
    # A part in capitals stands for any name.
    paths = [path for path in paths if not any(part.isupper() for part in re.split(r"[/.]", path))]
    missing = [path for path in paths if not (REPOSITORY / path).exists()]
    return missing + [link for link in _LINK.findall(text) if not (document.parent / link.strip()).exists()]


@pytest.mark.parametrize("document", _documents(), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_what_a_document_names_is_there(document: Path) -> None:
    assert unknown_paths(document.read_text(), document) == []


def test_a_path_that_is_not_there_would_be_seen() -> None:
    text = "See `embedded/nothing.py`, `embedded/checks.py`, `docs/adr/NAME.md` and [this](docs/none.md)."
    assert unknown_paths(text, REPOSITORY / "README.md") == ["embedded/nothing.py", "docs/none.md"]


def test_the_index_of_decisions_is_complete_and_in_order() -> None:
    folder = REPOSITORY / "docs" / "adr"
    rows = re.findall(r"^\| (\d+) \| \[(.+)\]\((.+)\) \|$", (folder / "README.md").read_text(), re.MULTILINE)
    titles = [
        (*path.read_text().splitlines()[0].lstrip("# ").split(". ", 1), path.name)
        for path in sorted(folder.glob("0*.md"))
    ]
    assert rows == titles
    numbers = [int(path.name[:4]) for path in sorted(folder.glob("0*.md"))]
    assert numbers == sorted(set(numbers))  # work that goes on side by side lands out of order


def test_the_version_has_one_owner_and_a_place_in_the_changes() -> None:
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    newest = re.search(r"^## (\S+)", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest and version.partition(".dev")[0] == newest[1]
    assert '"version"' not in (REPOSITORY / "frontend" / "package.json").read_text()

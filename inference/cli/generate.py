"""`python -m inference generate SET DIR`: a tiny made-up tree in a data set's own grammar."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path


def add_arguments(generate: ArgumentParser) -> None:
    generate.add_argument("set", metavar="SET", help="a data set's name, or `list`")
    generate.add_argument("folder", nargs="?", type=Path, metavar="DIR", help="a new folder, or an empty one")


def run(chosen: Namespace) -> int:
    """Exit status: 0, or 1 with a sentence on stderr."""
    from inference.datasets.generated import TREES, write

    if chosen.set == "list":
        print("\n".join(sorted(TREES)))
        return 0
    folder: Path | None = chosen.folder
    if chosen.set not in TREES:
        print(f"inference: no tree is made of {chosen.set}; of {', '.join(sorted(TREES))}", file=sys.stderr)
    elif folder is None:
        print("inference: name the folder that the tree is to be written into", file=sys.stderr)
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        print(f"inference: {folder} is no empty folder; nothing was written", file=sys.stderr)
    else:
        try:
            print(write(chosen.set, folder))
        except OSError as error:
            print(f"inference: {folder} cannot be written: {error.strerror or error}", file=sys.stderr)
            return 1
        return 0
    return 1

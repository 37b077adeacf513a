"""`python -m inference reproductions`: the pages of `docs/reproductions/` from stored runs, by themselves."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path


def add_arguments(reproductions: ArgumentParser) -> None:
    reproductions.add_argument(
        "--runs",
        type=Path,
        metavar="DIR",
        help="a folder of runs: what is finished in it is taken over first",
    )
    reproductions.add_argument(
        "--quick",
        nargs="*",
        metavar="NAME",
        help="run these recipes (default all) on made-up images first, seconds each, and keep time and figure",
    )
    reproductions.add_argument("--out", type=Path, metavar="DIR", help="default docs/reproductions")


def run(chosen: Namespace) -> int:
    """Exit status: 0, or 1 with a sentence on stderr."""
    from inference.recipes.quick_runs import keep, tried
    from inference.recipes.recipe_file import known
    from inference.recipes.reproduction import QUICK
    from inference.recipes.reproduction_pages import write
    from inference.recipes.review import REPRODUCTIONS
    from inference.recipes.runfolder import RunError

    out: Path = chosen.out or REPRODUCTIONS
    if chosen.runs is not None and not chosen.runs.is_dir():
        print(f"inference: {chosen.runs} is no folder", file=sys.stderr)
        return 1
    unknown = sorted(set(chosen.quick or ()) - set(known()))
    if unknown:
        print(f"inference: {', '.join(unknown)}: no recipe of {', '.join(known())}", file=sys.stderr)
        return 1
    out.mkdir(parents=True, exist_ok=True)
    for name in () if chosen.quick is None else chosen.quick or known():
        page = tried(name)
        keep(out / f"{QUICK}.json", page)
        print(f"{name}: {page['seconds']:.1f} s", flush=True)
    if chosen.runs:
        try:
            _take_over(chosen.runs, out)
        except RunError as error:
            print(f"inference: {error}", file=sys.stderr)
            return 1
    print(f"{len(write(out))} files in {out}")
    return 0


def _take_over(runs: Path, out: Path) -> None:
    """Each finished run's file; where a method was run both ways, with what the split adds.

    Raises
    ------
    RunError
        Two runs are of one page, and nothing says which of them is meant.
    """
    from inference.recipes.protocol import LEAKY
    from inference.recipes.reproduction import added_by_the_split, collected, name_of, title_of
    from inference.recipes.runfolder import RunError
    from inference.recipes.taking_over import changed_since, in_todays_words, one_a_page

    pages = {}
    for file in sorted(runs.glob("*/run.json")):
        try:
            pages[file.parent] = collected(file.parent)
        except RunError as error:
            print(f"left out: {error}", file=sys.stderr)
    pages, left = one_a_page(pages, out)
    for sentence in left:
        print(f"left out: {sentence}", file=sys.stderr)
    whole = {(title_of(page), page["seed"]): run for run, page in pages.items() if page.get("leaky") != LEAKY}
    for run, page in pages.items():
        other = whole.get((title_of(page), page["seed"]))
        if page.get("leaky") == LEAKY and other is not None and "roc" in page:
            page = {**page, "added_by_the_split": added_by_the_split(run, other, page["positive"])}
        page = in_todays_words(page)
        text = json.dumps(page, indent=1, ensure_ascii=False) + "\n"
        (out / name_of(page)).write_text(text, encoding="utf-8")
        print(f"{run.name}: {name_of(page)}{'; its recipe has changed since' if changed_since(page) else ''}")

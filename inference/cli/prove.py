"""`python -m inference prove`: does each method learn, do shuffled labels destroy that, does its own block matter?"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from typing import Any

from inference.cli.numbers import seed


def add_arguments(prove: ArgumentParser) -> None:
    prove.add_argument("recipes", nargs="*", metavar="NAME", help="names in inference/recipes")
    prove.add_argument(
        "--all", action="store_true", help="every recipe whose record is missing or out of date"
    )
    prove.add_argument("--again", action="store_true", help="those with a record of today, too")
    prove.add_argument("--check", action="store_true", help="compare digests only; nothing is trained")
    prove.add_argument("--seed", type=seed, default=0)


def run(chosen: Namespace) -> int:
    """Exit status: 0 where every method that was asked about holds, else 1."""
    from inference.datasets.sample import DatasetError, LeakError
    from inference.recipes import proof
    from inference.recipes.recipe_file import known
    from inference.recipes.schema import RecipeError

    if not (chosen.recipes or chosen.all or chosen.check):
        print("inference: name recipes, or --all, or --check", file=sys.stderr)
        return 1
    unknown = [name for name in chosen.recipes if name not in known()]
    if unknown:
        print(f"inference: {', '.join(unknown)}: no recipe of {', '.join(known())}", file=sys.stderr)
        return 1
    if chosen.check:
        wrong = (
            [s for name in chosen.recipes if (s := proof.state_of(name))]
            if chosen.recipes
            else proof.states()
        )
        print("\n".join(wrong) or "every record is of today's recipe")
        return 1 if wrong else 0
    failed = False
    for name in chosen.recipes or known():
        if name in proof.WITHOUT and not chosen.recipes:
            print(f"{name}: not proved: {proof.WITHOUT[name]}")
            continue
        if not chosen.again and not chosen.recipes and not proof.state_of(name):
            continue
        try:
            page = proof.prove(name, chosen.seed)
        except (RecipeError, DatasetError, LeakError) as error:
            print(f"inference: {name}: {error}", file=sys.stderr)
            failed = True
            continue
        proof.write(page)
        print(as_text(page), flush=True)
        failed |= not all(page["verdict"].values())
    return 1 if failed else 0


def as_text(page: dict[str, Any]) -> str:
    """A line a recipe."""

    def said(figure: dict[str, float]) -> str:
        return f"{figure['value']:.3f} ({figure['low']:.3f}–{figure['high']:.3f})"

    wrong = [question for question, answer in page["verdict"].items() if not answer]
    verdict = "NOT: " + ", ".join(wrong) if wrong else "holds"
    return (
        f"{page['recipe']}: {page['measure']} {said(page['learned'])}, chance {page['chance']:.3f}; shuffled "
        f"{', '.join(map(said, page['shuffled']))}; ablated {said(page['ablated'])}, predictions moved by "
        f"{page['ablated']['moved']:.4f}; {page['seconds']:.0f} s: {verdict}"
    )

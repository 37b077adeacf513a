"""`python -m inference schema`: the JSON Schema of recipes, for editors."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace


def add_arguments(schema: ArgumentParser) -> None:
    schema.add_argument(
        "--write", action="store_true", help="over inference/recipes/recipe.schema.json, which recipes name"
    )


def run(chosen: Namespace) -> int:
    """Exit status 0."""
    from inference.recipes.json_schema import FILE, text

    if chosen.write:
        FILE.write_text(text(), encoding="utf-8")
        print(FILE)
    else:
        print(text(), end="")
    return 0

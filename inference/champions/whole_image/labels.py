"""Samples as a version's recipe labels them, where they come from a set's importer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from inference.datasets.sample import Sample
from inference.recipes.protocol import labelled
from inference.recipes.schema import Recipe
from inference.recipes.validation import parse
from inference.runtime.custody import RECIPE


def as_asked(samples: Sequence[Sample], folder: Path) -> list[Sample]:
    """Those of the classes of the recipe beside the weights in `folder`, under its labels."""
    recipe = parse(json.loads((folder / RECIPE).read_text(encoding="utf-8")), RECIPE)
    assert isinstance(recipe, Recipe)
    return [found for sample in samples if (found := labelled(sample, recipe)) is not None]

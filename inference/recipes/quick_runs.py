"""Every recipe as `train NAME --quick --generated` runs it: how long it takes, and what it says of made-up images.

The trees of the importers' tests have nothing to learn, so that such a figure shows that a method runs from end to end,
and nothing else; whether it learns is what its proof says.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from inference.datasets.generated import tree_below
from inference.recipes.recipe_file import find, load
from inference.recipes.runner import RunOptions, run

#: Of a run's summary what is kept.
_KEPT = (
    "id", "reference", "title", "hash", "dataset", "folds", "images", "groups", "measure", "review_number",
    "honest_number", "caveat_of_the_review",
)  # fmt: skip


def tried(name: str) -> dict[str, Any]:
    """Run a recipe's `quick` variant on its generated tree, on one thread, and keep figure and processor time.

    Raises
    ------
    RecipeError, DatasetError, LeakError
        It cannot be run.
    """
    torch.set_num_threads(1)
    recipe = load(name, ("quick",))
    with tempfile.TemporaryDirectory(prefix=f"quick-{name}-") as scratch:
        folder = Path(scratch)
        began = time.process_time()
        for data in (recipe.data, recipe.tissue):
            if data is not None:
                tree_below(folder / "generated", data.dataset)
        order = RunOptions(folder / "generated", folder / "run", find(name), ("quick",), quiet=True)
        page = run(recipe, order)
        seconds = time.process_time() - began
    # what the recipe itself does otherwise than the paper; what `quick` leaves out is said for all of them at once
    return {
        **{key: page[key] for key in _KEPT},
        "substitutions": list(load(name).substitutions),
        "seconds": round(seconds, 1),
    }


def keep(file: Path, page: dict[str, Any]) -> None:
    """Keep what came of a recipe in the file, beside the others that it has; by name."""
    known: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    known[page["id"]] = page
    text = json.dumps(dict(sorted(known.items())), indent=1, ensure_ascii=False)
    file.write_text(text + "\n", encoding="utf-8")

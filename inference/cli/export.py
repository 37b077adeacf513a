"""`python -m inference export RUN`: a recipe's finished run as a version of the model store."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from inference.cli.numbers import count
from inference.runtime.store import DEFAULT_STORE, next_version


def add_arguments(export: ArgumentParser, data: Path) -> None:
    """What `export` takes."""
    export.add_argument("run", type=Path, metavar="RUN", help="the folder of a finished run of a recipe")
    export.add_argument("--name", help="of the model in the store (default: the recipe's id)")
    export.add_argument("--version", metavar="V", help="default: a patch number above the newest there")
    export.add_argument("--store", type=Path, default=DEFAULT_STORE)
    export.add_argument("--data", type=Path, default=data, help="what the run was trained on")
    export.add_argument(
        "--no-bundle", action="store_true", help="without the bundle for MONAI: what a platform imports"
    )
    export.add_argument("--threads", type=count, default=2)


def run(chosen: Namespace) -> int:
    """Exit status: 0, or 1 with a sentence on stderr."""
    import torch

    from inference.blocks.parameters import BlockError
    from inference.champions.plan import PlanError
    from inference.champions.whole_image.export import Export, export, recipe_of_run
    from inference.champions.whole_image.refusals import ExportError
    from inference.contract import AnalysisError
    from inference.datasets.sample import DatasetError, LeakError
    from inference.evaluation.figures import NotComputable
    from inference.evaluation.records import RecordsError
    from inference.recipes.runfolder import RunError
    from inference.recipes.schema import RecipeError
    from inference.training.loop import TrainingError

    torch.set_num_threads(chosen.threads)
    try:
        recipe = recipe_of_run(chosen.run)
        name = chosen.name or recipe.id
        version = chosen.version or next_version(name, chosen.store)
        order = Export(
            chosen.run, chosen.data, chosen.store, name, version, recipe, bundle=not chosen.no_bundle
        )
        manifest = export(order)
    except (
        ExportError, PlanError, RunError, DatasetError, LeakError, RecipeError, BlockError, RecordsError,
        NotComputable, AnalysisError, TrainingError, ValueError,
    ) as error:  # fmt: skip
        print(f"inference: {error}", file=sys.stderr)
        return 1
    print(f"{manifest.name} {manifest.version}: {manifest.weights.sha256}")
    return 0

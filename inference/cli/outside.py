"""The commands that look outside: `acceptance`, `shift`, `matrix`, `robustness`. What they run is imported when it is
asked for."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inference.cli.numbers import count


def add_commands(
    commands: Any, model: str, data_folder: Callable[[], Path],
    add_store: Callable[[argparse.ArgumentParser], None],
) -> None:  # fmt: skip
    """Add the four to `commands`; `data_folder` says where the laboratory's data lie, `add_store` adds its options."""

    def run_shift(chosen: argparse.Namespace) -> int:
        from inference.cli.shift import run

        return run(chosen, data_folder())

    shift = commands.add_parser(
        "shift", help="do these images look to the model like its own? A test over 50 images or more"
    )
    shift.add_argument("model", help=model)
    shift.add_argument("--data", type=Path, help="data sets' folder, or one tree that an importer reads")
    shift.add_argument("--dataset", metavar="NAME", help="this set alone")
    shift.add_argument("--limit", type=count, metavar="N", help="so many images, evenly drawn")
    shift.add_argument("--json", action="store_true")
    shift.add_argument(
        "--reference",
        action="store_true",
        help="write reference.csv of the version from its images of record",
    )
    add_store(shift)
    shift.set_defaults(command=run_shift)

    acceptance = commands.add_parser(
        "acceptance", help="measure a model on 50 to 500 known cases of one's own: should it be switched on?"
    )
    acceptance.add_argument("model", help=model)
    acceptance.add_argument(
        "--cases", type=Path, required=True, metavar="CASES.csv",
        help="columns image, label; patient, um_per_px and others where they are known",
    )  # fmt: skip
    acceptance.add_argument("--images", type=Path, required=True, metavar="DIR", help="where the images lie")
    acceptance.add_argument("--out", type=Path, required=True, metavar="DIR", help="for the report")
    add_store(acceptance)
    acceptance.set_defaults(command=_run_acceptance)

    matrix = commands.add_parser("matrix", help="trained there, tested here: every pair of sets, by scanner")
    matrix.add_argument("model", help=model)
    matrix.add_argument("--data", type=Path, help="measure the sets in this folder that are not on record")
    matrix.add_argument("--rerun", action="store_true", help="… and those that are, anew")
    matrix.add_argument("--json", action="store_true")
    add_store(matrix)
    matrix.set_defaults(command=_run_matrix)

    def run_robustness(chosen: argparse.Namespace) -> int:
        from inference.cli.robustness import run

        return run(chosen, data_folder())

    robust = commands.add_parser(
        "robustness", help="does a tissue model look at tissue or at stain and scanner? In simulation"
    )
    robust.add_argument("model", help=model)
    robust.add_argument("--data", type=Path, help="folder that holds idc/")
    robust.add_argument("--fields", type=count, default=400, metavar="N", help="so many of val, evenly drawn")
    robust.add_argument("--json", action="store_true")
    robust.add_argument("--record", action="store_true", help="keep it beside the weights, for the card")
    add_store(robust)
    robust.set_defaults(command=run_robustness)


def _run_acceptance(chosen: argparse.Namespace) -> int:
    from inference.cli.acceptance import run

    return run(chosen)


def _run_matrix(chosen: argparse.Namespace) -> int:
    from inference.cli.matrix import run

    return run(chosen)

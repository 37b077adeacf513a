"""The laboratory's commands: recipes, prove, reproductions, blocks, schema, generate; audit, train, export, evaluate,
predict, explain; acceptance, shift and matrix; kshot and the other challenges; seal, variants; keys, sign, shipped and
archive."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from inference.cli import (
    blocks,
    challenges,
    export,
    generate,
    outside,
    prove,
    recipes,
    reproductions,
    schema,
    verify,
    vouching,
)
from inference.cli.numbers import count, length, seed
from inference.cli.train import add_arguments as add_recipe_arguments
from inference.evaluation.records import SPLITS
from inference.runtime.store import DEFAULT_STORE, StoreError

MODEL = "a model of the store: a served one, or a recipe's that was exported"
EXPLANATIONS = ("map", "integrated_gradients", "occlusion")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the return value is the process's exit status."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    chosen.written = list(sys.argv[1:] if arguments is None else arguments)
    try:
        status: int = chosen.command(chosen)
        sys.stdout.flush()
    except StoreError as error:
        print(f"inference: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # as `| head` leaves it; what Python flushes at its end must go somewhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (
        OSError
    ) as error:  # a disk that is full, a folder that is a file, a place where nothing may be written
        where = f"{error.filename}: " if error.filename else ""
        print(f"inference: {where}{error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("inference: stopped", file=sys.stderr)
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m inference", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    audit = commands.add_parser(
        "audit", help="check data sets: files, masks, near-duplicates, labels, licences"
    )
    audit.add_argument(
        "path", type=Path, metavar="PATH", help="a data set's folder, or one that holds several"
    )
    audit.add_argument("--json", action="store_true")
    audit.add_argument("--dataset", metavar="NAME", help="read PATH as this set instead of recognising it")
    audit.set_defaults(command=_audit)

    train = commands.add_parser("train", help="run a recipe: one of the review, or a served model's")
    add_recipe_arguments(train, _data_folder())
    train.set_defaults(command=_train)

    exporting = commands.add_parser("export", help="put a recipe's finished run into the model store")
    export.add_arguments(exporting, _data_folder())
    exporting.set_defaults(command=export.run)

    evaluate = commands.add_parser("evaluate", help="print the figures of a model's card again")
    evaluate.add_argument("model", help=MODEL)
    evaluate.add_argument("--dataset", metavar="NAME", help="this set alone (default: all that is on record)")
    evaluate.add_argument("--split", choices=SPLITS, help="this split alone")
    evaluate.add_argument("--json", action="store_true")
    evaluate.add_argument(
        "--marks",
        action="store_true",
        help="print from which score on marks are shown, by false marks an exam",
    )
    evaluate.add_argument(
        "--rerun", action="store_true",
        help="measure the weights: on every sample below --data, or on val of the laboratory's own data",
    )  # fmt: skip
    evaluate.add_argument("--skip-trained", action="store_true", help="leave out what was trained on")
    evaluate.add_argument(
        "--record",
        action="store_true",
        help="rerun val, or a set never seen (--dataset), and write predictions, figures and card anew",
    )
    evaluate.add_argument(
        "--card", action="store_true", help="write figures, plots and card anew from what is on record"
    )
    evaluate.add_argument(
        "--against", type=Path, metavar="STORE_OR_PREDICTIONS", help="DeLong's test on the images in common"
    )
    evaluate.add_argument(
        "--retrain-fold", type=int, metavar="K", help="train a fold again; its committed figure must hold"
    )
    evaluate.add_argument("--run", type=Path, help="checkpoints of --retrain-fold")
    evaluate.add_argument("--seed", type=seed, default=0, help="of --retrain-fold")
    evaluate.add_argument("--data", type=Path, help="data sets' folder, or one tree that an importer reads")
    _add_store(evaluate)
    evaluate.set_defaults(command=_evaluate)

    predict = commands.add_parser("predict", help="analyse images or folders, one JSON line an image")
    predict.add_argument("model", help=MODEL)
    predict.add_argument("paths", nargs="+", type=Path, metavar="PATH")
    predict.add_argument("--out", type=Path, required=True, metavar="FILE.jsonl")
    predict.add_argument("--mpp", type=length, metavar="X", help="µm per pixel of plain images")
    _add_store(predict)
    predict.set_defaults(command=_predict)

    explain = commands.add_parser(
        "explain", help="heat maps of images or folders, or the checks of a model's"
    )
    explain.add_argument("model", help=MODEL)
    explain.add_argument("paths", nargs="*", type=Path, metavar="PATH")
    explain.add_argument("--out", type=Path, metavar="DIR", help="overlays and raw heat, 8-bit PNG")
    explain.add_argument("--method", choices=EXPLANATIONS, help="default map; of --check default all")
    explain.add_argument("--class", dest="label", metavar="NAME", help="what attributions speak for")
    explain.add_argument("--mpp", type=length, metavar="X", help="µm per pixel of plain images")
    explain.add_argument(
        "--check", action="store_true", help="pointing game, deletion and insertion, random weights, over val"
    )
    explain.add_argument("--data", type=Path, default=_data_folder())
    explain.add_argument("--limit", type=count, metavar="N", help="check so many images, evenly drawn")
    explain.add_argument(
        "--folds",
        type=Path,
        metavar="RUN",
        help="check the networks of a training run's folds, each on its fold",
    )
    explain.add_argument("--seed", type=seed, default=0)
    explain.add_argument("--json", action="store_true")
    explain.add_argument("--record", action="store_true", help="keep the checks beside the weights")
    _add_store(explain)
    explain.set_defaults(command=_explain, refuse=explain.error)

    for name, module, words in (
        ("recipes", recipes, "the methods that can be run, and what their runs have come to"),
        ("prove", prove, "does a method learn, do shuffled labels destroy that, does its own block matter?"),
        ("reproductions", reproductions, "docs/reproductions/ anew, from stored runs"),
        ("blocks", blocks, "what recipes are made of, with parameters"),
        ("schema", schema, "the JSON Schema of recipes, for editors"),
        ("generate", generate, "write a tiny made-up tree of a data set"),
    ):
        listing = commands.add_parser(name, help=words)
        module.add_arguments(listing)
        listing.set_defaults(command=module.run)

    outside.add_commands(commands, MODEL, _data_folder, _add_store)
    challenges.add_commands(commands, _data_folder)
    vouching.add_commands(commands, _add_store)
    verify.add_command(commands, _add_store)

    seal = commands.add_parser("seal", help="check a version and write its custody record")
    seal.add_argument("model", help=MODEL)
    seal.add_argument("--data", type=Path, help="predict val again with the served weights")
    seal.add_argument("--images", type=count, metavar="N", help="so many of it, evenly drawn (default all)")
    _add_store(seal)
    seal.set_defaults(command=_seal)

    variants = commands.add_parser("variants", help="judge a version's TorchScript file beside model.onnx")
    variants.add_argument("model", help=MODEL)
    variants.add_argument("--data", type=Path, default=_data_folder())
    variants.add_argument(
        "--images", type=count, metavar="N", help="judge on so many, evenly drawn (default all)"
    )
    _add_store(variants)
    variants.set_defaults(command=_variants)
    return parser


def _add_store(command: argparse.ArgumentParser) -> None:
    command.add_argument("--store", type=Path, default=DEFAULT_STORE)
    command.add_argument("--version", metavar="V", help="default: the newest in the store")


def _data_folder() -> Path:
    return Path(os.environ.get("CAD_DATA_DIR", "../shared/data"))


def _audit(chosen: argparse.Namespace) -> int:
    from inference.cli.audit import run

    status, printed = run(chosen.path, chosen.dataset, json=chosen.json)
    print(printed, file=sys.stderr if status == 2 else sys.stdout)
    return status


def _evaluate(chosen: argparse.Namespace) -> int:
    from inference.cli.evaluate import run

    return run(chosen, _data_folder())


def _predict(chosen: argparse.Namespace) -> int:
    from inference.cli.predict import predict

    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("inference").setLevel(logging.INFO)
    return predict(chosen.model, chosen.paths, chosen.out, chosen.store, chosen.mpp, chosen.version)


def _explain(chosen: argparse.Namespace) -> int:
    if chosen.check == bool(chosen.paths) or (chosen.paths and chosen.out is None):
        chosen.refuse("either PATH … with --out DIR, or --check")
    import torch

    from inference.cli import explain as explaining

    torch.set_num_threads(1)
    if chosen.paths:
        asked = explaining.ExplainOptions(
            chosen.model, chosen.store, chosen.method or "map", chosen.label, chosen.mpp, chosen.version
        )
        return explaining.explain(asked, chosen.paths, chosen.out)
    flags = [f"--limit {chosen.limit}"] if chosen.limit is not None else []
    flags += [f"--method {chosen.method}"] if chosen.method else []
    flags += [f"--folds {chosen.folds}"] if chosen.folds else []
    flags += [f"--version {chosen.version}"] if chosen.version else []
    words = " ".join(
        ["python -m inference explain", chosen.model, "--check", *flags, f"--seed {chosen.seed}"]
    )
    return explaining.run_checks(
        explaining.CheckOptions(
            chosen.model, chosen.store, chosen.data, chosen.limit, chosen.seed,
            (chosen.method,) if chosen.method else None, chosen.json, chosen.record, words, chosen.folds,
            chosen.version,
        )
    )  # fmt: skip


def _seal(chosen: argparse.Namespace) -> int:
    from inference.cli.seal import seal
    from inference.evaluation.account import AccountError
    from inference.evaluation.records import RecordsError

    try:
        print(seal(chosen.model, chosen.store, chosen.version, chosen.data, chosen.images))
    except (AccountError, RecordsError) as error:
        print(f"inference: {error}", file=sys.stderr)
        return 1
    return 0


def _variants(chosen: argparse.Namespace) -> int:
    from inference.cli.variants import run

    return run(chosen.model, chosen.store, chosen.data, chosen.images, chosen.version)


def _train(chosen: argparse.Namespace) -> int:
    from inference.cli.train import run

    return run(chosen)

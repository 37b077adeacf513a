"""The laboratory's commands: archive, train, evaluate, predict."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from inference.serving.store import DEFAULT_STORE, StoreError

MODELS = ("ultrasound", "mammography", "histopathology")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the return value is the process's exit status."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    try:
        status: int = chosen.command(chosen)
    except StoreError as error:
        print(f"inference: {error}", file=sys.stderr)
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m inference", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    archive = commands.add_parser("archive", help="build TorchServe archives from the model store")
    archive.add_argument("--out", type=Path, required=True)
    archive.add_argument("--store", type=Path, default=DEFAULT_STORE)
    archive.add_argument("--workers", type=int, default=1, help="TorchServe workers a model")
    archive.set_defaults(command=_archive)

    train = commands.add_parser("train", help="train a model and put it into the store")
    train.add_argument("model", choices=MODELS)
    train.add_argument("--data", type=Path, default=_data_folder())
    train.add_argument("--store", type=Path, default=DEFAULT_STORE)
    train.add_argument("--run", type=Path, help="checkpoints; an unfinished run goes on (default runs/MODEL)")
    train.add_argument("--version", default="1.0.0")
    train.add_argument("--epochs", type=int, help="instead of the recipe's own number")
    train.add_argument("--threads", type=int, default=2)
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--no-refit", action="store_true", help="serve the network of the inner fold")
    train.set_defaults(command=_train)

    evaluate = commands.add_parser("evaluate", help="print the figures of a model's card again")
    evaluate.add_argument("model", choices=MODELS)
    evaluate.add_argument("--json", action="store_true")
    evaluate.add_argument("--rerun", action="store_true", help="from the weights, over the held-out images")
    evaluate.add_argument(
        "--record", action="store_true", help="rerun, and write predictions, metrics and card"
    )
    evaluate.add_argument("--data", type=Path, default=_data_folder())
    evaluate.add_argument("--store", type=Path, default=DEFAULT_STORE)
    evaluate.set_defaults(command=_evaluate)

    predict = commands.add_parser("predict", help="analyse images or folders, one JSON line an image")
    predict.add_argument("model", choices=MODELS)
    predict.add_argument("paths", nargs="+", type=Path, metavar="PATH")
    predict.add_argument("--out", type=Path, required=True, metavar="FILE.jsonl")
    predict.add_argument("--mpp", type=float, metavar="X", help="µm per pixel of plain images")
    predict.add_argument("--store", type=Path, default=DEFAULT_STORE)
    predict.set_defaults(command=_predict)
    return parser


def _data_folder() -> Path:
    return Path(os.environ.get("CAD_DATA_DIR", "../shared/data"))


def _archive(chosen: argparse.Namespace) -> int:
    from inference.serving.archive import build_archives

    for path in build_archives(chosen.out, chosen.store, chosen.workers):
        print(path)
    return 0


def _evaluate(chosen: argparse.Namespace) -> int:
    from inference.evaluation.command import as_json, as_text, evaluate
    from inference.serving.store import read_manifest

    figures = evaluate(chosen.model, chosen.store, chosen.data, again=chosen.rerun, record=chosen.record)
    manifest = read_manifest(chosen.model, chosen.store)
    print(as_json(manifest, figures) if chosen.json else as_text(manifest, figures))
    return 0


def _predict(chosen: argparse.Namespace) -> int:
    from inference.serving.command import predict

    return predict(chosen.model, chosen.paths, chosen.out, chosen.store, chosen.mpp)


def _train(chosen: argparse.Namespace) -> int:
    import torch

    from inference.training.build import BUILDERS, Plan

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(chosen.threads)
    plan = Plan(
        data=chosen.data,
        run=chosen.run or Path("runs") / chosen.model,
        store=chosen.store,
        version=chosen.version,
        epochs=chosen.epochs,
        refit=not chosen.no_refit,
        seed=chosen.seed,
    )
    manifest = BUILDERS[chosen.model](plan)
    print(f"{manifest.name} {manifest.version}: {manifest.weights.sha256}")
    return 0

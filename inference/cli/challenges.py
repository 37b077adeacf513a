"""The review's open challenges: `kshot` … each writes a report with intervals into `--out`. What they run is imported
when it is asked for."""

from __future__ import annotations

import shlex
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inference.cli.numbers import count, seed

if TYPE_CHECKING:
    from inference.challenges.report import Report

Ask = Callable[[Namespace], "Report"]


def add_commands(commands: Any, data_folder: Callable[[], Path]) -> None:
    """Add the challenges to `commands`; `data_folder` says where the laboratory's data lie."""

    def add(name: str, words: str, ask: Ask) -> ArgumentParser:
        command: ArgumentParser = commands.add_parser(name, help=words)
        command.add_argument("--out", type=Path, required=True, metavar="DIR", help="for the report")
        command.add_argument("--seed", type=seed, default=0)
        command.set_defaults(command=lambda chosen: _reported(chosen, ask))
        return command

    def of_data(command: ArgumentParser) -> None:
        command.add_argument("--data", type=Path, default=data_folder(), help="folder that holds the sets")
        command.add_argument("--folds", type=count, default=5, metavar="N", help="groups whole (default 5)")

    kshot = add("kshot", "how many labelled patients a class are needed? A learning curve", _kshot)
    kshot.add_argument("set", metavar="SET", help="a data set's name, such as busbra")
    kshot.add_argument("--shots", type=count, nargs="+", metavar="K", help="default 1 2 5 10 20 50, and all")
    kshot.add_argument("--draws", type=count, default=20, metavar="N", help="of K patients (default 20)")
    of_data(kshot)

    mrmc = add("mrmc", "several readers, several cases: do they see more with one modality?", _mrmc)
    mrmc.add_argument(
        "--scores",
        type=Path,
        required=True,
        metavar="CSV",
        help="columns reader, modality, case, truth, score",
    )


def _reported(chosen: Namespace, ask: Ask) -> int:
    """Exit status: 0 with the report printed and written, or 1 with a sentence on stderr."""
    from inference.challenges.report import ChallengeError
    from inference.datasets.sample import DatasetError

    began = time.monotonic()
    try:
        report = ask(chosen)
    except (ChallengeError, DatasetError) as error:
        print(f"inference: {error}", file=sys.stderr)
        return 1
    command = shlex.join(["python", "-m", "inference", *chosen.written])
    report = replace(report, command=command, seconds=time.monotonic() - began)
    where = report.write(chosen.out)
    print(report.as_text())
    print(where)
    return 0


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _kshot(chosen: Namespace) -> Report:
    from inference.challenges import cohort, kshot
    from inference.challenges.embeddings import View
    from inference.challenges.report import Report

    _one_thread()
    view = View(side=cohort.side_of(chosen.set))
    asked = cohort.cohort(cohort.two_classes(chosen.data, chosen.set), view)
    points = kshot.learning_curve(asked, chosen.shots or kshot.SHOTS, chosen.draws, chosen.folds, chosen.seed)
    return Report(
        "kshot", f"How many labelled patients a class does {chosen.set} need?",
        _told(asked, view) | {"draws of patients": chosen.draws, "folds": chosen.folds},
        [kshot.table(points)], [kshot.chart(points, chosen.set)],
        [
            "Interval: patients judged and draws of patients learned from, both drawn with replacement a thousand "
            "times. Of all patients there is one draw: its interval is over patients judged alone.",
            "Features are ImageNet's, frozen: this is how far labels go with them, not with a network that learns.",
        ],
    )  # fmt: skip


def _told(asked: Any, view: Any) -> dict[str, object]:
    """What every report on images says of them."""
    return {
        "images": len(asked), "groups": len(set(asked.groups)), "of the positive class": int(asked.truth.sum()),
        "features": f"{view.backbone}, ImageNet weights, frozen, {view.side} px",
    }  # fmt: skip


def _mrmc(chosen: Namespace) -> Report:
    from inference.challenges import mrmc, reader_scores
    from inference.challenges.report import Report, Table

    study = reader_scores.read(chosen.scores)
    own = mrmc.components(study)
    found = mrmc.tests(own)
    f, freedom = mrmc.of_pseudovalues(study)
    names = study.modalities
    return Report(
        "mrmc", "Do readers see more with one modality than with another?",
        {
            "readers": len(study.readers), "modalities": ", ".join(names), "cases": len(study.truth),
            "positive cases": int(study.truth.sum()),
            "Var, Cov1, Cov2, Cov3": ", ".join(
                f"{value:.8f}" for value in (own.variance, own.cov1, own.cov2, own.cov3)
            ),
            "MS(T), MS(R), MS(TR)": ", ".join(
                f"{value:.8f}" for value in (own.between_modalities, own.between_readers, own.interaction)
            ),
        },
        [
            Table("readers", "AUC by reader, interval over cases", ("reader", *names),
                  [(reader, *figures) for reader, figures in mrmc.readers_of(study)]),
            Table("modalities", "Mean AUC, for readers and cases like these", ("modality", "AUC"),
                  [(name, mrmc.alone(study, number)) for number, name in enumerate(names)]),
            Table("tests", "Are all modalities equal?", ("speaks of", "F", "df", "df of the error", "p"),
                  [(test.population, test.f, len(names) - 1, test.freedom, test.p) for test in found]),
            Table("differences", "Differences of AUC", ("speaks of", "first", "second", "difference", "SE", "p"),
                  [(test.population, names[one.first], names[one.second], one.figure, one.error, one.p)
                   for test in found for one in test.differences]),
        ],
        notes=[
            "Obuchowski and Rockette 1995 with Hillis' degrees of freedom (2007); covariances by the jackknife. "
            "The first row of tests is the one to report: readers and cases are both samples.",
            f"Dorfman, Berbaum and Metz's pseudovalues by another computation: F {f:.4f} with {freedom:.2f} "
            "degrees of freedom, the same as of the first row.",
        ],
    )  # fmt: skip

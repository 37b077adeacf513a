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
    from inference.challenges.embeddings import View
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

    def of_data(command: ArgumentParser, folds: int = 5) -> None:
        command.add_argument("--data", type=Path, default=data_folder(), help="folder that holds the sets")
        command.add_argument("--folds", type=count, default=folds, metavar="N", help="groups whole")

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
    mrmc.add_argument(
        "--nested", action="store_true", help="every reader has read cases of their own, with every modality"
    )

    shift = add(
        "shiftmatrix", "learned there, asked here, for collections and scanners, harmonised or not", _shifts
    )
    shift.add_argument("discipline", choices=("ultrasound", "mammography", "histopathology"))
    shift.add_argument("--ways", nargs="+", metavar="WAY", help="of histogram, style, reinhard, macenko")
    shift.add_argument("--limit", type=count, default=300, metavar="N", help="images a domain (default 300)")
    shift.add_argument("--side", type=count, default=128, metavar="PX", help="square they are brought to")
    of_data(shift, folds=2)

    fuse = add("fuse", "several sources, any of them missing: what is each subset worth?", _fuse)
    fuse.add_argument(
        "source", choices=("generated", "busbra"), help="a cohort of known truth, or real images"
    )
    fuse.add_argument("--patients", type=count, default=3000, metavar="N", help="of the generated cohort")
    of_data(fuse)

    cascade = add("cascade", "a small network answers easy cases, a large one the rest", _cascade)
    cascade.add_argument("set", metavar="SET", help="a data set's name, such as busbra")
    cascade.add_argument("--small", default="effnet_lite0:96", metavar="NET:PX", help="default %(default)s")
    cascade.add_argument("--large", default="effnet_lite0:224", metavar="NET:PX", help="default %(default)s")
    of_data(cascade)

    federate = add("federate", "FedAvg, FedProx, SCAFFOLD over sites that are processes", _federate)
    federate.add_argument(
        "sets", nargs="*", default=["busi", "busbra"], metavar="SET", help="default busi busbra"
    )
    federate.add_argument("--sites", type=count, default=5, metavar="N")
    federate.add_argument("--rounds", type=count, default=30, metavar="N")
    federate.add_argument("--epochs", type=count, default=2, metavar="N", help="of a site in a round")
    of_data(federate, folds=3)


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
    """Threads of small matrices wait for each other longer than they compute."""
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(1)
    threadpool_limits(1)


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
    from inference.challenges import mrmc_report, reader_scores

    read = reader_scores.read_nested if chosen.nested else reader_scores.read
    return mrmc_report.report_of(read(chosen.scores))


def _shifts(chosen: Namespace) -> Report:
    from inference.challenges import shifts
    from inference.challenges.report import Report

    _one_thread()
    found = shifts.domains(chosen.discipline, chosen.data, chosen.limit)
    ways = chosen.ways or shifts.DISCIPLINES[chosen.discipline][1]
    cells = shifts.matrix(found, ways, chosen.side, chosen.folds, chosen.seed)
    notes = [
        "gain: AUC when made alike minus AUC as the images are, interval over the same draws of patients."
    ]
    if any(domain.see for domain in found):
        notes.append(
            "Simulated scanners show the same patients; a patient is never learned from and asked about."
        )
    return Report(
        "shiftmatrix", f"What is learned on one scanner's {chosen.discipline}, asked of another's",
        {
            "images": ", ".join(f"{domain.name} {len(domain.samples)}" for domain in found),
            "features": f"effnet_lite0, ImageNet weights, frozen, {chosen.side} px", "folds": chosen.folds,
            "ways": ", ".join(ways),
        },
        shifts.tables(cells), [shifts.chart(cells)], notes,
    )  # fmt: skip


def _fuse(chosen: Namespace) -> Report:
    from inference.challenges import cohort, fusion
    from inference.challenges.embeddings import View
    from inference.challenges.report import Report
    from inference.evaluation.bootstrap import draw_counts

    _one_thread()
    best = None
    if chosen.source == "generated":
        asked, best = fusion.generated(chosen.patients, chosen.seed)
        note = "A subset's best is Bayes' rule on the distributions that the cohort was drawn from: nobody exceeds it."
    else:
        images = cohort.cohort(cohort.two_classes(chosen.data, chosen.source), View())
        asked = fusion.of_busbra(images)
        note = (
            "BUS-BRA says neither age nor genes: the lesion's width, height and their ratio stand for facts."
        )
    counts = draw_counts(asked.groups, [str(true) for true in asked.truth], seed=chosen.seed)
    found = fusion.fuse(asked, counts, chosen.folds, chosen.seed, best)
    return Report(
        "fuse", "What are several sources worth, with any of them missing?",
        {
            "cohort": chosen.source, "cases": len(asked.truth), "patients": len(set(asked.groups)),
            "positive": int(asked.truth.sum()), "folds": chosen.folds,
            "sources": ", ".join(f"{name} ({rows.shape[1]} numbers)" for name, rows in asked.rows.items()),
        },
        [fusion.table(found)], [fusion.chart(found)],
        [note, "Readers and fuser are learned once, of patients with all sources; a subset is then asked alone."],
    )  # fmt: skip


def _cascade(chosen: Namespace) -> Report:
    from inference.challenges import cascade, cohort
    from inference.challenges.embeddings import multiply_adds, network
    from inference.challenges.report import Report

    _one_thread()
    views = (_view(chosen.small), _view(chosen.large))
    samples = cohort.two_classes(chosen.data, chosen.set)
    small, large = (cohort.cohort(samples, view) for view in views)
    costs = [multiply_adds(network(view.backbone), view.side) for view in views]
    points = cascade.curve(small, large, (costs[0], costs[1]), chosen.folds, chosen.seed)
    told = _told(small, views[0])
    told["features"] = "ImageNet weights, frozen"
    return Report(
        "cascade", f"How much arithmetic does {chosen.set} need?",
        told | {
            "small": f"{chosen.small}, {costs[0] / 1e6:.1f} million multiply-adds",
            "large": f"{chosen.large}, {costs[1] / 1e6:.1f} million multiply-adds",
            "tolerance on the inner folds": cascade.TOLERANCE, "folds": chosen.folds,
        },
        [cascade.table(points)], [cascade.chart(points)],
        [
            "Arithmetic is counted in the layers while an image passes; both networks look at who goes on.",
            "0% is the small network alone, 100% the large one; its arithmetic then holds the small one's, too.",
        ],
    )  # fmt: skip


def _view(text: str) -> View:
    """`effnet_lite0:96` → how images are looked at."""
    from inference.challenges.embeddings import BACKBONES, View
    from inference.challenges.report import ChallengeError

    name, _, side = text.partition(":")
    if name not in BACKBONES or not side.isdigit() or int(side) < 32:
        raise ChallengeError(
            f"{text}: a network is written as {BACKBONES[0]}:96, one of {', '.join(BACKBONES)}"
        )
    return View(name, int(side))


def _federate(chosen: Namespace) -> Report:
    from inference.challenges import cohort, federation
    from inference.challenges.embeddings import View
    from inference.challenges.report import Report

    _one_thread()
    view = View()
    samples = [sample for name in chosen.sets for sample in cohort.two_classes(chosen.data, name)]
    asked = cohort.cohort(samples, view)
    sites = federation.sites_of(asked, chosen.sites)
    plan = federation.Plan(rounds=chosen.rounds, epochs=chosen.epochs)
    found = federation.compare(asked, sites, plan, chosen.folds, chosen.seed)
    return Report(
        "federate", "Is learning together as good as putting the patients together?",
        _told(asked, view) | {"plan": str(plan), "folds": chosen.folds},
        federation.tables(found, asked, sites), [federation.chart(found)],
        [
            "Sites alone and pooled stand at the minimum of the loss; of a federation sums and weights cross, no row.",
            "Only the probe is learned together: the network is ImageNet's everywhere, and frozen.",
        ],
    )  # fmt: skip

"""`bin/manage watching NAME VERSION`: the numbers of the page *What the models do*, as text."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterable
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cad_platform.core.actor import Actor
from cad_platform.core.errors import PlatformError
from cad_platform.quality import charts, pages, selectors

_ACTOR = Actor.system("watching")
#: Signs of the longest bar.
_WIDTH = 40


class Command(BaseCommand):
    help = "Tells what a version did: volumes, scores, outcomes, latencies, readers' decisions, drift, subgroups."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("model_version", metavar="version")
        parser.add_argument("--site", help="a site's code; every site where left out")
        parser.add_argument("--days", type=int, choices=selectors.PERIODS, default=7)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            choice = selectors.chosen(
                _ACTOR, model=options["name"], version=options["model_version"], site=options["site"],
                days=options["days"],
            )  # fmt: skip
            page = pages.page_of(_ACTOR, choice)
        except PlatformError as error:
            raise CommandError(error.detail) from error
        place = choice.site.code if choice.site else "every site"
        self.stdout.write(f"{choice.version} at {place}, the last {choice.days} days")
        for title, rows in _tables(page):
            self.stdout.write(f"\n{title}")
            lines = ["  ".join(map(str, row)) for row in rows]
            self.stdout.write("\n".join(f"  {line}" for line in lines) or "  nothing")


def _tables(page: pages.Page) -> Iterable[tuple[str, Iterable[tuple[object, ...]]]]:
    """Title and rows of each table of the page, in its order."""
    for chart in (page.volume, page.scores):
        yield f"{chart.title} ({', '.join(chart.heads)})", _bars(chart)
    yield "Outcomes", [*page.states, *page.reasons]
    yield (
        "How long it took (half of them, 95 of 100)",
        [(each.phase, each.half, each.most) for each in page.latencies],
    )
    yield (
        f"What readers made of it: {page.counts.signed} signed reports, {page.contradicted} say otherwise",
        page.decisions,
    )
    yield (
        f"Against pathology and final reports: AUC {page.auc} of the latest {page.judged} cases "
        "(probability, cases, expected %, found %)",
        [(each.label, each.cases, each.expected, each.found) for each in page.tenths],
    )
    yield (
        "Drift (site, PSI, KS, cases)",
        [(each.site, each.psi, each.ks, each.cases) for each in page.drifts],
    )
    yield (
        "Devices (device, site, images, up to, what differs)",
        [
            (
                each.test.device,
                each.test.site.code,
                each.test.images,
                f"{each.test.up_to:%Y-%m-%d %H:%M}",
                each.words or "-",
            )
            for each in page.devices
        ],
    )
    yield (
        "Subgroups (by, group, verdicts, positive, answer known, AUC)",
        [(row.kind, row.value, row.cases, row.share, row.judged, row.auc) for row in page.groups],
    )


def _bars(chart: charts.Chart) -> list[tuple[object, ...]]:
    longest = max((len(bar.label) for bar in chart.bars), default=0)
    return [
        (bar.label.rjust(longest), bar.words.rjust(len(chart.top_words)), _drawn(bar.value, chart.top))
        for bar in chart.bars
    ]


def _drawn(value: float, top: float) -> str:
    """A bar of signs; whatever is not nothing has one."""
    return "█" * max(round(_WIDTH * value / top), 1) if value and top else ""

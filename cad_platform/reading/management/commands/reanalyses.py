"""`bin/manage reanalyses …`: studies that show a result of another version, and having them analysed again."""

from __future__ import annotations

import uuid
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cad_platform.accounts.at_the_shell import person
from cad_platform.analysis import again, selectors
from cad_platform.analysis.selectors import SetProgress
from cad_platform.core.actor import Actor
from cad_platform.core.errors import PlatformError
from cad_platform.reading import reanalysis
from cad_platform.reading.reanalysis import Choice


class Command(BaseCommand):
    help = "Tells which unsigned studies show another version's result, has them analysed again, lists and stops that."

    def add_arguments(self, parser: ArgumentParser) -> None:
        steps = parser.add_subparsers(dest="step", required=True)
        steps.add_parser("list", help="the latest sets and how far each is")
        for step, words in (
            ("offer", "how many unsigned studies show another version's result"),
            ("start", "have these analysed again"),
        ):
            of_version = steps.add_parser(step, help=words)
            of_version.add_argument("name")
            of_version.add_argument("model_version", metavar="version")
        steps.add_parser("stop", help="begin no more of a set").add_argument("id", type=uuid.UUID)
        for each in steps.choices.values():
            each.add_argument("--user", required=True, help="in whose name; asks for that person's password")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.stdout.write(getattr(self, f"_{options['step']}")(person(options["user"]), options))
        except PlatformError as error:
            raise CommandError(error.detail) from error

    def _list(self, actor: Actor, options: Any) -> str:
        return "\n".join(map(_told, selectors.reanalyses(actor))) or "There is none."

    def _offer(self, actor: Actor, options: Any) -> str:
        found = reanalysis.extent(actor, _choice(options))
        return f"{found.fitting} studies show another version's result; {found.needed} would be analysed"

    def _start(self, actor: Actor, options: Any) -> str:
        choice = _choice(options)
        made = again.reanalyse_set(actor, reanalysis.chosen(actor, choice), choice.criteria())
        return _told(selectors.progress_of([made])[0])

    def _stop(self, actor: Actor, options: Any) -> str:
        found = selectors.reanalysis(actor, options["id"])
        again.stop(actor, found)
        return _told(selectors.progress_of([selectors.reanalysis(actor, found.pk)])[0])


def _choice(options: Any) -> Choice:
    return reanalysis.other_than(reanalysis.version_named(options["name"], options["model_version"]).pk)


def _told(progress: SetProgress) -> str:
    asked = progress.reanalysis
    ended = "stopped" if asked.stopped_at else "goes on" if progress.is_open else "done"
    return (
        f"{asked.pk}  {asked.requested_at:%Y-%m-%d %H:%M}  {asked.requested_by.printed_name}  "
        f"{asked.site.code if asked.site else 'every site'}  {ended}: {progress.total} studies, "
        f"{progress.waiting} waiting, {progress.at_work} at work, {progress.done} done, {progress.failed} failed, "
        f"{progress.skipped} left out"
    )

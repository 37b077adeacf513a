"""`bin/manage acceptance …`: local acceptance by the command line. A person asks, another signs, each with
a password."""

from __future__ import annotations

import uuid
from argparse import ArgumentParser, FileType
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cad_platform.accounts.at_the_shell import person
from cad_platform.analysis.tables import TableRefused, decoded
from cad_platform.core.actor import Actor
from cad_platform.core.errors import PlatformError
from cad_platform.quality import acceptance, acceptance_run, picking
from cad_platform.quality.models import Acceptance
from cad_platform.registry import selectors, thresholds

_ACTOR = Actor.system("acceptance")
#: What `known` chooses by.
_CHOICE = {
    "since": "the first day, as in 2026-01-31",
    "until": "the last day",
    "device": "a part of the device's name",
    "label": "positive or negative",
    "source": "table or pathology",
    "search": "the beginning of an accession number, or a UID",
}


class Command(BaseCommand):
    help = "Measures a version on a site's known cases; signs verdicts; proposes and signs the site's own thresholds."

    def add_arguments(self, parser: ArgumentParser) -> None:
        steps = parser.add_subparsers(dest="step", required=True)
        steps.add_parser("list", help="every measurement, its verdict and who signed it")
        measure = self._of_person(steps, "measure", "measure a version now")
        measure.add_argument("name")
        measure.add_argument("model_version", metavar="version")
        measure.add_argument("--site", required=True, help="the site's code")
        chosen = measure.add_mutually_exclusive_group()
        chosen.add_argument("--table", type=Path, help="CSV of the known cases")
        chosen.add_argument(
            "--studies", type=FileType(encoding="utf-8"),
            help="a file (- is standard input) with an accession number or UID a line, such as `known` prints; "
            "without both: all that the platform knows",
        )  # fmt: skip
        known = steps.add_parser("known", help="the known studies of a site, tab-separated, the UID first")
        known.add_argument("name")
        known.add_argument("model_version", metavar="version")
        known.add_argument("--site", required=True, help="the site's code")
        for name, words in _CHOICE.items():
            known.add_argument(f"--{name}", default="", help=words)
        self._of_one(steps, "sign", "the second person's signature").add_argument("--note", required=True)
        self._of_one(steps, "propose", "propose the site's own thresholds")
        self._of_one(steps, "force", "put the site's own thresholds in force, as the second person")
        self._of_one(steps, "withdraw", "withdraw them").add_argument("--reason", required=True)

    def _of_person(self, steps: Any, step: str, words: str) -> ArgumentParser:
        parser: ArgumentParser = steps.add_parser(step, help=words)
        parser.add_argument("--user", required=True)
        return parser

    def _of_one(self, steps: Any, step: str, words: str) -> ArgumentParser:
        parser = self._of_person(steps, step, words)
        parser.add_argument("id", type=uuid.UUID)
        return parser

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            said = getattr(self, f"_{options['step']}")(options)
        except PlatformError as error:
            reasons = [f"- {each.field}: {each.reason}" for each in getattr(error, "errors", ())]
            raise CommandError("\n".join([error.detail, *reasons])) from error
        self.stdout.write(said)

    def _list(self, options: Any) -> str:
        return "\n".join(_line(each) for each in acceptance.acceptances(_ACTOR))

    def _measure(self, options: Any) -> str:
        actor, table = person(options["user"]), None
        if options["table"] is not None:
            try:
                table = decoded(options["table"].read_bytes())
            except (OSError, TableRefused) as error:
                raise CommandError(f"{options['table']} cannot be read: {error}") from error
        version = selectors.version_named(actor, options["name"], options["model_version"])
        # The first column, so that what `known` prints can be handed on.
        studies = options["studies"] and [
            line.split("\t")[0].strip() for line in options["studies"] if line.strip()
        ]
        asked = acceptance.ask(actor, version, acceptance.site_called(options["site"]), table, studies)
        acceptance_run.measure(asked.pk)
        found = acceptance.acceptance(actor, asked.pk)
        if found.state != Acceptance.State.MEASURED:
            raise CommandError(f"It was not measured: {found.said}")
        told = [*(found.report or {})["reasons"], *(found.report or {})["conditions"]]
        return "\n".join([_line(found), *(f"  {sentence}" for sentence in told)])

    def _known(self, options: Any) -> str:
        version = selectors.version_named(_ACTOR, options["name"], options["model_version"])
        choice = picking.choice_from(options)
        found = picking.open_known(_ACTOR, version, acceptance.site_called(options["site"]), choice)
        self.stderr.write(f"{found.count} known studies, {len(found.usable)} of the latest can be measured")
        return "\n".join(
            "\t".join(
                (each.study.study_instance_uid, each.study.accession_number, f"{each.day:%Y-%m-%d}",
                 each.device, each.label, each.side, each.source)
            )
            for each in found.studies
            if each.is_usable
        )  # fmt: skip

    def _sign(self, options: Any) -> str:
        return _line(acceptance.sign(person(options["user"]), options["id"], options["note"]))

    def _propose(self, options: Any) -> str:
        made = acceptance.propose_thresholds(person(options["user"]), options["id"])
        return f"{made.thresholds} are proposed; another person puts them in force"

    def _force(self, options: Any) -> str:
        return f"{thresholds.sign(person(options['user']), self._own(options)).thresholds} are in force"

    def _withdraw(self, options: Any) -> str:
        made = thresholds.withdraw(person(options["user"]), self._own(options), options["reason"])
        return f"{made.thresholds} are withdrawn"

    def _own(self, options: Any) -> uuid.UUID:
        made = thresholds.proposed_by(options["id"])
        if made is None:
            raise CommandError("Nothing is proposed from this measurement.")
        return made.pk


def _line(found: Acceptance) -> str:
    signed = f"signed by {found.signed_by.printed_name}" if found.signed_by else "not signed"
    what = found.verdict or found.state
    return f"{found.pk}  {found.asked_at:%Y-%m-%d %H:%M}  {found.model_version} at {found.site.code}  {what}  {signed}"

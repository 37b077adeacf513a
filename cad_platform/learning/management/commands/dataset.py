"""`bin/manage dataset …`: versions of a site's data sets by the command line, their export to the laboratory, and what
learns from them."""

from __future__ import annotations

import sys
import uuid
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cad_platform.accounts.at_the_shell import person
from cad_platform.accounts.models import Site
from cad_platform.core.actor import Actor
from cad_platform.core.errors import PlatformError
from cad_platform.learning import consent, exporting, running, trainings, versions
from cad_platform.learning.models import Consent, DatasetVersion


class Command(BaseCommand):
    help = "Makes versions of a site's data sets of consenting patients, and exports them to the laboratory."

    def add_arguments(self, parser: ArgumentParser) -> None:
        steps = parser.add_subparsers(dest="step", required=True)
        for step, words in (
            ("list", "every version of the site"),
            ("make", "the next version of a modality"),
            ("export", "write one as a tree that `python -m inference` reads"),
            ("train", "have a recipe of the laboratory learn from one, as a job"),
            ("trainings", "what learned, learns or waits"),
            ("cancel", "end a training"),
            ("go-on", "go on with one that was cancelled or failed"),
            ("work", "run the trainings that wait, here and now"),
            (
                "consent",
                "record what a patient said; reads her id from standard input, and after a tab its issuer",
            ),
        ):
            own = steps.add_parser(step, help=words)
            own.add_argument("site", help="a site's code")
            if step in {"make", "export", "train"}:
                own.add_argument("modality")
            if step in {"export", "train"}:
                own.add_argument("number", type=int)
            if step == "export":
                own.add_argument("into", type=Path, help="a folder that does not exist yet")
            if step == "train":
                own.add_argument("recipe", help="a name in inference/recipes")
                own.add_argument("--variant", default="", help="of the recipe, such as quick")
            if step == "consent":
                own.add_argument("state", choices=Consent.State.values)
                own.add_argument("source", choices=Consent.Source.values)
                own.add_argument("--user", required=True, help="who records it; asks for the password")
            if step in {"cancel", "go-on"}:
                own.add_argument("training", type=uuid.UUID)

    def handle(self, *args: Any, **options: Any) -> None:
        site = Site.objects.filter(code=options["site"]).first()
        if site is None:
            raise CommandError(f"There is no site {options['site']}.")
        actor = Actor(label="system:dataset", site_id=site.pk)
        try:
            self.stdout.write(getattr(self, f"_{options['step'].replace('-', '_')}")(actor, site, options))
        except PlatformError as error:
            reasons = [f"- {each.field}: {each.reason}" for each in error.errors]
            raise CommandError("\n".join([error.detail, *reasons])) from error

    def _list(self, actor: Actor, site: Site, options: Any) -> str:
        lines = []
        for each in versions.versions(actor):
            gone = versions.withdrawn(each)
            note = f"  {gone} patients no longer consent" if gone else ""
            lines.append(
                f"{each}  {each.made_at:%Y-%m-%d}  {each.images} images  {each.patients} patients{note}"
            )
        return "\n".join(lines) or f"There is no version of {site.code}."

    def _make(self, actor: Actor, site: Site, options: Any) -> str:
        made = versions.make(actor, site, options["modality"])
        labels = ", ".join(f"{count} {label}" for label, count in versions.labels(made).items())
        left_out = ", ".join(f"{count} {reason}" for reason, count in made.left_out.items())
        return f"{made}: {labels}" + (f"; left out: {left_out}" if left_out else "")

    def _export(self, actor: Actor, site: Site, options: Any) -> str:
        found = self._version(actor, site, options)
        images = exporting.export(actor, found, options["into"].absolute())
        return f"{images} images of {found} are in {options['into']}"

    def _train(self, actor: Actor, site: Site, options: Any) -> str:
        version = self._version(actor, site, options)
        asked = trainings.ask(actor, version, options["recipe"], options["variant"])
        return f"{asked.pk}  {asked.state}"

    def _trainings(self, actor: Actor, site: Site, options: Any) -> str:
        lines = [
            f"{each.pk}  {each.dataset}  {each.recipe} {each.variant}  {each.state}  "
            f"{each.candidate or each.said or each.progress}"
            for each in trainings.trainings(actor)
        ]
        return "\n".join(lines) or f"Nothing has learned from data sets of {site.code}."

    def _cancel(self, actor: Actor, site: Site, options: Any) -> str:
        return f"{trainings.cancel(actor, options['training']).state}"

    def _go_on(self, actor: Actor, site: Site, options: Any) -> str:
        return f"{trainings.go_on(actor, options['training']).state}"

    def _work(self, actor: Actor, site: Site, options: Any) -> str:
        states = list(iter(running.run_next, ""))
        return f"{len(states)} trainings were run: {', '.join(states) or 'none waits'}"

    def _consent(self, actor: Actor, site: Site, options: Any) -> str:
        by = person(options["user"])
        if by.site_id != site.pk:
            raise CommandError(f"{options['user']} does not belong to {site.code}.")
        # Not an argument: those stand in lists of processes and in the shell's history.
        patient_id, _tab, issuer = sys.stdin.readline().strip("\r\n").partition("\t")
        made = consent.say(by, patient_id, issuer, state=options["state"], source=options["source"])
        return f"recorded: {made.state}"

    def _version(self, actor: Actor, site: Site, options: Any) -> DatasetVersion:
        found = (
            versions.versions(actor).filter(modality=options["modality"], number=options["number"]).first()
        )
        if found is None:
            raise CommandError(
                f"There is no version {options['modality']} {options['number']} of {site.code}."
            )
        return found

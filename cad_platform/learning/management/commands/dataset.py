"""`bin/manage dataset …`: versions of a site's data sets by the command line, and their export to the laboratory."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cad_platform.accounts.models import Site
from cad_platform.core.actor import Actor
from cad_platform.core.errors import PlatformError
from cad_platform.learning import exporting, versions


class Command(BaseCommand):
    help = "Makes versions of a site's data sets of consenting patients, and exports them to the laboratory."

    def add_arguments(self, parser: ArgumentParser) -> None:
        steps = parser.add_subparsers(dest="step", required=True)
        for step, words in (
            ("list", "every version of the site"),
            ("make", "the next version of a modality"),
            ("export", "write one as a tree that `python -m inference` reads"),
        ):
            own = steps.add_parser(step, help=words)
            own.add_argument("site", help="a site's code")
            if step != "list":
                own.add_argument("modality")
            if step == "export":
                own.add_argument("number", type=int)
                own.add_argument("into", type=Path, help="a folder that does not exist yet")

    def handle(self, *args: Any, **options: Any) -> None:
        site = Site.objects.filter(code=options["site"]).first()
        if site is None:
            raise CommandError(f"There is no site {options['site']}.")
        actor = Actor(label="system:dataset", site_id=site.pk)
        try:
            self.stdout.write(getattr(self, f"_{options['step']}")(actor, site, options))
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
        found = (
            versions.versions(actor).filter(modality=options["modality"], number=options["number"]).first()
        )
        if found is None:
            raise CommandError(
                f"There is no version {options['modality']} {options['number']} of {site.code}."
            )
        images = exporting.export(actor, found, options["into"].absolute())
        return f"{images} images of {found} are in {options['into']}"

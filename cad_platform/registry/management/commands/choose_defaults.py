"""`manage.py choose_defaults`: at the first start, let each model's newest served version analyse studies."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cad_platform.core.actor import Actor
from cad_platform.registry.switching import choose_defaults

_PAUSE_SECONDS = 2.0


class Command(BaseCommand):
    help = (
        "Gives each model without a default the newest registered version that a model server answers for. Defaults "
        "that exist stay; safe to repeat."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--wait",
            type=float,
            default=300.0,
            metavar="SECONDS",
            help="how long to wait for a model server that is away or starting (default: 300)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        actor = Actor.system("choose_defaults")
        end = time.monotonic() + options["wait"]
        chosen = 0
        while True:
            last = time.monotonic() >= end
            outcome = choose_defaults(actor, settle=last)
            for version in outcome.chosen:
                self.stdout.write(f"{version} is the default now")
            chosen += len(outcome.chosen)
            if last or not outcome.may_come:
                break
            time.sleep(max(0.0, min(_PAUSE_SECONDS, end - time.monotonic())))
        if outcome.without:
            raise CommandError(
                "Without a default, so that nothing is analysed by them:\n"
                + "\n".join(f"- {name} ({why})" for name, why in sorted(outcome.without.items()))
            )
        if not chosen:
            self.stdout.write("Every registered model has a default already.")

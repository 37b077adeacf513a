"""`manage.py make_default NAME VERSION`: switch the version that analyses studies, also back."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cad_platform.core.actor import Actor
from cad_platform.core.errors import PlatformError
from cad_platform.registry.selectors import version_named
from cad_platform.registry.switching import make_default


class Command(BaseCommand):
    help = "Has studies analysed with this version from now on, if a model server answers for it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="such as ultrasound")
        # --version is Django's own.
        parser.add_argument("model_version", metavar="version", help="such as 2.2.0")
        parser.add_argument("--reason", default="", help="for the audit log")

    def handle(self, *args: Any, **options: Any) -> None:
        actor = Actor.system("make_default")
        try:
            version = version_named(actor, options["name"], options["model_version"])
            switch = make_default(actor, version, options["reason"])
        except PlatformError as error:
            raise CommandError(error.detail) from error
        before = f", before it {switch.previous.version}" if switch.previous else ""
        self.stdout.write(f"{switch.version} is the default{before}")

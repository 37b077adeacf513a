"""`manage.py register_models`: make the model store's versions known to the platform."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cad_platform.core.actor import Actor
from cad_platform.core.errors import PlatformError
from cad_platform.registry.services import register_from_store

#: Exit status where some versions were refused and the others are registered; 1 is "nothing was done".
SOME_REFUSED = 2


class Command(BaseCommand):
    help = (
        "Registers every version of the model store after its hashes were checked; safe to repeat. None becomes the "
        "default by it: see choose_defaults and make_default."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            outcome = register_from_store(Actor.system("register_models"))
        except PlatformError as error:
            raise CommandError(error.detail) from error
        for version in outcome.versions:
            is_new = ", new" if version in outcome.new else ""
            default = ", default" if version.is_default else ""
            self.stdout.write(f"{version} ({version.modality}{default}{is_new})")
        if outcome.refused:
            refused = "\n".join(f"- {reason}" for reason in outcome.refused)
            raise CommandError(f"Not registered:\n{refused}", returncode=SOME_REFUSED)

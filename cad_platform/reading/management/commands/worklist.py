"""`manage.py worklist`: make the worklist's projection anew, or compare it with what it is made from."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from cad_platform.reading import projection


class Command(BaseCommand):
    help = (
        "rebuild: works out the worklist's place of every study anew. verify: compares every one with what it is "
        "worked out from; exit code 1 where one differs. Both may run while people read."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=["rebuild", "verify"])

    def handle(self, *args: Any, **options: Any) -> None:
        if options["action"] == "rebuild":
            self.stdout.write(f"{projection.rebuild()} studies have their place in the worklist.")
            return
        wrong = 0
        for each in projection.verify():
            wrong += 1
            self.stdout.write(
                f"study {each.study}: {each.column} is {each.kept!r}, should be {each.derived!r}"
            )
        if wrong:
            raise CommandError(f"{wrong} values differ. `worklist rebuild` puts them right.")
        self.stdout.write("The worklist is as the studies say.")

"""`manage.py figures`: verify the figures of each hour against the cases' own rows, or make them anew."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from cad_platform.quality import rollups


class Command(BaseCommand):
    help = "Verifies the hourly figures against the cases. Exit code 1 when something differs."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--rebuild", action="store_true", help="make facts and hours anew first")
        parser.add_argument("--days", type=int, help="only what happened within so many days")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        since = timezone.now() - timedelta(days=options["days"]) if options["days"] else None
        if options["rebuild"]:
            rollups.rebuild(since)
        found = rollups.verify(since)
        if options["json"]:
            self.stdout.write(json.dumps({"is_right": found.is_right, **asdict(found)}))
        else:
            self.stdout.write(f"{found.facts} analyses and {found.hours} hours were compared.")
            for job in found.wrong_facts:
                self.stdout.write(f"analysis {job} is not measured as its case says")
            for hour in found.wrong_hours:
                self.stdout.write(f"{hour} is not counted as its analyses say")
        if not found.is_right:
            raise CommandError("The figures differ from the cases; --rebuild makes them anew.", returncode=1)

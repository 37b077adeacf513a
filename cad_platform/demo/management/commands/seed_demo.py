"""`manage.py seed_demo`: the demo's sites, people and token; their passwords go to `demo.json`."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from cad_platform.demo.credentials import seed


class Command(BaseCommand):
    help = "Make the demo's sites, users and API token where they are missing, and write demo.json."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--url", default=os.environ.get("CAD_PUBLIC_URL", "http://127.0.0.1:8000"))
        parser.add_argument("--demo-json", default=os.environ.get("CAD_DEMO_FILE", ""))

    def handle(self, *args: Any, **options: Any) -> None:
        path = Path(options["demo_json"] or settings.STATE_DIR / "demo.json")
        content = seed(path, options["url"])
        self.stdout.write(f"{len(content['users'])} demo users and a token are in {path}")

"""`manage.py load_demo_cases`: post the demo's cases through the real API. Skips what is there."""

from __future__ import annotations

import json
import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from cad_platform.demo.cases import Case, CaseImage
from cad_platform.demo.collected import collected_cases
from cad_platform.demo.credentials import read_demo_file
from cad_platform.demo.loading import Loader, PlatformAway
from cad_platform.demo.synthetic import synthetic_cases

#: How long to wait for model servers before posting all the same.
_READY_SECONDS = 300


class Command(BaseCommand):
    help = "Post the demo's cases through the API of a running platform; skips those that are there."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--url", default=os.environ.get("CAD_PUBLIC_URL", ""))
        parser.add_argument("--demo-json", default=os.environ.get("CAD_DEMO_FILE", ""))
        parser.add_argument(
            "--cases",
            choices=["all", "synthetic", "none"],
            default=os.environ.get("CAD_DEMO_CASES", "all"),
            help="which cases to load (CAD_DEMO_CASES)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["cases"] == "none":
            return
        demo_file = Path(options["demo_json"] or settings.STATE_DIR / "demo.json")
        known = read_demo_file(demo_file)
        if not known.get("token"):
            raise CommandError(f"{demo_file} holds no token: run manage.py seed_demo first.")
        cases = synthetic_cases()
        if options["cases"] == "all":
            cases += collected_cases(Path(settings.DATA_DIR))
        # Whoever is looking sees the small cases first.
        cases.sort(key=lambda case: case.is_slow)
        loader = Loader(options["url"] or known["url"], known["token"], self._say)
        if not loader.wait_until_ready(_READY_SECONDS):
            self._say("Not every component is ready; the cases are posted and will be analysed later.")
        self._say(f"Loading {len(cases)} demo cases")
        try:
            outcomes = loader.load(cases, Truths(demo_file.with_name("demo-truth.json")))
        except PlatformAway as away:
            raise CommandError(str(away)) from away
        if refused := [outcome for outcome in outcomes if outcome.refused]:
            raise CommandError(f"{len(refused)} of {len(outcomes)} demo cases were refused.")
        self._say("All demo cases are in the worklist")

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


class Truths:
    """Keeps what is true of each case in a file beside `demo.json`: for whoever checks the models."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, case: Case, images: list[CaseImage]) -> None:
        known = json.loads(self.path.read_text()) if self.path.exists() else {}
        known[case.study_instance_uid] = {
            "case": case.key,
            "modality": case.modality,
            "truth": case.truth,
            "images": {image.file_name: image.truth for image in images if image.truth},
        }
        temporary = self.path.with_suffix(".new")
        temporary.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n")
        temporary.replace(self.path)

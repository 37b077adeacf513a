"""`bin/manage agreement …`: how far two versions of a model agree, and their comparison by known cases."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.files import File
from django.core.management.base import BaseCommand, CommandError

from cad_platform.analysis import comparing, known_studies
from cad_platform.analysis.comparing import Agreement
from cad_platform.core.actor import Actor
from cad_platform.core.errors import PlatformError
from cad_platform.quality import known_truth
from cad_platform.registry import selectors
from cad_platform.registry.models import ModelVersion

_ACTOR = Actor.system("agreement")


class Command(BaseCommand):
    help = "Tells how far two versions agree, of which studies there is no score, and compares them by known cases."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("model_version", metavar="version")
        parser.add_argument("against", help="the version that it is compared with")
        parser.add_argument("--compare", action="store_true", help="compare them by known cases first")
        parser.add_argument("--table", type=Path, help="CSV of known cases to take up before")
        parser.add_argument(
            "--pathology", action="store_true", help="take up what signed pathology says before"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            version, against = (
                selectors.version_named(_ACTOR, options["name"], options[which])
                for which in ("model_version", "against")
            )
            self._take_up(version, options)
            if options["compare"]:
                comparing.ask(_ACTOR, version, against)
                self.stdout.write(f"{comparing.compare(version.pk, against.pk)} sites were compared")
            rows = comparing.agreement(_ACTOR, version, against)
        except PlatformError as error:
            reasons = [f"- {each.field}: {each.reason}" for each in getattr(error, "errors", ())]
            raise CommandError("\n".join([error.detail, *reasons])) from error
        for row in rows:
            self.stdout.write(_told(row, version, against))

    def _take_up(self, version: ModelVersion, options: Any) -> None:
        if options["table"] is not None:
            try:
                with options["table"].open("rb") as file:
                    known = known_studies.record_file(_ACTOR, File(file))
            except OSError as error:
                raise CommandError(f"{options['table']} cannot be read: {error}") from error
            self.stdout.write(f"{known} known cases are taken from {options['table']}")
        if options["pathology"]:
            known = known_truth.take_from_pathology(_ACTOR, version)
            self.stdout.write(f"{known} known cases are taken from signed pathology")


def _told(row: Agreement, version: ModelVersion, against: ModelVersion) -> str:
    without, made = row.unscored, row.comparison
    kappa = "-" if row.kappa is None else f"{row.kappa:.2f}"
    said = (
        f"{row.place}: {row.studies} compared, {without.studies} without a score "
        f"({without.by_version.studies} of {version.version}, {without.by_against.studies} of {against.version}, "
        f"{without.by_both} of both); differ by {row.mean_gap:.3f} (at most {row.largest_gap:.3f}), "
        f"{row.flips} on two sides, kappa {kappa}"
    )
    if made is None:
        return f"{said}; not compared by known cases"
    return (
        f"{said}; known cases {made.positives} and {made.negatives}: AUC {made.auc:.3f} against "
        f"{made.auc_against:.3f}, lower bound of the difference {made.low:.3f}"
    )

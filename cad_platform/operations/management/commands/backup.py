"""`manage.py backup PLACE`: the database and every file that the place does not hold yet, while the platform runs."""

from __future__ import annotations

from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from cad_platform.core.actor import Actor
from cad_platform.operations.backup import keeping
from cad_platform.operations.backup.creating import make_backup
from cad_platform.operations.backup.errors import BackupError
from cad_platform.operations.backup.place import Place
from cad_platform.operations.backup.sealed import BackupKey


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError("at least one backup is kept")
    return int(text)


class Command(BaseCommand):
    help = (
        "Adds a backup to a folder of backups: the database, and the stored files that it does not hold yet, encrypted "
        "with the key of CAD_BACKUP_KEY_FILE."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("place", type=Path, help="the folder of backups; it is made where there is none")
        what = parser.add_mutually_exclusive_group()
        what.add_argument(
            "--keep", type=_at_least_one, metavar="N", help="then remove all backups but the N newest"
        )
        what.add_argument(
            "--verify", action="store_true", help="make none, but read every byte of those that there are"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            place = Place(options["place"].resolve(), BackupKey.read(settings.BACKUP_KEY_FILE))
            if options["verify"]:
                self._verify(place)
                return
            self._make(place)
            if options["keep"] is not None:
                self._keep(place, options["keep"])
        except (BackupError, OSError) as error:
            raise CommandError(str(error)) from error

    def _make(self, place: Place) -> None:
        made = make_backup(Actor.system("backup"), place)
        self.stdout.write(
            f"{made.name}: the database and {made.objects} files ({made.bytes / 1e6:.1f} MB), of which "
            f"{made.new_objects} are new ({made.new_bytes / 1e6:.1f} MB).\n"
            f"Note this anchor of the audit log elsewhere: {made.audit_anchor or 'none yet'}"
        )

    def _keep(self, place: Place, count: int) -> None:
        backups, files = keeping.keep_newest(place, count)
        self.stdout.write(f"Removed {backups} older backups and {files} files that no other names.")

    def _verify(self, place: Place) -> None:
        backups, files = keeping.verify(Actor.system("backup"), place)
        self.stdout.write(f"{backups} backups and {files} files are as they were written.")

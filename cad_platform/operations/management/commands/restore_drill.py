"""`manage.py restore_drill PLACE`: whether the newest backup can be restored, tried on a database of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from cad_platform.core.actor import Actor
from cad_platform.operations.backup.drill import restore_for_trial
from cad_platform.operations.backup.errors import BackupError
from cad_platform.operations.backup.place import Place
from cad_platform.operations.backup.sealed import BackupKey


class Command(BaseCommand):
    help = (
        "Restores the newest backup into the database of CAD_DRILL_DATABASE_URL, compares rows, audit log and a sample "
        "of the files, and empties it again. /metrics says when it last went well."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("place", type=Path, help="the folder of backups")
        parser.add_argument(
            "--files", type=int, default=200, metavar="N", help="files of the sample (default %(default)s)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            place = Place(options["place"].resolve(), BackupKey.read(settings.BACKUP_KEY_FILE))
            manifest = restore_for_trial(Actor.system("drill"), place, options["files"])
        except (BackupError, OSError) as error:
            raise CommandError(str(error)) from error
        except psycopg.Error as error:
            raise CommandError(f"The database of CAD_DRILL_DATABASE_URL: {error}") from error
        self.stdout.write(
            f"{manifest.name} can be restored: {sum(manifest.rows.values())} rows in {len(manifest.rows)} tables as "
            "they were, the audit log holds, and the sample of the files is theirs."
        )

"""`manage.py restore PLACE`: a backup into an empty database and an empty storage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from cad_platform.core.actor import Actor
from cad_platform.core.errors import PlatformError
from cad_platform.operations.backup.errors import BackupError
from cad_platform.operations.backup.place import Place
from cad_platform.operations.backup.restoring import restore_backup
from cad_platform.operations.backup.sealed import BackupKey


class Command(BaseCommand):
    help = "Restores a backup. The database and the storage must be empty; nothing is overwritten."
    #: The database has no tables yet.
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("place", type=Path, help="the folder of backups")
        parser.add_argument("--backup", default="", metavar="NAME", help="which; the newest by default")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            place = Place(options["place"].resolve(), BackupKey.read(settings.BACKUP_KEY_FILE))
            manifest = restore_backup(Actor.system("restore"), place, options["backup"])
        except PlatformError as error:
            raise CommandError(error.detail) from error
        except (BackupError, OSError) as error:
            raise CommandError(str(error)) from error
        anchor = f" --anchor {manifest.audit_anchor}" if manifest.audit_anchor else ""
        self.stdout.write(
            f"Restored {manifest.name}, the backup of {manifest.made_at}: the database and {manifest.objects} files.\n"
            f"Check the audit log with: manage.py verify_audit --full{anchor}"
        )

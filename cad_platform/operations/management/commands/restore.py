"""`manage.py restore DIR`: a backup into an empty database and an empty storage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from cad_platform.core.actor import Actor
from cad_platform.core.errors import PlatformError
from cad_platform.operations.backup.folder import BackupError
from cad_platform.operations.backup.restoring import restore_backup


class Command(BaseCommand):
    help = "Restores a backup. The database and the storage must be empty; nothing is overwritten."
    #: The database has no tables yet.
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, help="the folder of a backup")

    def handle(self, *args: Any, folder: Path, **options: Any) -> None:
        try:
            manifest = restore_backup(Actor.system("restore"), folder.resolve())
        except PlatformError as error:
            raise CommandError(error.detail) from error
        except (BackupError, OSError) as error:
            raise CommandError(str(error)) from error
        anchor = f" --anchor {manifest.audit_anchor}" if manifest.audit_anchor else ""
        self.stdout.write(
            f"Restored the backup of {manifest.made_at}: the database and {manifest.objects} files.\n"
            f"Check the audit log with: manage.py verify_audit{anchor}"
        )

"""`manage.py backup DIR`: the database and every file, while the platform runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from cad_platform.core.actor import Actor
from cad_platform.operations.backup.creating import make_backup
from cad_platform.operations.backup.folder import BackupError


class Command(BaseCommand):
    help = "Writes the database and every stored file into a new folder. It holds patient data: keep it safe."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, help="a folder that does not exist yet")

    def handle(self, *args: Any, folder: Path, **options: Any) -> None:
        try:
            manifest = make_backup(Actor.system("backup"), folder.resolve())
        except (BackupError, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"{folder}: the database and {manifest.objects} files ({manifest.bytes / 1e6:.1f} MB).\n"
            f"Note this anchor of the audit log elsewhere: {manifest.audit_anchor or 'none yet'}"
        )

"""`manage.py install`: the first site and administrator, in a new and migrated database."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cad_platform.accounts import installation, installation_keys
from cad_platform.core.actor import Actor
from cad_platform.core.errors import PlatformError


class Command(BaseCommand):
    help = (
        "Makes the first site and administrator. The one-time password is written once; with it nothing can be done "
        "but choosing another. Where there is an administrator nothing is changed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--site-code", default="", help="short and lasting, such as riverside")
        parser.add_argument("--site-name", default="", help="as its people call it")
        parser.add_argument("--time-zone", default="", help="of the site, such as Europe/London")
        parser.add_argument("--administrator", default="", help="the name that they sign in with")
        parser.add_argument("--language", default="", help="of the administrator's pages: en or zh-hans")
        parser.add_argument(
            "--password-file", type=Path, help="a new file for the password (0600), instead of the terminal"
        )

        parser.add_argument(
            "--keys",
            type=Path,
            help="a folder for the installation's own keys: those that versions of models are signed with, tokens, and "
            "the key of backups. What is missing is made (0600), what is there stays",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["keys"] is not None:
            self._make_keys(options["keys"])
        if installation.is_installed():
            self.stdout.write("Installed already: nothing was changed.")
            return
        wanted = {
            "site_code": options["site_code"] or self._ask("Code of the first site"),
            "site_name": options["site_name"] or self._ask("Name of the first site"),
            "username": options["administrator"] or self._ask("Name that the administrator signs in with"),
        }
        file = options["password_file"]
        # Opened first: a password that nobody can be told would shut everybody out.
        handle = _new_private_file(file) if file is not None else None
        try:
            made = installation.install(
                Actor.system("install"),
                **wanted,
                time_zone=options["time_zone"],
                language=options["language"],
            )
        except PlatformError as error:
            if file is not None:
                file.unlink()
            reasons = " ".join(f"{each.field}: {each.reason}" for each in error.errors)
            raise CommandError(f"{error.detail} {reasons}".strip()) from error
        self.stdout.write(
            f"Site {made.site.code} ({made.site.name}), administrator {made.administrator.username}."
        )
        if handle is not None:
            os.write(handle, f"{made.password}\n".encode())
            os.close(handle)
            self.stdout.write(f"The one-time password is in {file}; it is good for 72 hours.")
        else:
            self.stdout.write(f"One-time password, shown once and good for 72 hours: {made.password}")

    def _make_keys(self, folder: Path) -> None:
        try:
            made = installation_keys.make_missing(folder)
        except OSError as error:
            raise CommandError(f"{folder} cannot be written to: {error.strerror}.") from error
        names = ", ".join(path.name for path in made)
        self.stdout.write(f"Keys in {folder}: made {names}." if made else f"Keys in {folder}: all there.")

    def _ask(self, what: str) -> str:
        if not sys.stdin.isatty():
            raise CommandError(f"{what}: name it (see --help); nobody is here to be asked.")
        return input(f"{what}: ").strip()


def _new_private_file(path: Path) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise CommandError(f"{path} cannot be made: {error.strerror}.") from error

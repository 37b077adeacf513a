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
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.latency import load
from bench.scale_costs import PAGE, POLL, Cost, callers, measured
from bench.scale_fill import Place, fill, settle
from embedded.postgres import OWNER, SUPERUSER, Postgres
from embedded.state import REPOSITORY, StateFolder

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

FEW = 1000
#: Studies made at once: a chunk's links are held in memory until they are written.
CHUNK = 50_000
LIMIT_MS, LIMIT_GROWTH, LIMIT_CORE = 150.0, 1.3, 0.10
BROWSERS, POLL_SECONDS = 10, 4.0
#: Bytes of the database, indexes included: of a study without its audit log, and of one event with its link; and what
#: PostgreSQL needs beside (its log, sorting for indexes, the copy with a thousand studies). Measured here.
STUDY_BYTES, EVENT_BYTES, BESIDE_BYTES = 6_400, 920, 4e9


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
    """Measure and print; 0 when every limit is kept, 1 when not, 2 where there is no room for so many."""
    most = max(options.studies, FEW + 1)
    folder = tempfile.gettempdir()
    if reason := no_room(most, options.events, shutil.disk_usage(folder).free):
        print(f"{reason} in {folder}; TMPDIR names another folder.")
        return 2
    with _database() as postgres:
        place = _people()
        by = callers()
        made = [_made(postgres, place, range(FEW), options.events, most)]
        sizes = [_copied(postgres)]
        made.append(_made(postgres, place, range(FEW, most), options.events, most))
        sizes.append(_in_use())
        costs = measured(options.repeat, sizes, by)
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


def no_room(studies: int, events: int, free: float) -> str:
    """Why so many studies are not measured here, or nothing where there is room for them."""
    each = STUDY_BYTES + events * EVENT_BYTES
    wanted = studies * each + BESIDE_BYTES
    if wanted <= free:
        return ""
    return (
        f"NOT MEASURED: {studies:,} studies with {events} audit events each take {wanted / 1e9:.0f} GB "
        f"({each / 1000:.1f} kB a study), and {free / 1e9:.0f} GB are free"
    )


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

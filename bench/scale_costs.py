"""What is asked of a database with many studies, and what it costs: pages, polls, searches, the API's list, the
sweeper's round and the verification of the audit log."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.test import Client

#: What the limits are about.
PAGE, POLL = "worklist page", "worklist poll, nothing new"


@dataclass(frozen=True)
class Cost:
    """Milliseconds by the wall's clock, and of processor time, the database's included."""

    p50_ms: float
    p95_ms: float
    cpu_ms: float


@dataclass(frozen=True)
class Callers:
    """Signed in before the database is copied, hence in both."""

    reader: Client
    administrator: Client
    api: Client


def callers() -> Callers:
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


def measured(repeat: int, sizes: Sequence[BaseDatabaseWrapper], by: Callers) -> dict[str, list[Cost]]:
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
    asked: dict[str, tuple[int, Callable[[], Any]]] = {
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
    return {name: _costs(times, sizes, action) for name, (times, action) in asked.items()}


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

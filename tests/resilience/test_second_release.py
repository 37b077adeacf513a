"""A second release under load: its migrations run while the first release serves, then its web server takes over. One
puts the audit log, which every request writes, into months; one locks the studies. Nothing that was acknowledged is
lost, and no answer says that something broke."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from cad_platform.accounts.models import Site
from cad_platform.audit import chain
from cad_platform.audit.models import AuditEvent
from cad_platform.studies.models import Instance, Study
from embedded.state import REPOSITORY
from tests.dockerfile import lay_out
from tests.kustomization import pod_of, render
from tests.posted_files import STUDY, Hospital, png
from tests.resilience.deployment import NAME, PROXY, Deployment, end, installed, start_web

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(1200),
    pytest.mark.django_db(transaction=True),
]
OVERLAY = REPOSITORY / "docker" / "kubernetes" / "overlays" / "hospital"
#: How long those who route requests take to hear that a pod ends; the pod waits longer (its preStop).
HEARD_AFTER_SECONDS = 3.0
#: What a caller sends again, as every client of the API must (docs/api.md).
AGAIN = {429, 503, 507}

#: A change that locks the table that each post writes to, with rows in it, and lasts a while.
MIGRATION = """
from django.db import migrations

class Migration(migrations.Migration):
    dependencies = [("studies", "{latest}")]
    operations = [
        migrations.RunSQL(
            "ALTER TABLE studies_study ADD COLUMN of_the_second_release integer NOT NULL DEFAULT 7; "
            "CREATE INDEX second_release ON studies_study (of_the_second_release); SELECT pg_sleep(3);",
            "ALTER TABLE studies_study DROP COLUMN of_the_second_release",
        )
    ]
"""


class Service:
    """What stands before the web servers: it knows those that are ready, and sends to each in turn."""

    def __init__(self) -> None:
        self.ready: dict[str, int] = {}
        self._turn = 0

    def address(self) -> tuple[str, str]:
        self._turn += 1
        release, port = sorted(self.ready.items())[self._turn % len(self.ready)]
        return release, f"http://127.0.0.1:{port}"


class Load:
    """Posts and polls until told to stop; what was acknowledged, by whom, and every answer."""

    def __init__(self, service: Service, token: str) -> None:
        self.service, self.token = service, token
        self.acknowledged: dict[str, str] = {}
        self.by: Counter[str] = Counter()
        self.answers: Counter[int | str] = Counter()
        self.broken: list[str] = []
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._repeat, args=(work,), daemon=True)
            for work in (self._post("a"), self._post("b"), self._poll)
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(120)
        assert not any(thread.is_alive() for thread in self._threads)

    def _repeat(self, work: Callable[[httpx.Client], None]) -> None:
        told = {
            "Authorization": f"Bearer {self.token}",
            "Host": NAME,
            "X-Forwarded-Proto": "https",
        }
        # A new connection each time, as a service would choose a pod for each.
        while not self._stop.is_set():
            proxy = httpx.HTTPTransport(local_address=PROXY)
            with httpx.Client(headers=told, timeout=120, transport=proxy) as client:
                try:
                    work(client)
                except Exception as error:
                    self.broken.append(repr(error))
                    return

    def _sent(self, client: httpx.Client, method: str, path: str, **body: Any) -> tuple[str, httpx.Response]:
        """Again until it is answered for good; anything but an answer to be sent again is written down as broken."""
        while True:
            release, address = self.service.address()
            answer = client.request(method, f"{address}{path}", **body)
            self.answers[answer.status_code] += 1
            if answer.status_code not in AGAIN:
                if answer.status_code >= 500:
                    self.broken.append(
                        f"{release}: {method} {path}: {answer.status_code} {answer.text[:200]}"
                    )
                return release, answer
            time.sleep(0.2)

    def _post(self, who: str) -> Callable[[httpx.Client], None]:
        numbers = iter(range(10_000))

        def post(client: httpx.Client) -> None:
            number = next(numbers)
            study = STUDY | {
                "accession_number": f"{who}-{number}",
                "patient": STUDY["patient"] | {"id": f"{who}-{number}"},
            }
            picture = png(seed=hash((who, number)) % 2**32)
            files = [("files", ("a.png", picture, "image/png"))]
            body = {"data": {"study": json.dumps(study)}, "files": files}
            release, answer = self._sent(client, "POST", "/api/v1/studies", **body)
            if answer.status_code in (200, 201):
                self.acknowledged[f"{who}-{number}"] = answer.json()["study_instance_uid"]
                self.by[release] += 1
            else:
                self.broken.append(f"{release}: post {answer.status_code} {answer.text[:300]}")

        return post

    def _poll(self, client: httpx.Client) -> None:
        for uid in list(self.acknowledged.values())[-3:]:
            release, answer = self._sent(client, "GET", f"/api/v1/studies/{uid}")
            if answer.status_code != 200:
                self.broken.append(f"{release}: {uid} was acknowledged and is {answer.status_code}")
        time.sleep(0.05)

    def wait_for(self, count: int, release: str) -> None:
        """Until so many more posts were acknowledged by a release."""
        wanted, deadline = self.by[release] + count, time.monotonic() + 240
        while self.by[release] < wanted:
            assert not self.broken, self.broken
            assert time.monotonic() < deadline, (release, self.by, self.answers)
            time.sleep(0.1)


@pytest.fixture
def releases(tmp_path: Path, broker: str) -> Iterator[tuple[Deployment, Deployment]]:
    """The release of this checkout without the log's months, and one with them and a migration more; both on one
    database and storage."""
    states = tmp_path / "state", tmp_path / "second-state"
    for state in states:
        state.mkdir()
    first = Deployment(lay_out("web", tmp_path / "first"), states[0])
    second = Deployment(lay_out("web", tmp_path / "second"), states[1])
    second.settings["CAD_STORAGE_URL"] = f"file://{states[0] / 'objects'}"
    folder = second.image.path("cad_platform/studies/migrations")
    latest = max(path.stem for path in folder.glob("[0-9]*.py"))
    (folder / "9999_second_release.py").write_text(MIGRATION.format(latest=latest))
    for later in first.image.path("cad_platform/audit/migrations").glob("000[456]_*.py"):
        later.unlink()
    owner = {"CAD_DATABASE_OWNER_URL": os.environ["CAD_DATABASE_OWNER_URL"]}
    second.manage("migrate", "audit", "0003_closed_months", **owner)
    try:
        with first.stack, second.stack:
            yield first, second
    finally:
        # The other tests' database has the schema of this checkout.
        second.manage("migrate", "audit", **owner)
        second.manage("migrate", "studies", latest, **owner)


def test_nothing_acknowledged_is_lost_and_nothing_breaks(
    releases: tuple[Deployment, Deployment], owner_url: str, tmp_path: Path
) -> None:
    first, second = releases
    manifests = {(each["kind"], each["metadata"]["name"]): each for each in render(OVERLAY)}
    web = pod_of(manifests["Deployment", "cad-web"])
    (job,) = (pod_of(each) for (kind, _name), each in manifests.items() if kind == "Job")
    assert web is not None and job is not None
    installed(first)
    hospital = Hospital(Site.objects.get(code="riverside"))
    service = Service()
    service.ready["first"] = first.port
    old = first.processes["web"]

    with Load(service, hospital.token) as load:
        load.wait_for(10, "first")
        # Its pods are there at once, and wait for the schema.
        waiting = second.start("wait", ["python", *web["initContainers"][0]["command"][1:]])
        load.wait_for(5, "first")
        assert waiting.poll() is None, "the second release did not wait for its migration"
        migration = second.start(
            "migration",
            job["containers"][0]["command"],
            CAD_DATABASE_OWNER_URL=os.environ["CAD_DATABASE_OWNER_URL"],
        )
        assert migration.wait(300) == 0, (second.state / "migration.log").read_text()
        assert waiting.wait(60) == 0, (second.state / "wait.log").read_text()
        load.wait_for(10, "first")  # on the schema of the second
        start_web(second, "second-web")
        service.ready["second"] = second.port
        load.wait_for(5, "second")
        _end_as_a_pod(old, web, lambda: service.ready.pop("first"))
        load.wait_for(10, "second")

    assert load.broken == []
    assert set(load.answers) <= {200, 201, *AGAIN}, load.answers
    print(f"acknowledged: {dict(load.by)}; answers: {dict(load.answers)}")
    kept = {study.accession_number: study for study in Study.objects.all()}
    assert set(load.acknowledged) <= set(kept)
    assert {number: kept[number].study_instance_uid for number in load.acknowledged} == load.acknowledged
    with psycopg.connect(owner_url) as owner:
        rows = owner.execute("SELECT count(*), min(of_the_second_release) FROM studies_study").fetchone()
        parts = owner.execute(
            "SELECT tableoid::regclass::text, count(*) FROM audit_auditevent GROUP BY 1"
        ).fetchall()
    assert rows == (len(kept), 7)
    # Written before and after the log was put into months, and nothing beside.
    assert len(parts) == 2 and "audit_auditevent_before" in dict(parts), parts
    received = AuditEvent.objects.filter(action="study.receive").values_list("object_id", flat=True)
    assert {str(kept[number].pk) for number in load.acknowledged} <= set(received)
    chain.seal_pending()
    second.manage("verify_audit", "--full")
    stored = {path.name for path in (first.state / "objects").rglob("*") if path.is_file()}
    images = Instance.objects.filter(series__study__in=kept.values())
    named = set(images.values_list("file_id", flat=True))
    assert len(named) >= len(load.acknowledged) and named <= stored


def _end_as_a_pod(
    process: subprocess.Popen[bytes], pod: dict[str, Any], unrouted: Callable[[], object]
) -> None:
    """It is told to end; those who route to it hear of it a moment later, while its preStop runs."""
    heard = threading.Timer(HEARD_AFTER_SECONDS, unrouted)
    heard.start()
    subprocess.run(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"], check=True)
    heard.join()
    process.terminate()
    assert process.wait(pod["terminationGracePeriodSeconds"]) is not None
    end(process)

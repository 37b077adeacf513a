"""What a job is worth when a part of the platform is killed under it: nothing is lost, it ends by itself.

Each part is killed (SIGKILL) while the job is seen `running`. The job is long because its study has many
images, not because anything waits. Afterwards a later attempt has succeeded, and every study ever posted here
is analysed.
"""

from __future__ import annotations

import json
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from imaging.phantoms import ultrasound
from inference.runtime.store import read_manifest
from tests.live_platform import LivePlatform

pytestmark = pytest.mark.disruptive

#: Some seconds of work for the ultrasound model, which reads each image by itself.
IMAGES = 56
#: For a killed part to return, the lease to run out and the job to be done again, on a busy machine.
PATIENCE = 150.0


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """One phantom seen through a probe that moves: as many distinct pictures as a long study has."""
    folder: Path = tmp_path_factory.mktemp("images")
    pixels = ultrasound.phantom(11, "malignant").pixels
    pictures = []
    for number in range(IMAGES):
        path = folder / f"{number}.png"
        Image.fromarray(np.roll(pixels, 5 * number, axis=1)).save(path, compress_level=1)
        pictures.append(path.read_bytes())
    return pictures


class Hospital:
    """Posts studies and watches what becomes of them, through the API alone."""

    def __init__(self, platform: LivePlatform) -> None:
        headers = {"Authorization": f"Bearer {platform.token}"}
        self.client = httpx.Client(base_url=platform.url, headers=headers, timeout=60, trust_env=False)
        self.posted: list[str] = []

    def post(self, images: list[bytes]) -> str:
        study = {
            "patient": {"id": f"R-{uuid.uuid4().hex[:12]}", "name": "Test^Resilience", "sex": "F"},
            "accession_number": uuid.uuid4().hex[:12],
            "modality": "US",
            "procedure": "Breast ultrasound",
            "images": [{"file": f"{n}.png", "laterality": "L"} for n in range(len(images))],
        }
        files = [("files", (f"{n}.png", picture, "image/png")) for n, picture in enumerate(images)]
        answer = self.client.post("/api/v1/studies", data={"study": json.dumps(study)}, files=files)
        assert answer.status_code == 201, answer.text
        self.posted.append(answer.json()["study_instance_uid"])
        return self.posted[-1]

    def job(self, uid: str) -> dict[str, Any] | None:
        """The study's job, or None while there is none or nobody can say."""
        try:
            answer = self.client.get(f"/api/v1/studies/{uid}")
        except httpx.HTTPError:
            return None
        if answer.status_code != 200 or not answer.json()["jobs"]:
            return None
        return answer.json()["jobs"][0]

    def wait(self, uid: str, until: Callable[[dict[str, Any]], bool], seconds: float) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        job: dict[str, Any] | None = None
        while time.monotonic() < deadline:
            job = self.job(uid)
            if job is not None and until(job):
                return job
            time.sleep(0.1)
        seen = "not there" if job is None else f"{job['state']}, attempts: {job['attempts']}"
        pytest.fail(f"After {seconds:.0f} s the job is {seen}.")

    def start(self, images: list[bytes]) -> str:
        """Post a study and see its job running."""
        uid = self.post(images)
        self.wait(uid, lambda job: job["state"] == "running", 60)
        return uid

    def succeeded(self, uid: str) -> dict[str, Any]:
        job = self.wait(uid, lambda job: job["state"] not in {"requested", "running"}, PATIENCE)
        assert job["state"] == "succeeded", job["reason"]
        return job

    def failing_parts(self) -> list[str]:
        answer = self.client.get("/readyz")
        return list(answer.json()["failed"]) if answer.status_code == 503 else []

    def wait_named(self, part: str, seconds: float = 45) -> None:
        """Until `/readyz` names the part that failed."""
        deadline = time.monotonic() + seconds
        while part not in self.failing_parts():
            assert time.monotonic() < deadline, f"/readyz has not named {part} after {seconds} s"
            time.sleep(0.2)


@pytest.fixture(scope="module")
def hospital(live_platform: LivePlatform) -> Iterator[Hospital]:
    hospital = Hospital(live_platform)
    yield hospital
    hospital.client.close()


@pytest.fixture(autouse=True)
def whole_platform(live_platform: LivePlatform) -> Iterator[None]:
    """Each test finds and leaves a platform that works."""
    live_platform.wait_ready()
    yield
    live_platform.wait_ready(120)


@contextmanager
def nobody_restarts(platform: LivePlatform) -> Iterator[None]:
    """The supervisor looks away, so that what is killed stays away as long as the test wants."""
    os.kill(platform.supervisor_pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(platform.supervisor_pid, signal.SIGCONT)


@pytest.mark.long
def test_the_model_server_is_killed(
    hospital: Hospital, live_platform: LivePlatform, images: list[bytes]
) -> None:
    uid = hospital.start(images)
    with nobody_restarts(live_platform):
        live_platform.kill("torchserve")
        hospital.wait_named(f"model:ultrasound/{read_manifest('ultrasound').version}")
    assert hospital.succeeded(uid)["attempts"] >= 2


def test_the_worker_is_killed(hospital: Hospital, live_platform: LivePlatform, images: list[bytes]) -> None:
    uid = hospital.start(images)
    live_platform.kill("worker")
    assert hospital.succeeded(uid)["attempts"] >= 2


@pytest.mark.long
def test_the_database_is_killed_and_stays_away_longer_than_a_lease(
    hospital: Hospital, live_platform: LivePlatform, images: list[bytes]
) -> None:
    uid = hospital.start(images)
    with nobody_restarts(live_platform):
        live_platform.kill("postgres")
        hospital.wait_named("database", 5)
        refused = hospital.client.get(f"/api/v1/studies/{uid}")
        assert refused.status_code == 503 and int(refused.headers["Retry-After"]) > 0
        time.sleep(20)
    assert hospital.succeeded(uid)["attempts"] >= 2


@pytest.mark.long
def test_the_broker_is_killed_with_the_worker_and_a_study_arrives_meanwhile(
    hospital: Hospital, live_platform: LivePlatform, images: list[bytes]
) -> None:
    """The running job's message dies with its worker; the new study's event waits in the outbox."""
    running = hospital.start(images)
    with nobody_restarts(live_platform):
        live_platform.kill("valkey")
        live_platform.kill("worker")
        arrived = hospital.post(images[:1])
        assert hospital.job(arrived) is None
        hospital.wait_named("broker")
    assert hospital.succeeded(running)["attempts"] >= 2
    assert hospital.succeeded(arrived)["state"] == "succeeded"


def test_nothing_was_lost(hospital: Hospital, live_platform: LivePlatform) -> None:
    assert hospital.posted
    for uid in hospital.posted:
        answer = hospital.client.get(f"/api/v1/studies/{uid}").json()
        assert answer["state"] == "analysed"
        results = [len(job["result"]["images"]) for job in answer["jobs"]]
        assert results == [len(answer["images"])]
    verified = live_platform.manage("verify_audit")
    assert verified.returncode == 0, verified.stdout + verified.stderr

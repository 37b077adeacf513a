"""What a job is worth when a part of the platform is killed under it: nothing is lost, it ends by itself.

Each part is killed (SIGKILL) while the job is seen `running`. The job is long because its study has many
images, not because anything waits. Afterwards a later attempt has succeeded, and every study ever posted here
is analysed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from inference.runtime.store import read_manifest
from tests.live_platform import LivePlatform
from tests.resilience.hospital import Hospital, nobody_restarts, pictures

pytestmark = pytest.mark.disruptive

#: Some seconds of work for the ultrasound model, which reads each image by itself.
IMAGES = 56


@pytest.fixture(scope="module")
def images() -> list[bytes]:
    return pictures(IMAGES)


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

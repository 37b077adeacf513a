"""A hospital that posts studies while parts of the platform are killed, and counts what becomes of them."""

from __future__ import annotations

import io
import json
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from imaging.phantoms import ultrasound
from tests.live_platform import LivePlatform

#: For a killed part to return, the lease to run out and the job to be done again, on a busy machine.
PATIENCE = 150.0


def pictures(count: int) -> list[bytes]:
    """One phantom seen through a probe that moves: as many distinct pictures as a long study has."""
    pixels = ultrasound.phantom(11, "malignant").pixels
    made = []
    for number in range(count):
        png = io.BytesIO()
        Image.fromarray(np.roll(pixels, 5 * number, axis=1)).save(png, "PNG", compress_level=1)
        made.append(png.getvalue())
    return made


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


@contextmanager
def nobody_restarts(platform: LivePlatform) -> Iterator[None]:
    """The supervisor looks away, so that what is killed stays away as long as the test wants."""
    os.kill(platform.supervisor_pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(platform.supervisor_pid, signal.SIGCONT)

"""How long a hospital waits for the result of one ultrasound image.

From the first byte of the POST until the API shows the job as succeeded, one post after the other, each of a
phantom of its own. The model's time is the timer around its own forward pass (`timings.model_ms`); everything
else is orchestration, and that is what the limit is about.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from bench.platform import running_platform
from cad_platform import modalities
from imaging.phantoms import ultrasound

#: Milliseconds at the 95th percentile.
LIMIT_MS = 250.0
WARM_UP = 5
_POLL_SECONDS = 0.01
_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Turnaround:
    """One post, in milliseconds. The stages follow one another and add up to `total`."""

    total: float
    model: float
    receive: float
    queue: float
    analyse: float
    show: float

    @property
    def orchestration(self) -> float:
        return self.total - self.model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--posts", type=int, default=100, help="how many (default 100)")
    parser.add_argument("--json", type=Path, help="write every measurement there as well")


def run(options: argparse.Namespace) -> int:
    """Measure and print; 0 when the orchestration keeps to its limit, else 1."""
    with tempfile.TemporaryDirectory(prefix="cad-bench-images-") as folder, running_platform() as platform:
        images = made_images(Path(folder), WARM_UP + options.posts)
        with platform.client() as client:
            run_id = f"{int(time.time()):x}"
            for number, image in enumerate(images[:WARM_UP]):
                post(client, image, f"{run_id}-w{number}", 0.0)
            measured: list[Turnaround] = []
            for number, image in enumerate(images[WARM_UP:]):
                usual = float(np.median([one.total for one in measured])) if measured else 0.0
                measured.append(post(client, image, f"{run_id}-{number}", usual))
    if options.json:
        options.json.write_text(json.dumps([vars(one) for one in measured], indent=1))
    return _report(measured)


def made_images(folder: Path, count: int) -> list[bytes]:
    """Distinct phantoms as PNG: made beforehand, so that only the platform is timed."""
    base = int(time.time()) % 10**8
    made = []
    for number in range(count):
        path = folder / f"{number}.png"
        lesion: Any = ("none", "benign", "malignant")[number % 3]
        ultrasound.write_png(ultrasound.phantom(base * 1000 + number, lesion), path)
        made.append(path.read_bytes())
    return made


def post(
    client: httpx.Client, image: bytes, name: str, usual_ms: float, priority: str = "routine"
) -> Turnaround:
    """Post an image as a study and watch for its result; `usual_ms` is what that takes as far as one knows."""
    study = {
        "priority": priority,
        "patient": {"id": f"BENCH-{name}", "name": "Bench^Phantom", "birth_date": "1970-01-01", "sex": "F"},
        "accession_number": f"B{name}"[:16],
        "modality": modalities.of_champion("ultrasound").code,
        "procedure": "Breast ultrasound (bench)",
        "images": [{"file": "phantom.png", "laterality": "L"}],
    }
    began_at, began = time.time(), time.perf_counter()
    answer = client.post(
        "/api/v1/studies",
        data={"study": json.dumps(study)},
        files={"files": ("phantom.png", image, "image/png")},
    )
    answer.raise_for_status()
    address = f"/api/v1/studies/{answer.json()['study_instance_uid']}"
    # Looking takes processor time from the work itself: not before there can be anything to see.
    time.sleep(max(0.0, usual_ms / 1000 * 0.7 - (time.perf_counter() - began)))
    while True:
        jobs = client.get(address).raise_for_status().json()["jobs"]
        seen, seen_at = time.perf_counter(), time.time()
        if jobs and all(job["state"] == "succeeded" for job in jobs):
            break
        if any(job["state"] not in {"requested", "running"} for job in jobs):
            raise SystemExit(f"The analysis ended without a result: {jobs[0]['reason']}")
        if seen - began > _PATIENCE_SECONDS:
            raise SystemExit(f"No result after {_PATIENCE_SECONDS:.0f} s; is a worker running?")
        time.sleep(_POLL_SECONDS)
    (job,) = jobs
    requested, started, finished = (
        datetime.fromisoformat(job[moment]).timestamp()
        for moment in ("requested_at", "started_at", "finished_at")
    )
    return Turnaround(
        total=(seen - began) * 1000,
        model=job["result"]["timings"]["model_ms"],
        receive=(requested - began_at) * 1000,
        queue=(started - requested) * 1000,
        analyse=(finished - started) * 1000,
        show=(seen_at - finished) * 1000,
    )


def _report(measured: Sequence[Turnaround]) -> int:
    lines = (
        ("POST to result seen", "total"),
        ("  POST to job requested", "receive"),
        ("  requested to claimed", "queue"),
        ("  claimed to finished (model included)", "analyse"),
        ("  finished to seen", "show"),
        ("model: its own forward pass", "model"),
        ("orchestration: all but the model", "orchestration"),
    )
    print(f"\n{len(measured)} ultrasound images, one after the other{'':<10}p50 ms   p95 ms")
    for title, stage in lines:
        values = [getattr(one, stage) for one in measured]
        print(f"{title:<48}{np.percentile(values, 50):>8.0f}{np.percentile(values, 95):>9.0f}")
    p95 = float(np.percentile([one.orchestration for one in measured], 95))
    kept = p95 <= LIMIT_MS
    verdict = "keeps to" if kept else "EXCEEDS"
    print(f"Orchestration {verdict} its limit of {LIMIT_MS:.0f} ms at p95: {p95:.0f} ms.")
    return 0 if kept else 1

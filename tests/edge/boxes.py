"""A box as a process of its own, images as an ultrasound machine sends them, and how both are watched."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from embedded.state import REPOSITORY, free_port
from imaging.phantoms import ultrasound
from imaging.phantoms.dicom_writer import uid

BOUNDARY = "images-of-one-study"


def image(folder: Path, patient: str, number: int = 1) -> bytes:
    """One of the images of a patient's study: a phantom's picture, 500 px wide."""
    made = ultrasound.phantom(number % 7, "malignant" if number % 2 else "benign")
    path = folder / f"{patient}-{number}.dcm"
    ultrasound.write_dicom(
        made, path, PatientID=patient, SOPInstanceUID=uid("edge", patient, number),
        StudyInstanceUID=uid("edge study", patient), AccessionNumber=f"A-{patient}", PatientName="Secret^Person",
    )  # fmt: skip
    return path.read_bytes()


def related(*files: bytes) -> tuple[bytes, dict[str, str]]:
    """A STOW-RS body and its headers."""
    parts = b"".join(
        b"--%s\r\nContent-Type: application/dicom\r\n\r\n%s\r\n" % (BOUNDARY.encode(), file) for file in files
    )
    kind = f'multipart/related; type="application/dicom"; boundary="{BOUNDARY}"'
    return parts + f"--{BOUNDARY}--\r\n".encode(), {"Content-Type": kind}


@dataclass
class RunningBox:
    """`python -m edge` on one core, as `bin/edge` starts it; killed and started again on the same folder."""

    state: Path
    environment: dict[str, str]
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self, prepare: Callable[[], None] | None = None) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CAD_")}
        own = {
            "CAD_EDGE_STATE": str(self.state), "CAD_EDGE_PORT": str(self.port), "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2",
        }  # fmt: skip

        def before() -> None:
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
            if prepare is not None:
                prepare()

        self.state.mkdir(exist_ok=True)
        with (self.state / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "edge"], cwd=REPOSITORY, env=kept | own | self.environment, stdout=log,
                stderr=subprocess.STDOUT, preexec_fn=before, start_new_session=True,
            )  # fmt: skip
        until(self.is_up, 60, f"the box answers: {self.log()}")

    def is_up(self) -> bool:
        assert self.process is not None and self.process.poll() is None, self.log()
        try:
            return httpx.get(f"{self.url}/health", timeout=5, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        """As a power cut, for this process and all that it started."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def log(self) -> str:
        return (self.state / "log").read_text(errors="replace")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {(self.state / 'key').read_text().strip()}"}

    def post(self, *files: bytes) -> httpx.Response:
        body, headers = related(*files)
        return httpx.post(
            f"{self.url}/dicomweb/studies",
            content=body,
            headers=headers | self.headers,
            timeout=60,
            trust_env=False,
        )

    def get(self, path: str, **headers: str) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", headers=self.headers | headers, timeout=30, trust_env=False)

    def health(self) -> dict[str, Any]:
        return dict(httpx.get(f"{self.url}/health", timeout=30, trust_env=False).json())

    def status(self) -> dict[str, Any]:
        return dict(self.get("/status").json())


@contextlib.contextmanager
def running_box(state: Path, **environment: str) -> Iterator[RunningBox]:
    box = RunningBox(state, {"CAD_EDGE_QUIET_SECONDS": "0.5", "CAD_EDGE_RESERVE_MB": "16"} | environment)
    try:
        box.start()
        yield box
    finally:
        if box.process is not None:
            box.kill()


def until(true: Callable[[], object], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not after {seconds:g} s: {what}"
        time.sleep(0.1)


class Memory(threading.Thread):
    """The most that the processes of a box have had together: shared pages counted once (PSS)."""

    def __init__(self, box: RunningBox) -> None:
        super().__init__(daemon=True)
        self.box, self.peak, self.over = box, 0, threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.1):
            process = self.box.process
            if process is not None:
                self.peak = max(self.peak, sum(map(_pss, _family(process.pid))))


def _family(pid: int) -> list[int]:
    """Every process of the box's session."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            if int((entry / "stat").read_text().rpartition(")")[2].split()[3]) == pid:
                found.append(int(entry.name))
    return found


def _pss(pid: int) -> int:
    with contextlib.suppress(OSError, ValueError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return 0


def as_json(answer: httpx.Response) -> Any:
    return json.loads(answer.content)

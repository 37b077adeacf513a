"""What a worker of the model server holds: TorchServe's own imports, our handler, one network, after passes over it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from embedded.state import REPOSITORY

#: Resident, of one worker by itself: shared libraries with it. While a mammogram is passed it is up to 200 MB more.
MOST_MB = 450
#: The highest mark is read some pages before the worker is: a page that the reading itself touches is no keeping.
READING_MB = 1

_WORKER = """
import sys, time
import ts.model_service_worker
from inference.runtime import heap
from inference.runtime.handler import load_forward
from inference.runtime.store import DEFAULT_STORE, read_manifest, version_folder
from inference.runtime.analyse import probe_tensor

def resident(line="VmRSS"):
    held = next(each for each in open("/proc/self/status") if each.startswith(line))
    return int(held.split()[1]) / 1024

heap.IDLE_SECONDS = 0.5
manifest = read_manifest(sys.argv[1])
forward = load_forward(version_folder(manifest, DEFAULT_STORE), None)
for _ in range(3):
    forward(probe_tensor(manifest))
at_work, until = resident("VmHWM"), time.monotonic() + 120
while resident() > at_work - float(sys.argv[2]) and time.monotonic() < until:
    time.sleep(0.1)
print(at_work, resident())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("model", "gives_back_mb"), [("mammography", 100), ("ultrasound", 0), ("histopathology", 0)]
)
def test_a_worker_holds_little_more_than_its_imports_and_its_network(model: str, gives_back_mb: int) -> None:
    """1.1 GB before: a pass's memory (280 MB of a mammogram, more with each shape) was kept for ever."""
    done = subprocess.run(
        [sys.executable, "-c", _WORKER, model, str(gives_back_mb)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    at_work, idle = map(float, done.stdout.splitlines()[-1].split())
    assert idle <= min(MOST_MB, at_work - gives_back_mb + READING_MB)

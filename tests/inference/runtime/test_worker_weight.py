"""What a worker of the model server holds: TorchServe's own imports, our handler, one network, after passes over it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from embedded.state import REPOSITORY

MOST_MB = 450

_WORKER = """
import json, sys
import ts.model_service_worker
from inference.runtime.handler import load_forward
from inference.runtime.store import DEFAULT_STORE, read_manifest, version_folder
from inference.runtime.analyse import probe_tensor

manifest = read_manifest(sys.argv[1])
forward = load_forward(version_folder(manifest, DEFAULT_STORE), None)
for _ in range(3):
    forward(probe_tensor(manifest))
held = next(line for line in open("/proc/self/status") if line.startswith("VmRSS"))
print(json.dumps(int(held.split()[1]) / 1024))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("model", ["mammography", "ultrasound", "histopathology"])
def test_a_worker_holds_little_more_than_its_imports_and_its_network(model: str) -> None:
    """1.1 GB before: a pass's memory (280 MB of a mammogram, more with each shape) was kept for the next one."""
    done = subprocess.run(
        [sys.executable, "-c", _WORKER, model], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout.splitlines()[-1]) < MOST_MB

"""Real servers of others, in an environment of their own: `.local-peers`, made of `requirements-peers.lock` by the
first test that needs it (a minute), so those are long. `PEERS_ENVIRONMENT` names another place.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from embedded.state import REPOSITORY, free_port
from inference.contract import ModelManifest

ENVIRONMENT = Path(os.environ.get("PEERS_ENVIRONMENT") or REPOSITORY / ".local-peers")
START_SECONDS = 120

#: How MLServer serves one of our networks.
_RUNTIME = """
import os
import numpy as np
import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse, ResponseOutput


class Network(MLModel):
    async def load(self) -> bool:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(self.settings.parameters.uri, options)
        return True

    async def predict(self, payload):
        given = NumpyCodec.decode_input(payload.inputs[0])
        names = [output.name for output in self.session.get_outputs()]
        said = self.session.run(names, {self.session.get_inputs()[0].name: given})
        if os.environ.get("ANSWERS_WRONGLY"):
            said = [values + np.float32(0.5) for values in said]
        # Not by NumpyCodec, which makes (2, 1) of (2): another shape than the network's.
        outputs = [
            ResponseOutput(name=name, shape=values.shape, datatype="FP32", data=values.ravel().tolist())
            for name, values in zip(names, said)
        ]
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=outputs)
"""


def programs() -> Path:
    """The folder of programs there."""
    if not (ENVIRONMENT / "bin" / "mlserver").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], check=True)
        lock = REPOSITORY / "requirements-peers.lock"
        pip = [
            str(ENVIRONMENT / "bin" / "python"),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--requirement",
            str(lock),
        ]
        subprocess.run(pip, check=True)
    return ENVIRONMENT / "bin"


@contextmanager
def mlserver(folder: Path, weights: Path, manifest: ModelManifest, **environment: str) -> Iterator[str]:
    """The address of an MLServer with one version of a model, once it is ready."""
    folder.mkdir()
    http, grpc, metrics = free_port(), free_port(), free_port()
    settings = {"host": "127.0.0.1", "http_port": http, "grpc_port": grpc, "metrics_port": metrics}
    (folder / "settings.json").write_text(json.dumps(settings | {"parallel_workers": 0}))
    (folder / "peer_network.py").write_text(_RUNTIME)
    described = {"name": manifest.name, "implementation": "peer_network.Network"}
    parameters = {"uri": str(weights), "version": manifest.version}
    (folder / "model-settings.json").write_text(json.dumps(described | {"parameters": parameters}))
    log = folder / "mlserver.log"
    with log.open("wb") as said:
        server = subprocess.Popen(
            [str(programs() / "mlserver"), "start", str(folder)],
            cwd=folder,
            env={"PATH": os.defpath, "PYTHONPATH": str(folder), "HOME": str(folder)} | environment,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{http}"
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _ready(f"{url}/v2/models/{manifest.name}/versions/{manifest.version}/ready"):
            assert server.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.25)
        yield url
    finally:
        server.terminate()
        server.wait(20)


def _ready(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False

"""Real servers of others, in an environment of their own:

python3.11 -m venv .local-peers && .local-peers/bin/pip install -r requirements-peers.lock

`PEERS_ENVIRONMENT` names another place. Tests that need it are left out where it is not there.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from embedded.state import REPOSITORY, free_port
from inference.contract import ModelManifest

ENVIRONMENT = Path(os.environ.get("PEERS_ENVIRONMENT") or REPOSITORY / ".local-peers")
START_SECONDS = 120

needs_peers = pytest.mark.skipif(
    not (ENVIRONMENT / "bin" / "mlserver").exists(),
    reason="no environment of requirements-peers.lock (tests/peers.py says how it is made)",
)

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
            [str(ENVIRONMENT / "bin" / "mlserver"), "start", str(folder)],
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

"""`python -m embedded.model_host`: one TorchServe as a host of its own, in the inference images (docker/Dockerfile).

The same server as the embedded one, on fixed ports of every interface: keep it on a private network. Its tokens are on,
renewed here, and published to a folder that the platform's processes see (`CAD_TORCHSERVE_KEYS`, `ADDRESS.json`). Ends
with the server, which an orchestrator starts again.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from embedded.bootstrap import ARCHIVES, model_trust
from embedded.state import StateError, StateFolder
from embedded.torchserve import TorchServe, graphics_cards

#: As the images' documentation, compose and the cluster's services name them.
PORTS = {
    "inference": 8080,
    "management": 8081,
    "metrics": 8082,
    "grpc_inference": 7070,
    "grpc_management": 7071,
}
_STOP_SECONDS = 20


class ModelHost(TorchServe):
    """A TorchServe that others reach."""

    #: What others reach; the processes here use loopback.
    listens_on = "0.0.0.0"  # noqa: S104 (the only thing that the container is for)

    def _port(self, purpose: str) -> int:
        return PORTS[purpose]


def main() -> int:
    """Serve until told to end; the exit status is the server's."""
    archives = Path(os.environ.get("CAD_MODEL_ARCHIVES") or ARCHIVES)
    workers = int(os.environ.get("CAD_TORCHSERVE_WORKERS") or max(1, graphics_cards()))
    server = ModelHost(state_folder(), archives, workers, model_trust())
    try:
        server.prepare()
    except StateError as error:
        print(error, file=sys.stderr)
        return 1
    published = _published()
    command = server.command()
    # Its log is the container's own.
    process = subprocess.Popen(command.arguments, env=command.environment, cwd=command.folder)
    for asked in (signal.SIGTERM, signal.SIGINT):
        signal.signal(asked, lambda *_: process.terminate())
    while process.poll() is None:
        server.maintain()
        if published is not None and server.token_file.exists():
            _publish(server.token_file, published)
        time.sleep(1)
    return process.returncode


def state_folder() -> StateFolder:
    """Where the server's files and tokens lie."""
    return StateFolder(Path(os.environ.get("CAD_STATE_DIR") or "/var/lib/cad").absolute())


def _published() -> Path | None:
    """Where the platform looks for this host's tokens."""
    folder = os.environ.get("CAD_TORCHSERVE_KEYS")
    return Path(folder) / f"{os.environ.get('CAD_HOST_ADDRESS') or 'torchserve'}.json" if folder else None


def _publish(token_file: Path, target: Path) -> None:
    """All at once, readable for the group that the platform runs in."""
    if target.exists() and target.read_bytes() == token_file.read_bytes():
        return
    part = target.with_name(f".{target.name}.part")
    shutil.copyfile(token_file, part)
    part.chmod(0o640)
    part.replace(target)


if __name__ == "__main__":
    sys.exit(main())

"""A real TorchServe for tests: one host that serves what lies in a store, and can be started again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from embedded.process import Child
from embedded.state import StateFolder
from embedded.torchserve import TorchServe
from inference.runtime.archive import build_archives

START_SECONDS = 240


@dataclass
class Host:
    """One TorchServe; `maintain` must be called while it runs, for its tokens."""

    server: TorchServe
    log: Path
    child: Child | None = None

    def start(self) -> None:
        self.server.prepare()
        self.child = Child(self.server.command(), self.log)

    def stop(self) -> None:
        if self.child is not None:
            self.child.stop()

    def wait(self) -> None:
        """Until every version that it loads has its workers."""
        deadline = time.monotonic() + START_SECONDS
        while not self.server.ready():
            assert self.child is not None
            assert self.child.running() and time.monotonic() < deadline, self.child.log_tail()
            self.server.maintain()
            time.sleep(0.25)


@contextmanager
def torchserve_host(folder: Path, store: Path) -> Iterator[Host]:
    """Start a host that serves the store's versions; it ends with the block. It is starting still: see `Host.wait`."""
    archives, state = folder / "archives", folder / "state"
    build_archives(archives, store)
    state.mkdir()
    host = Host(TorchServe(StateFolder(state), archives), folder / "torchserve.log")
    host.start()
    try:
        yield host
    finally:
        host.stop()

"""A running TorchServe serves every version of the store: what is there at the start, what comes and what goes."""

from __future__ import annotations

import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from embedded import model_versions
from embedded.model_versions import ModelVersions
from embedded.process import Child
from embedded.state import StateFolder
from embedded.torchserve import TorchServe, Version, current_token
from inference.runtime import wire
from inference.runtime.archive import build_archives
from inference.runtime.handler import INPUT
from inference.runtime.onnx_session import OnnxForward
from tests.inference.tiny_network import fields
from tests.small_store import NAME, put_version

pytestmark = pytest.mark.timeout(300)
PATIENCE_SECONDS = 90


@dataclass(frozen=True)
class Served:
    """A TorchServe over a store of tiny networks, and what keeps its versions."""

    store: Path
    server: TorchServe
    versions: ModelVersions
    child: Child

    def wait(self, until: Callable[[], bool]) -> None:
        """Tend, as the supervisor does, until it is so; maintenance must never wait."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not until():
            assert self.child.running() and time.monotonic() < deadline, self.child.log_tail()
            self.maintain()
            time.sleep(0.1)

    def maintain(self) -> None:
        begun = time.monotonic()
        self.server.maintain()
        self.versions.maintain()
        assert time.monotonic() - begun < 2

    def tend_for(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.maintain()
            time.sleep(0.1)

    def answer(self, version: str, name: str = NAME) -> np.ndarray | int:
        """The logits of some fields by a version, or the status of a refusal."""
        request = urllib.request.Request(
            f"{self.server.url}/predictions/{name}/{version}",
            data=wire.encode({INPUT: fields(2)}),
            headers={
                "Content-Type": wire.CONTENT_TYPE,
                "Authorization": f"Bearer {current_token(self.server.token_file)}",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return wire.decode(answer.read())[0]["logit"]
        except urllib.error.HTTPError as error:
            return error.code

    def answers(self, version: str, name: str = NAME) -> bool:
        return not isinstance(self.answer(version, name), int)

    def is_served_right(self, version: str, name: str = NAME) -> None:
        """A version answers with its own network."""
        expected = OnnxForward(self.store / name / version / "model.onnx")(fields(2)).outputs["logit"]
        np.testing.assert_allclose(self.answer(version, name), expected, atol=1e-4)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """Two versions of a model, and one of another."""
    store = tmp_path / "store"
    put_version(store, "2.9.0", seed=1)
    put_version(store, "2.10.0", seed=2)
    put_version(store, "1.0.0", "tiny", seed=3)
    state = StateFolder(tmp_path / "state")
    server = TorchServe(state, tmp_path / "archives")
    versions = ModelVersions(state, store, server)
    build_archives(server.archives, store)
    versions.prepare()
    server.prepare()
    child = Child(server.command(), tmp_path / "torchserve.log")
    made = Served(store, server, versions, child)
    try:
        made.wait(server.ready)
        yield made
    finally:
        child.stop()


@pytest.mark.long
def test_versions_side_by_side_come_and_go_while_the_server_runs(
    served: Served, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One long story, since each start of the server takes seconds."""
    monkeypatch.setattr(model_versions, "_GONE_SECONDS", 1.0)
    for version, name in (("2.9.0", NAME), ("2.10.0", NAME), ("1.0.0", "tiny")):
        served.is_served_right(version, name)
    before = served.child.pid

    # A version appears whole, and is served without a restart.
    put_version(served.store, "2.11.0", seed=5)
    served.wait(lambda: served.answers("2.11.0"))
    served.is_served_right("2.11.0")
    assert served.child.pid == before and served.child.running() and served.server.ready()
    assert capfd.readouterr().out == f"{NAME} 2.11.0 is served from now on\n"

    # One that is copied file by file waits for its last file, and is told once.
    put_version(served.store / "elsewhere", "2.12.0", seed=6)
    source = served.store / "elsewhere" / NAME / "2.12.0"
    target = served.store / NAME / "2.12.0"
    target.mkdir()
    shutil.copy(source / "manifest.json", target)
    served.wait(lambda: "missing" in capfd.readouterr().out)
    whole = (source / "model.onnx").read_bytes()
    for share in (3, 2, 1):
        (target / "model.onnx").write_bytes(whole[: len(whole) // share])
        served.tend_for(1)
    served.tend_for(6)
    assert served.answer("2.12.0") == 404
    shutil.copy(source / "answer.json", target)
    served.wait(lambda: served.answers("2.12.0"))
    served.is_served_right("2.12.0")
    shutil.rmtree(served.store / "elsewhere")
    assert "histopathology 2.12.0 has no answer.json" in capfd.readouterr().out

    # A broken one is told once, and hides no other.
    put_version(served.store, "2.13.0", seed=7)
    (served.store / NAME / "2.13.0" / "model.onnx").write_bytes(b"no network")
    put_version(served.store, "1.1.0", "tiny", seed=8)
    served.wait(lambda: served.answers("1.1.0", "tiny"))
    served.tend_for(6)
    said = capfd.readouterr().out
    assert said.count("2.13.0") == 1 and "are not those of its manifest" in said

    # One that goes is served no longer; the last of its name stays.
    (served.store / NAME / "2.10.0").rename(served.store / NAME / ".2.10.0")
    shutil.rmtree(served.store / "tiny")
    served.wait(lambda: Version(NAME, "2.10.0") not in served.server.registered)
    served.wait(lambda: len([one for one in served.server.registered if one.name == "tiny"]) == 2)
    served.tend_for(3)
    assert served.answer("2.10.0") == 404
    for version in ("2.9.0", "2.11.0", "2.12.0"):
        served.is_served_right(version)
    assert served.answers("1.0.0", "tiny") or served.answers("1.1.0", "tiny")
    assert not (served.server.archives / f"{NAME}-2.10.0.mar").exists()

    # What was exchanged is back.
    (served.store / NAME / ".2.10.0").rename(served.store / NAME / "2.10.0")
    served.wait(lambda: served.answers("2.10.0"))
    served.is_served_right("2.10.0")

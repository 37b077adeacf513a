"""The embedded TorchServe lets in who has its token, and takes models from nobody."""

from __future__ import annotations

import json
import re
import stat
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from embedded.state import StateFolder
from embedded.torchserve import LARGEST_BODY_BYTES, TorchServe, current_token, graphics_cards
from inference.runtime.wire import MAX_HEADER_BYTES, MOST_ASKED_BYTES
from tests.live_platform import LivePlatform

KINDS = ("inference", "management")


def _archives(folder: Path) -> Path:
    folder.mkdir()
    (folder / "ultrasound-2.2.0.mar").touch()
    return folder


def _settings(server: TorchServe) -> dict[str, str]:
    lines = server.configuration.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def _ask(url: str, token: str | None, method: str = "GET", body: bytes | None = None) -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(url, data=body, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_it_is_configured_closed(tmp_path: Path) -> None:
    server = TorchServe(StateFolder(tmp_path / "state"), _archives(tmp_path / "mar"))
    server.prepare()
    settings = _settings(server)
    assert settings["disable_token_authorization"] == "false"
    assert settings["model_store"] == str(server.archives)
    allowed = re.compile(settings["allowed_urls"].replace("\\\\", "\\"))
    assert allowed.fullmatch(f"file://{server.archives}/ultrasound-2.2.0.mar")
    for elsewhere in ("/etc/passwd", f"{server.archives}/../x.mar", f"{server.archives}x/y.mar"):
        assert not allowed.fullmatch(f"file://{elsewhere}")
    assert not allowed.fullmatch("http://models.example/x.mar")
    assert settings["load_models"] == "ultrasound=ultrasound-2.2.0.mar"
    for name in ("inference_address", "management_address", "metrics_address"):
        assert settings[name].startswith("http://127.0.0.1:")
    assert settings["grpc_inference_address"] == settings["grpc_management_address"] == "127.0.0.1"


def test_the_largest_input_of_a_model_fits_a_request() -> None:
    assert LARGEST_BODY_BYTES > MOST_ASKED_BYTES + MAX_HEADER_BYTES + 64


def test_its_workers_are_told_whose_signatures_count(tmp_path: Path) -> None:
    state, archives = StateFolder(tmp_path / "state"), _archives(tmp_path / "mar")
    asking = TorchServe(state, archives, trust=tmp_path / "keys")
    assert asking.command().environment["CAD_MODEL_TRUST"] == str(tmp_path / "keys")
    assert "CAD_MODEL_TRUST" not in TorchServe(state, archives).command().environment


def test_tokens_that_soon_expire_are_renewed_and_the_minting_one_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = TorchServe(StateFolder(tmp_path / "state"), _archives(tmp_path / "mar"))
    server.prepare()
    renewed: list[str] = []

    def keys(minutes: int) -> dict[str, dict[str, str]]:
        until = (datetime.now(UTC) + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%S.123456789Z")
        pair = {kind: {"key": f"{kind}{minutes}", "expiration time": until} for kind in KINDS}
        return {**pair, "API": {"key": "minting"}}

    def mint(method: str, path: str, token: str) -> None:
        assert (method, token) == ("GET", "minting")
        renewed.append(path)
        server.key_file.write_text(json.dumps(keys(60)))

    monkeypatch.setattr(server, "_ask", mint)
    server.key_file.write_text(json.dumps(keys(30)))
    server.maintain()
    assert renewed == [] and current_token(server.token_file) == "inference30"
    server.key_file.write_text(json.dumps(keys(10)))
    server.maintain()
    assert renewed == ["/token?type=inference"] and current_token(server.token_file) == "inference60"
    assert set(json.loads(server.token_file.read_text())) == {"inference", "management"}
    assert stat.S_IMODE(server.token_file.stat().st_mode) == 0o600


def test_half_a_key_file_is_waited_for(tmp_path: Path) -> None:
    server = TorchServe(StateFolder(tmp_path / "state"), _archives(tmp_path / "mar"))
    server.prepare()
    server.key_file.write_text('{"inference": {"key"')
    server.maintain()
    assert current_token(server.token_file) is None


def test_without_its_token_nothing_is_answered(live_platform: LivePlatform) -> None:
    environment = live_platform.environment()
    management = environment["CAD_TORCHSERVE_MANAGEMENT_URL"]
    token_file = Path(environment["CAD_TORCHSERVE_KEY_FILE"])
    inference, control = current_token(token_file), current_token(token_file, "management")
    predict = f"{environment['CAD_TORCHSERVE_URL']}/predictions/ultrasound"
    for wrong in (None, "wrong", control):
        status, body = _ask(predict, wrong, "POST", b"x")
        assert status == 400 and b"InvalidKeyException" in body
    for wrong in (None, "wrong", inference):
        assert _ask(f"{management}/models", wrong)[0] == 400
    status, body = _ask(f"{management}/models", control)
    assert status == 200
    served = {model["modelName"] for model in json.loads(body)["models"]}
    assert served == {"ultrasound", "mammography", "histopathology"}


def test_models_come_from_our_own_archives_alone(live_platform: LivePlatform) -> None:
    environment = live_platform.environment()
    management = environment["CAD_TORCHSERVE_MANAGEMENT_URL"]
    token_file = Path(environment["CAD_TORCHSERVE_KEY_FILE"])
    inference, control = current_token(token_file), current_token(token_file, "management")
    for intruder in ("file:///tmp/intruder.mar", "../intruder.mar", "http://models.example/intruder.mar"):
        register = f"{management}/models?url={intruder}"
        assert _ask(register, control, "POST")[0] == 404
        assert _ask(register, inference, "POST")[0] == 400
    assert _ask(f"{management}/models/ultrasound", inference, "DELETE")[0] == 400


@pytest.mark.parametrize(("visible", "cards"), [(None, 2), ("", 0), ("1", 1), ("0,1,2", 2)])
def test_a_version_has_a_worker_for_each_card(
    visible: str | None, cards: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine with two cards is stood in for."""
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU 0: one'\necho 'GPU 1: another'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert graphics_cards() == cards
    program.write_text("#!/bin/sh\nexit 9\n")
    assert graphics_cards() == 0

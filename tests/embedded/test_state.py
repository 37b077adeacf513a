"""A state folder is one copy's: locked, private, and short where sockets are concerned."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from embedded import bootstrap
from embedded.services import Platform
from embedded.state import (
    SOCKET_FOLDER_LIMIT,
    SOCKET_FOLDERS,
    StateError,
    StateFolder,
    free_port,
    port_is_free,
    write_private,
)


def test_secrets_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    secret = StateFolder(tmp_path).secret("secret_key")
    assert len(secret) >= 40
    assert StateFolder(tmp_path).secret("secret_key") == secret
    assert StateFolder(tmp_path / "other").secret("secret_key") != secret
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600


def test_a_folder_is_locked_for_one_supervisor_and_free_after_it(tmp_path: Path) -> None:
    with (
        StateFolder(tmp_path).locked(),
        pytest.raises(StateError, match=f"process {os.getpid()}"),
        StateFolder(tmp_path).locked(),
    ):
        pytest.fail("two supervisors hold one folder")
    with StateFolder(tmp_path).locked():
        pass


def test_a_damaged_file_is_said_not_raised_through(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text("{")
    with pytest.raises(StateError, match="damaged"):
        StateFolder(tmp_path).secret("secret_key")


def test_sockets_of_a_deep_folder_go_where_their_path_fits(tmp_path: Path) -> None:
    deep = StateFolder(tmp_path / ("d" * 90))
    folders = [deep.socket_folder(name) for name in SOCKET_FOLDERS]
    assert all(len(os.fsencode(folder)) <= SOCKET_FOLDER_LIMIT for folder in folders)
    assert len(set(folders)) == len(SOCKET_FOLDERS)


def test_nobody_elses_folder_is_taken_for_a_private_one(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "state")
    (tmp_path / "theirs").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "theirs")
    with pytest.raises(StateError, match="someone else"):
        state.make_private(link)


def test_starting_over_deletes_everything_but_the_lock(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    with state.locked():
        state.secret("secret_key")
        (tmp_path / "objects" / "ab").mkdir(parents=True)
        state.erase()
        assert sorted(entry.name for entry in tmp_path.iterdir()) == ["lock", "logs"]


def test_a_private_file_is_written_whole(tmp_path: Path) -> None:
    target = tmp_path / "env.sh"
    target.write_text("old")
    write_private(target, "new")
    assert target.read_text() == "new" and stat.S_IMODE(target.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [target]


def test_a_taken_port_is_not_given_out() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert not port_is_free(port)
        assert free_port() != port


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DATABASE_URL", "postgresql://cad@127.0.0.1:1/cad"),
        ("DATABASE_URL", "no address at all"),
        ("CAD_BROKER_URL", "redis://127.0.0.1:1/0"),
        ("CAD_BROKER_URL", "no address at all"),
    ],
)
def test_an_own_service_that_cannot_be_used_is_named_in_one_sentence(
    variable: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DATABASE_URL", "CAD_DATABASE_OWNER_URL", "CAD_BROKER_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, value)
    with pytest.raises(StateError, match=f"^{variable} cannot be used") as refused:
        Platform(StateFolder(tmp_path), free_port()).check_addresses()
    assert "\n" not in str(refused.value)


@pytest.fixture
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model store elsewhere, with one version."""
    for name in ("DATABASE_URL", "CAD_BROKER_URL", "CAD_TORCHSERVE_URL", "CAD_MODEL_SERVER"):
        monkeypatch.delenv(name, raising=False)
    store = tmp_path / "store"
    (store / "ultrasound" / "1.0.0").mkdir(parents=True)
    (store / "ultrasound" / "1.0.0" / "manifest.json").write_text("{}")
    monkeypatch.setenv("CAD_MODEL_STORE", str(store))
    return store


def test_a_model_store_that_is_not_there_is_named_in_one_sentence(own_store: Path, tmp_path: Path) -> None:
    own_store.rename(tmp_path / "moved")
    with pytest.raises(StateError, match=f"^CAD_MODEL_STORE leads to {own_store}, where there is no folder"):
        Platform(StateFolder(tmp_path / "state"), free_port()).check_addresses()


def test_archives_of_another_store_are_the_copys_own(
    own_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = StateFolder(tmp_path / "state")
    platform = Platform(state, free_port())
    services = {service.name: service for service in platform.services()}
    assert services["torchserve"].after == ("archives",) and services["archives"].once
    assert platform.addresses()["CAD_MODEL_STORE"] == str(own_store)
    words = list(services["archives"].command().arguments)
    assert words[words.index("--out") + 1] == str(state.path / "archives")
    assert words[words.index("--store") + 1] == str(own_store)

    monkeypatch.delenv("CAD_MODEL_STORE")
    usual = {service.name: service for service in Platform(state, free_port()).services()}
    assert "archives" not in usual and usual["torchserve"].after == ()


def test_a_model_server_asks_for_signatures_by_itself(
    own_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the checkout's own key, or of whose keys the operator names; what builds its archives asks for the same."""
    own, others = tmp_path / "keys", tmp_path / "others"
    monkeypatch.setattr(bootstrap, "KEYS", own)
    for folder in (own, others):
        folder.mkdir()
    (own / "signing.key").touch()

    def asked() -> tuple[str, bool, Path | None]:
        platform = Platform(StateFolder(tmp_path / "state"), free_port())
        services = {service.name: service for service in platform.services()}
        build = services["archives"].command()
        signs = str(own / "signing.key") in build.arguments
        return build.environment["CAD_MODEL_TRUST"], signs, platform.torchserves[0].trust

    assert asked() == (str(own), True, own)
    monkeypatch.setenv("CAD_MODEL_TRUST", str(others))
    assert asked() == (str(others), False, others)


def test_defaults_are_chosen_when_the_model_server_is_ready_and_before_the_demo_cases(
    own_store: Path, tmp_path: Path
) -> None:
    services = {
        service.name: service for service in Platform(StateFolder(tmp_path / "s"), free_port()).services()
    }
    assert "torchserve" in services["choose_defaults"].after and not services["choose_defaults"].essential
    assert "choose_defaults" in services["load_demo_cases"].after
    assert "choose_defaults" not in services["web"].after


def test_a_new_version_is_registered_at_the_next_start(own_store: Path, tmp_path: Path) -> None:
    platform = Platform(StateFolder(tmp_path / "state"), free_port())
    platform.state.demo_file.write_text("{}")
    platform._remember_schema()
    assert platform.schema_is_current()
    (own_store / "ultrasound" / "1.1.0").mkdir()
    (own_store / "ultrasound" / "1.1.0" / "manifest.json").write_text("{}")
    assert not platform.schema_is_current()
    assert "register_models" in {service.name for service in platform.services()}


def test_nothing_embedded_starts_for_an_address_that_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://cad_app:secret@db.hospital.example/cad")
    monkeypatch.setenv("CAD_BROKER_URL", "redis://broker.hospital.example/0")
    monkeypatch.setenv("CAD_TORCHSERVE_URL", "http://torchserve.hospital.example:8080")
    platform = Platform(StateFolder(tmp_path), free_port())
    names = {service.name for service in platform.services()}
    assert not names & {"postgres", "valkey", "torchserve"}
    assert {
        "web",
        "worker",
        "worker-slides",
        "worker-maintenance",
        "worker-training",
        "beat",
        "housekeeping",
        "migrate",
    } <= names
    assert platform.environment()["DATABASE_URL"] == os.environ["DATABASE_URL"]

"""What came with the store is signed at the set-up by the installation's own key, and nothing else is."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from imaging.digest import sha256_of
from inference.cli.main import main
from inference.cli.vouching import SOME_REFUSED
from inference.runtime import custody
from inference.runtime.custody import CUSTODY, NOT_RECORDED
from inference.runtime.shipped import SHIPPED, shipped, sign_shipped, write_shipped
from inference.runtime.signing import PRIVATE, SigningError, beside_keys, verify_version
from inference.runtime.store import DEFAULT_STORE, StoreError
from tests.small_store import NAME, put_version


def put_sealed(store: Path, version: str, seed: int = 3) -> Path:
    put_version(store, version, seed=seed)
    custody.write(store / NAME / version, sealed="afterwards", code=NOT_RECORDED)
    return store / NAME / version


@pytest.fixture
def store(tmp_path: Path) -> Path:
    put_sealed(tmp_path / "store", "1.0.0")
    assert write_shipped(tmp_path / "store") == (f"{NAME} 1.0.0",)
    return tmp_path / "store"


def test_what_came_is_signed_once_and_the_store_stays_as_it_came(store: Path, tmp_path: Path) -> None:
    before = sorted(path.name for path in (store / NAME / "1.0.0").iterdir())
    keys = tmp_path / "keys"
    assert sign_shipped(store, keys) == ()
    assert verify_version(store / NAME / "1.0.0", keys) == beside_keys(keys, NAME, "1.0.0")
    made = {path.name: path.read_bytes() for path in keys.iterdir()}
    assert sign_shipped(store, keys) == () and made == {p.name: p.read_bytes() for p in keys.iterdir()}
    assert sorted(path.name for path in (store / NAME / "1.0.0").iterdir()) == before


def test_what_somebody_put_in_is_signed_by_nobody(store: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    dropped = put_sealed(store, "1.1.0", seed=4)
    assert sign_shipped(store, keys) == ()
    with pytest.raises(
        SigningError, match=rf"{NAME} 1\.1\.0 is not signed .* --version 1\.1\.0 --key {keys / PRIVATE}"
    ):
        verify_version(dropped, keys)
    words = ["sign", NAME, "--version", "1.1.0", "--key", str(keys / PRIVATE), "--store", str(store)]
    assert main(words) == 0, "the sentence says what to do"
    verify_version(dropped, keys)


def test_what_was_changed_since_it_came_is_not_signed(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its record, by a careful hand; or without, by a careless one."""
    folder = store / NAME / "1.0.0"
    (folder / "notes.txt").write_text("changed")
    said = sign_shipped(store, tmp_path / "keys")
    assert len(said) == 1 and "notes.txt was not there when it was sealed" in said[0]
    custody.write(folder, sealed="afterwards", code=NOT_RECORDED)
    words = ["shipped", "--keys", str(tmp_path / "keys"), "--store", str(store)]
    assert main(words) == SOME_REFUSED
    assert f"{NAME} 1.0.0 is not as it came" in capsys.readouterr().err
    assert not beside_keys(tmp_path / "keys", NAME, "1.0.0").exists()


def test_after_the_keys_were_lost_all_is_signed_anew(store: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    sign_shipped(store, keys)
    for name in (PRIVATE, "signing.pem"):
        (keys / name).unlink()
    with pytest.raises(SigningError):
        verify_version(store / NAME / "1.0.0", keys)
    assert sign_shipped(store, keys) == ()
    verify_version(store / NAME / "1.0.0", keys)


def test_a_damaged_list_is_a_sentence(store: Path) -> None:
    (store / SHIPPED).write_text("[]")
    with pytest.raises(StoreError, match="is no list of versions"):
        shipped(store)


def test_the_list_is_of_what_is_committed() -> None:
    """After a committed version was rewritten: `python -m inference shipped --list`."""
    listed = subprocess.run(
        ["git", "ls-files", f":(glob)model_store/*/*/{CUSTODY}"], cwd=DEFAULT_STORE.parent, capture_output=True,
        text=True, check=True,
    ).stdout.split()  # fmt: skip
    records = [DEFAULT_STORE.parent / name for name in listed]
    if not records:
        pytest.skip("this is no clone")
    expected = {f"{path.parent.parent.name} {path.parent.name}": sha256_of(path) for path in records}
    assert json.loads((DEFAULT_STORE / SHIPPED).read_text()) == expected

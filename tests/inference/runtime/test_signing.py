"""Who vouches for a version: signed with one's own key, verified before the archive is built and before it is used."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from inference.cli.main import main
from inference.runtime import custody
from inference.runtime.archive import build_archives
from inference.runtime.custody import CUSTODY, NOT_RECORDED, SIGNATURE
from inference.runtime.handler import load_forward
from inference.runtime.signing import (
    PRIVATE,
    PUBLIC,
    TRUST,
    SigningError,
    beside_keys,
    make_keys,
    own_keys,
    sign,
    verify_file,
    verify_record,
    verify_version,
)
from inference.runtime.store import version_folder
from inference.runtime.torch_forward import FILE
from tests.small_store import NAME, put_version


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with one sealed version of a tiny network."""
    manifest = put_version(tmp_path / "store", "1.0.0")
    folder = version_folder(manifest, tmp_path / "store")
    custody.write(folder, sealed="afterwards", code=NOT_RECORDED)
    return tmp_path / "store"


@pytest.fixture
def folder(store: Path) -> Path:
    return store / NAME / "1.0.0"


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    return make_keys(tmp_path / "keys")


def test_nobody_else_reads_the_private_key(keys: tuple[Path, Path], tmp_path: Path) -> None:
    assert keys[0].stat().st_mode & 0o777 == 0o600
    with pytest.raises(SigningError, match="exists already"):
        make_keys(tmp_path / "keys")


def test_an_unsigned_version_is_not_served(
    store: Path, keys: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TRUST, str(keys[1].parent))
    built = build_archives(tmp_path / "out", store)
    assert built.archives == ()
    assert built.refused[0] == (
        "histopathology 1.0.0 is not signed by anybody: who imported it looks at it and vouches for it with "
        f"python -m inference sign histopathology --version 1.0.0 --key {keys[0]}"
    )


def test_a_version_without_a_record_is_sealed_first(folder: Path, keys: tuple[Path, Path]) -> None:
    (folder / CUSTODY).unlink()
    with pytest.raises(
        SigningError, match=r"inference seal histopathology --version 1\.0\.0, then python -m"
    ):
        verify_version(folder, keys[1])


def test_a_signed_version_is_served_and_its_worker_verifies_it(
    store: Path, folder: Path, keys: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TRUST, str(keys[1]))
    assert main(["sign", NAME, "--key", str(keys[0]), "--store", str(store)]) == 0
    (archive,) = build_archives(tmp_path / "out", store).archives
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(archive) as bundle:
        bundle.extractall(unpacked)
    load_forward(unpacked, None, keys[1])
    record = verify_record(unpacked, keys[1])
    with pytest.raises(SigningError, match=f"{FILE} of histopathology 1.0.0 was not signed"):
        verify_file(unpacked / FILE, record, keys[1])
    (unpacked / "model.onnx").write_bytes((unpacked / "model.onnx").read_bytes() + b"\0")
    with pytest.raises(SigningError, match=r"model\.onnx of histopathology 1\.0\.0 is not the file"):
        load_forward(unpacked, None, keys[1])


def test_what_is_converted_here_is_signed_here(
    store: Path, folder: Path, keys: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version's signature cannot be over it: it was made afterwards, for GPUs."""
    monkeypatch.setenv(TRUST, str(keys[1].parent))
    sign(folder, keys[0])
    (archive,) = build_archives(tmp_path / "out", store, private_key=keys[0]).archives
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(archive) as bundle:
        bundle.extractall(unpacked)
    record = verify_record(unpacked, keys[1])
    verify_file(unpacked / FILE, record, keys[1])
    _, another = make_keys(tmp_path / "another")
    with pytest.raises(SigningError, match="not trusted here"):
        verify_file(unpacked / FILE, record, another)
    (unpacked / FILE).write_bytes((unpacked / FILE).read_bytes() + b"\0")
    with pytest.raises(SigningError, match=f"{FILE} of histopathology 1.0.0 was changed after it was signed"):
        verify_file(unpacked / FILE, record, keys[1])
    before = archive.stat().st_mtime_ns
    build_archives(tmp_path / "out", store, private_key=keys[0])
    assert archive.stat().st_mtime_ns == before, "what was built of the same is left alone"


def _edited(folder: Path) -> None:
    (folder / CUSTODY).write_text((folder / CUSTODY).read_text().replace("not recorded", "0" * 40))


def _resealed(folder: Path) -> None:
    """A forger who writes the digests anew, too."""
    signature = (folder / SIGNATURE).read_bytes()
    (folder / "thresholds.json").write_text("{}")
    custody.write(folder, sealed="afterwards", code=NOT_RECORDED)
    custody.verify(folder)
    (folder / SIGNATURE).write_bytes(signature)


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (_edited, "was changed after it was signed"),
        (_resealed, "was changed after it was signed"),
        (lambda folder: (folder / SIGNATURE).write_text("{}"), "signature is damaged"),
        (lambda folder: (folder / SIGNATURE).unlink(), "is not signed"),
        (lambda folder: (folder / "thresholds.json").write_text("{}"), "was not there when it was sealed"),
    ],
)
def test_whatever_is_changed_afterwards_is_not_served(
    store: Path, folder: Path, keys: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    harm: Callable[[Path], object], why: str,
) -> None:  # fmt: skip
    monkeypatch.setenv(TRUST, str(keys[1]))
    sign(folder, keys[0])
    assert verify_version(folder, keys[1]) == folder / SIGNATURE
    harm(folder)
    built = build_archives(tmp_path / "out", store)
    assert built.archives == () and why in built.refused[0]


def test_a_key_is_taken_out_of_use_by_taking_it_away(
    folder: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    sign(folder, keys[0])
    _, newer = make_keys(tmp_path / "newer")
    trusted = tmp_path / "trusted"
    trusted.mkdir()
    with pytest.raises(SigningError, match="no public key"):
        verify_record(folder, trusted)
    (trusted / "newer.pem").write_bytes(newer.read_bytes())
    with pytest.raises(SigningError, match="signed by a key that is not trusted here"):
        verify_record(folder, trusted)
    (trusted / "older.pem").write_bytes(keys[1].read_bytes())
    assert verify_record(folder, trusted).version == "1.0.0"


def test_an_installations_keys_are_made_once_and_the_public_one_is_written_again(tmp_path: Path) -> None:
    private, public = own_keys(tmp_path / "keys")
    made = private.read_bytes(), public.read_bytes()
    public.unlink()
    assert own_keys(tmp_path / "keys") == (tmp_path / "keys" / PRIVATE, tmp_path / "keys" / PUBLIC)
    assert (private.read_bytes(), public.read_bytes()) == made
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700


def test_a_signature_may_lie_beside_the_keys(folder: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    """The installation's own, over a store that another key's signature lies in."""
    stranger, _ = make_keys(tmp_path / "stranger")
    sign(folder, stranger)
    trust = keys[1].parent
    with pytest.raises(SigningError, match="not trusted here"):
        verify_version(folder, trust)
    beside = sign(folder, keys[0], beside_keys(trust, NAME, "1.0.0"))
    assert verify_version(folder, trust) == beside
    assert verify_version(folder, tmp_path / "stranger") == folder / SIGNATURE


def test_only_what_was_sealed_is_signed(folder: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "no.key").write_text("no key")
    with pytest.raises(SigningError, match=r"no\.key cannot sign"):
        sign(folder, tmp_path / "no.key")
    (folder / "manifest.json").write_text((folder / "manifest.json").read_text() + "\n")
    with pytest.raises(custody.CustodyError, match=r"manifest\.json is not the file"):
        sign(folder, keys[0])
    assert not (folder / SIGNATURE).exists()


def test_the_web_process_and_the_pipelines_load_no_signing() -> None:
    code = (
        "import os, sys, django; os.environ['DJANGO_SETTINGS_MODULE'] = 'cad_platform.config.settings.local'; "
        "django.setup(); import cad_platform.config.urls, cad_platform.registry.services, inference.runtime.custody, "
        "inference.runtime.handler; "
        "print(sorted({'model_signing', 'sigstore', 'tuf', 'OpenSSL'} & set(sys.modules)))"
    )
    environment = {
        "CAD_SECRET_KEY": "x" * 24, "DATABASE_URL": "postgresql://x@/x", "CAD_BROKER_URL": "redis://127.0.0.1/0",
        "CAD_STATE_DIR": "/tmp/nowhere", "PATH": "",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr

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
from inference.runtime.handler import load_forward, vouched_for
from inference.runtime.signing import TRUST, SigningError, make_keys, sign, verify_record, verify_version
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


def test_without_trusted_keys_nothing_is_asked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TRUST, raising=False)
    verify_version(folder, None)
    assert vouched_for(folder, None) is None


def test_an_unsigned_version_is_not_served(
    store: Path, keys: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TRUST, str(keys[1].parent))
    built = build_archives(tmp_path / "out", store)
    assert built.archives == ()
    assert "histopathology 1.0.0 is not signed" in built.refused[0] and "inference sign" in built.refused[0]


def test_a_signed_version_is_served_and_its_worker_verifies_it(
    store: Path, folder: Path, keys: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TRUST, str(keys[1]))
    assert main(["sign", NAME, "--key", str(keys[0]), "--store", str(store)]) == 0
    (archive,) = build_archives(tmp_path / "out", store).archives
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(archive) as bundle:
        bundle.extractall(unpacked)
    record = vouched_for(unpacked, keys[1])
    assert record is not None
    load_forward(unpacked, None, record)
    (unpacked / "model.onnx").write_bytes((unpacked / "model.onnx").read_bytes() + b"\0")
    with pytest.raises(SigningError, match=r"model\.onnx of histopathology 1\.0\.0 is not the file"):
        load_forward(unpacked, None, record)
    assert FILE not in record.files, "what was converted here is signed by nobody"


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
    verify_version(folder, keys[1])
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
        verify_record(folder, trusted, "it")
    (trusted / "newer.pem").write_bytes(newer.read_bytes())
    with pytest.raises(SigningError, match="signed by a key that is not trusted here"):
        verify_record(folder, trusted, "it")
    (trusted / "older.pem").write_bytes(keys[1].read_bytes())
    assert verify_record(folder, trusted, "it").version == "1.0.0"


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

"""A sealed file opens whole and unchanged with its key for its purpose, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cad_platform.operations.backup import sealed
from cad_platform.operations.backup.errors import BackupError
from cad_platform.operations.backup.sealed import BLOCK, BackupKey, seal, sealed_size, unsealed

KEY = BackupKey(b"k" * 32)


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK])
def test_what_goes_in_comes_out(size: int, tmp_path: Path) -> None:
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    digest, counted = seal([data[: size // 3], data[size // 3 :]], tmp_path / "file", KEY, "a")
    assert counted == size == len(data) and len(digest) == 64
    assert (tmp_path / "file").stat().st_size == sealed_size(size)
    assert b"".join(unsealed(tmp_path / "file", KEY, "a")) == data


def test_one_block_at_a_time_is_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed, "BLOCK", 64)
    seal((b"x" * 10 for _ in range(100)), tmp_path / "file", KEY, "a")
    assert max(map(len, unsealed(tmp_path / "file", KEY, "a"))) == 64


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_other_byte_is_refused(data: st.DataObject) -> None:
    """In a file of three blocks: altered, cut off, lengthened, its blocks exchanged."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sealed, "BLOCK", 32)
        path = Path(folder, "file")
        seal([b"p" * 80], path, KEY, "a")
        whole = path.read_bytes()
        how = data.draw(st.sampled_from(["altered", "cut off", "lengthened", "exchanged"]))
        at = data.draw(st.integers(0, len(whole) - 1))
        if how == "altered":
            other = bytearray(whole)
            other[at] ^= data.draw(st.integers(1, 255))
        elif how == "cut off":
            other = bytearray(whole[:at])
        elif how == "lengthened":
            other = bytearray(whole + data.draw(st.binary(min_size=1, max_size=100)))
        else:
            first, second = whole[48:96], whole[96:144]
            other = bytearray(whole[:48] + second + first + whole[144:])
        path.write_bytes(other)
        with pytest.raises(BackupError):
            list(unsealed(path, KEY, "a"))


def test_another_key_or_purpose_opens_nothing(tmp_path: Path) -> None:
    seal([b"patient"], tmp_path / "file", KEY, "a")
    with pytest.raises(BackupError, match="another key"):
        list(unsealed(tmp_path / "file", BackupKey(b"o" * 32), "a"))
    with pytest.raises(BackupError, match="exchanged"):
        list(unsealed(tmp_path / "file", KEY, "b"))
    with pytest.raises(BackupError, match="cannot be read"):
        list(unsealed(tmp_path / "none", KEY, "a"))

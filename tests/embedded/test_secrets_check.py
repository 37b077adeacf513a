"""No secret gets into the repository unseen."""

from __future__ import annotations

from pathlib import Path

import pytest

from embedded import secrets_check


@pytest.mark.parametrize(
    "line",
    [
        "DATABASE_URL = 'postgresql://cad:" + "hunter2hunter2@10.0.0.1/cad'",
        "-----BEGIN RSA " + "PRIVATE KEY-----",
        "aws_key = 'AKIA" + "IOSFODNN7EXAMPLQ'",
    ],
)
def test_a_secret_is_seen(tmp_path: Path, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "settings.py"
    file.write_text(f"{line}\n")
    assert secrets_check.main([str(file)]) == 1
    assert str(file) in capsys.readouterr().out


def test_a_hash_and_a_marked_line_are_none(tmp_path: Path) -> None:
    file = tmp_path / "notes.py"
    file.write_text(
        f"SHA256 = '{'0123456789abcdef' * 4}'\npassword = 'a b c d e f g'  # pragma: allowlist secret\n"
    )
    assert secrets_check.main([str(file)]) == 0

"""Nobody has to make up a password for an installation, or is given one that others have."""

from __future__ import annotations

from pathlib import Path

from embedded.new_secrets import main
from embedded.state import REPOSITORY

EXAMPLE = REPOSITORY / "docker" / "example.env"


def _values(text: str) -> dict[str, str]:
    lines = [line for line in text.splitlines() if "=" in line and not line.startswith("#")]
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def test_each_secret_is_new_and_nothing_else_is_changed(tmp_path: Path) -> None:
    first, second = tmp_path / "one.env", tmp_path / "two.env"
    assert main([str(EXAMPLE), str(first)]) == main([str(EXAMPLE), str(second)]) == 0
    one, two, example = _values(first.read_text()), _values(second.read_text()), _values(EXAMPLE.read_text())
    secret = {name for name in example if name.endswith(("PASSWORD", "SECRET_KEY"))}
    assert secret and all(len(one[name]) >= 50 and one[name].isalnum() for name in secret)
    assert not {one[name] for name in secret} & {two[name] for name in secret}
    assert {name: one[name] for name in example if name not in secret} == {
        name: value for name, value in example.items() if name not in secret
    }
    assert first.stat().st_mode & 0o777 == 0o600


def test_secrets_in_use_are_not_written_over(tmp_path: Path) -> None:
    target = tmp_path / ".env"
    target.write_text("CAD_SECRET_KEY=in-use")
    assert main([str(EXAMPLE), str(target)]) == 1 and target.read_text() == "CAD_SECRET_KEY=in-use"

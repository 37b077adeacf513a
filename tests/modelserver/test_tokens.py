"""Tokens that the server rotates."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cad_platform.modelserver.tokens import TokenSource


def write(path: Path, key: str, expires: datetime) -> None:
    stamp = expires.strftime("%Y-%m-%dT%H:%M:%S") + ".123456789Z"
    entry = {"key": key, "expiration time": stamp}
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps({"inference": entry, "management": entry | {"key": f"{key}-m"}}))
    temporary.replace(path)


def in_an_hour() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)


def test_a_plain_token_serves_both_kinds() -> None:
    tokens = TokenSource(token="plain")
    assert tokens.token() == tokens.token("management") == "plain"


def test_each_kind_has_its_own(tmp_path: Path) -> None:
    write(tmp_path / "token.json", "one", in_an_hour())
    tokens = TokenSource(str(tmp_path / "token.json"))
    assert (tokens.token(), tokens.token("management")) == ("one", "one-m")


def test_a_replaced_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "token.json"
    write(path, "one", in_an_hour())
    tokens = TokenSource(str(path))
    assert tokens.token() == "one"
    write(path, "two", in_an_hour())
    assert tokens.token() == "two"


def test_no_file_yet_is_no_token_and_later_the_one_that_appears(tmp_path: Path) -> None:
    path = tmp_path / "token.json"
    tokens = TokenSource(str(path))
    assert tokens.token() == ""
    write(path, "one", in_an_hour())
    assert tokens.token() == "one"


def test_a_half_written_file_keeps_the_known_token(tmp_path: Path) -> None:
    path = tmp_path / "token.json"
    write(path, "one", in_an_hour())
    tokens = TokenSource(str(path))
    assert tokens.token() == "one"
    path.write_text('{"inference": {"ke')
    assert tokens.token() == "one"


def test_forgetting_reads_the_file_anew(tmp_path: Path) -> None:
    path = tmp_path / "token.json"
    write(path, "one", in_an_hour())
    tokens = TokenSource(str(path))
    assert tokens.token() == "one"
    path.unlink()
    tokens.forget()
    assert tokens.token() == ""

"""A setting is declared once: what is read, its default, and what docs/operations.md says of it are the same."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from cad_platform.config.settings import document, environment
from cad_platform.config.settings.declared import BY_NAME, DECLARED
from embedded.state import REPOSITORY

#: Of developers and of the set-up itself: no setting of a running copy.
OF_THE_CHECKOUT = {"CAD_CHROMIUM", "CAD_DEMO_FILE", "CAD_PYTHON", "CAD_TEST_STATE"}


def _sources() -> list[Path]:
    found = [path for folder in ("cad_platform", "embedded") for path in (REPOSITORY / folder).rglob("*.py")]
    return [path for path in found if path.name != "declared.py"]


def test_the_table_of_the_document_is_current() -> None:
    text = document.DOCUMENT.read_text()
    assert document.with_table(text) == text, "run python -m cad_platform.config.settings.document"


def test_every_name_that_is_read_is_declared_and_every_declared_one_is_read() -> None:
    read = {name for path in _sources() for name in re.findall(r"\bCAD_[A-Z_]+[A-Z]\b", path.read_text())}
    declared = {setting.name for setting in DECLARED} - {"DATABASE_URL"}
    assert read - declared - OF_THE_CHECKOUT == set()
    assert declared - read == set()


def test_a_default_that_stands_elsewhere_too_is_the_declared_one() -> None:
    """The supervisor and the demo read a few before the platform's settings can be: the two must not differ."""
    pattern = re.compile(r"\"(CAD_[A-Z_]+)\",\s*\"([^\"]*)\"")
    for path in _sources():
        for name, default in pattern.findall(path.read_text()):
            if name in BY_NAME and re.search(
                rf"environ\.get\(\"{name}\",|_Worker\([^)]*\"{name}\",", path.read_text()
            ):
                assert BY_NAME[name].default in {default, None}, f"{path}: {name}"


def test_a_name_that_nobody_declared_is_not_read() -> None:
    with pytest.raises(KeyError):
        environment.value("CAD_MISSPELT")


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("CAD_JOB_LEASE_SECONDS", "soon", environment.whole),
        ("CAD_BODY_IDLE_SECONDS", "a while", environment.number),
        ("CAD_TRUSTED_PROXIES", "10.0.0.1, proxy.example", environment.networks),
    ],
)
def test_a_value_that_cannot_be_used_is_said_in_one_sentence(
    name: str, value: str, read: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ImproperlyConfigured, match=name):
        read(name)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("entry", "said", "pooled"),
    [
        ("cad_platform.config.asgi", {}, True),
        ("cad_platform.config.asgi", {"CAD_DATABASE_POOL": "0"}, False),
        ("cad_platform.config.celery", {}, False),
    ],
)
def test_the_web_server_has_a_pool_unless_it_is_told_otherwise(
    entry: str, said: dict[str, str], pooled: bool, tmp_path: Path
) -> None:
    """Without one it keeps a connection for each of its threads, and uses PostgreSQL up."""
    asked = (
        f"import {entry}\nfrom django.conf import settings\n"
        "print('pool' in settings.DATABASES['default']['OPTIONS'])"
    )
    kept = {name: value for name, value in os.environ.items() if name != "CAD_DATABASE_POOL"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", asked],
        cwd=REPOSITORY,
        env=kept
        | {
            "CAD_STATE_DIR": str(tmp_path),
            "DJANGO_SETTINGS_MODULE": "cad_platform.config.settings.production",
        }
        | {"CAD_ALLOWED_HOSTS": "cad.example"}
        | said,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == [str(pooled)], done.stderr

"""Reading the environment: every address and secret comes from here, with one sentence when it is wrong."""

from __future__ import annotations

import os
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

REPOSITORY = Path(__file__).resolve().parents[3]


def state_dir() -> Path:
    """The folder of everything that a running copy writes (`CAD_STATE_DIR`)."""
    return Path(os.environ.get("CAD_STATE_DIR") or REPOSITORY / ".local").resolve()


def boolean(name: str, default: bool) -> bool:
    value = os.environ.get(name)
    return default if value is None else value.strip().lower() in {"1", "true", "yes", "on"}


def listed(name: str, default: str = "") -> list[str]:
    """The entries of a list with commas."""
    value = os.environ.get(name, "") or default
    return [entry for each in value.split(",") if (entry := each.strip())]


def networks(name: str, default: str = "") -> list[str]:
    """A list of addresses and networks."""
    entries = listed(name, default)
    for entry in entries:
        try:
            ip_network(entry, strict=False)
        except ValueError:
            raise ImproperlyConfigured(
                f"{name} lists addresses and networks, such as 10.0.0.0/8; {entry!r} is neither."
            ) from None
    return entries


def required(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise ImproperlyConfigured(f"Set {name}; bin/demo does so for its embedded services.")
    return value


def database(url: str) -> dict[str, object]:
    """A Django database entry from `postgresql://user:password@host:port/name?host=/socket/folder`.

    The web server's threads are short-lived, so there it borrows proven connections from a pool
    (`CAD_DATABASE_POOL=1`); workers and commands keep one connection each.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured(
            "DATABASE_URL must start with postgresql://; no other database is supported."
        )
    query = dict(parse_qsl(parts.query))
    host = query.pop("host", parts.hostname or "")
    options: dict[str, object] = {"connect_timeout": 5, **query}
    if boolean("CAD_DATABASE_POOL", False):
        options["pool"] = {
            "min_size": 1,
            "max_size": int(os.environ.get("CAD_DATABASE_POOL_SIZE", "16")),
            "timeout": 10,
            "max_lifetime": 600,
        }
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(host),
        "PORT": str(parts.port or query.get("port", "") or ""),
        "OPTIONS": options,
        "CONN_MAX_AGE": 0 if "pool" in options else 600,
        "CONN_HEALTH_CHECKS": True,
    }

"""Reading the environment: every address and secret comes from here, with one sentence when it is wrong."""

from __future__ import annotations

import os
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from cad_platform.config.settings.declared import BY_NAME

REPOSITORY = Path(__file__).resolve().parents[3]


def value(name: str) -> str:
    """What the environment says of a setting, or its declared default; empty where neither says anything.

    Raises
    ------
    KeyError
        Nobody has declared it (`settings.declared`).
    """
    default = BY_NAME[name].default or ""
    return os.environ.get(name, "").strip() or default


def number(name: str) -> float:
    """Raises `ImproperlyConfigured` for what is none."""
    try:
        return float(value(name))
    except ValueError:
        raise ImproperlyConfigured(f"{name} is a number; {value(name)!r} is none.") from None


def whole(name: str) -> int:
    """Raises `ImproperlyConfigured` for what is no whole number."""
    try:
        return int(value(name))
    except ValueError:
        raise ImproperlyConfigured(f"{name} is a whole number; {value(name)!r} is none.") from None


def state_dir() -> Path:
    """The folder of everything that a running copy writes (`CAD_STATE_DIR`)."""
    return Path(value("CAD_STATE_DIR") or REPOSITORY / ".local").resolve()


def boolean(name: str) -> bool:
    """Off where nothing is said."""
    return value(name).lower() in {"1", "true", "yes", "on"}


def listed(name: str) -> list[str]:
    """The entries of a list with commas."""
    return [entry for each in value(name).split(",") if (entry := each.strip())]


def networks(name: str) -> list[str]:
    """A list of addresses and networks."""
    entries = listed(name)
    for entry in entries:
        try:
            ip_network(entry, strict=False)
        except ValueError:
            raise ImproperlyConfigured(
                f"{name} lists addresses and networks, such as 10.0.0.0/8; {entry!r} is neither."
            ) from None
    return entries


def required(name: str) -> str:
    """One that must be said."""
    said = os.environ.get(name, "").strip()
    if not said:
        raise ImproperlyConfigured(f"Set {name}; bin/demo does so for its embedded services.")
    return said


def database(url: str) -> dict[str, object]:
    """A Django database entry from `postgresql://user:password@host:port/name?host=/socket/folder`.

    The web server's threads are short-lived, so it borrows proven connections from a pool (`config.asgi` says so,
    unless `CAD_DATABASE_POOL` says otherwise); workers and commands keep one connection each.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured(
            "DATABASE_URL must start with postgresql://; no other database is supported."
        )
    query = dict(parse_qsl(parts.query))
    host = query.pop("host", parts.hostname or "")
    options: dict[str, object] = {"connect_timeout": 5, **query}
    if boolean("CAD_DATABASE_POOL"):
        options["pool"] = {
            "min_size": 1,
            "max_size": whole("CAD_DATABASE_POOL_SIZE"),
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

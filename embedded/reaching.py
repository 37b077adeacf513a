"""Whether what should answer does: the services that an address names instead of our own, and our own pages."""

from __future__ import annotations

import urllib.error
import urllib.request

from embedded.state import StateError

OLDEST_POSTGRES = 15


def check_database(name: str, url: str) -> None:
    """Raises `StateError` where the setting `name` leads to no PostgreSQL that serves."""
    import psycopg

    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            version = connection.info.server_version
    except psycopg.Error as error:
        reason = (str(error).strip() or "no answer").splitlines()[0]
        raise StateError(f"{name} cannot be used ({reason}): correct it, or unset it for our own.") from error
    if version < OLDEST_POSTGRES * 10_000:
        raise StateError(
            f"{name} leads to PostgreSQL {version // 10_000}: set it to version {OLDEST_POSTGRES} or later."
        )


def check_broker(url: str) -> None:
    """Raises `StateError` where `CAD_BROKER_URL` leads to no broker that answers."""
    import redis

    try:
        redis.Redis.from_url(url, socket_connect_timeout=5, socket_timeout=5).ping()
    except (redis.RedisError, ValueError, OSError) as error:
        raise StateError(
            f"CAD_BROKER_URL cannot be used ({error}): correct it, or unset it for our own."
        ) from error


def status_of(url: str, timeout: float = 5) -> int | None:
    """The HTTP status of a loopback address, or None where nothing answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=timeout) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None

"""Turns: of two transactions that are about the same patient, study or image the second waits, whether rows of it exist
yet or not. Taken before any lock of rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from django.db import connection

#: First key of the advisory locks, and how many second keys there are: a post of two thousand images must not fill
#: PostgreSQL's table of locks.
_LOCK, _LOCK_KEYS = 0x0CAD0002, 1024


def hold(
    site_id: int, *, patients: Iterable[str] = (), studies: Iterable[str] = (), images: Iterable[str] = ()
) -> None:
    """Wait for whoever is at work on one of these ids of a site, and keep further ones waiting until the transaction
    ends. In ascending order, so that two with many ids cannot wait for each other."""
    names = [
        *(f"patient {each}" for each in patients),
        *(f"study {each}" for each in studies),
        *(f"image {each}" for each in images),
    ]
    keys = sorted({_key(f"{site_id} {name}") for name in names})
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, key) FROM unnest(%s::int[]) AS key", [_LOCK, keys])


def _key(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % _LOCK_KEYS

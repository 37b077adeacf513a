"""What a web process itself cannot serve without: the database and the storage, and nothing behind them."""

from __future__ import annotations

from django.db import Error, connection

from cad_platform.core.errors import PlatformError
from cad_platform.studies import storage

#: No file has this hash; asking for it asks the storage.
_NOBODYS_HASH = "0" * 64


def missing_for_service() -> list[str]:
    """Names of what does not answer now, of `database` and `storage`."""
    missing = []
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error:
        missing.append("database")
    try:
        storage.exists(_NOBODYS_HASH)
    except (PlatformError, OSError):
        missing.append("storage")
    return missing

"""Where a TorchServe's bearer tokens come from: a file that is rotated, or one plain token.

Each host mints its own, so each has a source of its own. A *token file* holds the two tokens that the platform needs
and is renewed by whoever wrote it. A *key file* is TorchServe's own (`key_file.json`), with the key that mints tokens:
the platform has them renewed itself (`administration.renew_tokens`).
"""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

#: A token is renewed so long before it ends: TorchServe's default is an hour.
RENEW_BEFORE = timedelta(minutes=15)
_MINTING = "API"


class TokenSource:
    """The `inference` and `management` tokens, read from the file again when it changed or a token expired.

    Parameters
    ----------
    key_file
        JSON: `{"inference": {"key", "expiration time"}, "management": {…}}`, a key file with `"API"` as well; empty for
        none.
    token
        A fixed token for both, where there is no file.
    """

    def __init__(self, key_file: str = "", token: str = "") -> None:
        self._file = Path(key_file) if key_file else None
        self._fixed = token
        self._lock = threading.Lock()
        self._known: dict[str, tuple[str, datetime | None]] = {}
        self._stamp: tuple[int, int] | None = None

    def token(self, kind: str = "inference") -> str:
        """The current token, or an empty string where there is none (yet)."""
        if self._file is None:
            return self._fixed
        with self._lock:
            key, expires = self._known.get(kind, ("", None))
            if not key or (expires is not None and expires <= datetime.now(UTC)) or self._changed():
                self._read()
                key, _ = self._known.get(kind, ("", None))
            return key

    def minting_key(self) -> str:
        """The key that mints tokens; empty where only tokens are known."""
        return self.token(_MINTING) if self._file is not None else ""

    def ends_soon(self, kind: str) -> bool:
        """Whether the token that is known ends within `RENEW_BEFORE`."""
        self.token(kind)
        with self._lock:
            _, expires = self._known.get(kind, ("", None))
        return expires is not None and expires - datetime.now(UTC) < RENEW_BEFORE

    def forget(self) -> None:
        """The server refused a token: read the file anew."""
        with self._lock:
            self._known = {}

    def _changed(self) -> bool:
        assert self._file is not None
        try:
            status = self._file.stat()
        except OSError:
            return False
        return (status.st_mtime_ns, status.st_ino) != self._stamp

    def _read(self) -> None:
        assert self._file is not None
        try:
            status = self._file.stat()
            content = json.loads(self._file.read_text(encoding="utf-8"))
            known = {
                kind: (str(entry["key"]), _expiry(entry.get("expiration time")))
                for kind, entry in content.items()
                if isinstance(entry, dict) and "key" in entry
            }
        except (OSError, ValueError, AttributeError):
            # Absent while the server starts: the call fails with a token refused and is tried again.
            return
        self._known, self._stamp = known, (status.st_mtime_ns, status.st_ino)


def _expiry(text: object) -> datetime | None:
    if not isinstance(text, str):
        return None
    whole, _, fraction = text.rstrip("Z").partition(".")
    try:
        # Java writes nanoseconds, Python reads microseconds.
        return datetime.fromisoformat(f"{whole}.{fraction[:6] or '0'}").replace(tzinfo=UTC)
    except ValueError:
        return None

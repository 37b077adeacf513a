"""The keys of an installation that belong to nobody else: made where they are missing, readable by their owner alone,
and never written over, since what is signed or asked with one would be trusted by nobody with another."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

#: Secrets of one line: file → the setting that takes its content (tokens that one process asks another with), or its
#: path (the backups' key).
TOKENS = {
    "metrics.token": "CAD_METRICS_TOKEN",
    "torchserve.token": "CAD_TORCHSERVE_TOKEN",
    "backup.key": "CAD_BACKUP_KEY_FILE",
}
_BYTES = 48


def make_missing(folder: Path) -> list[Path]:
    """The pair of keys that versions of models are signed with, and the secrets of one line; those that were made, not
    those that were there.

    Raises
    ------
    OSError
        The folder cannot be written to.
    """
    from inference.runtime.signing import PRIVATE, PUBLIC, SigningError, own_keys

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    wanted = [folder / name for name in (PRIVATE, PUBLIC, *TOKENS)]
    missing = [path for path in wanted if not path.exists()]
    try:
        own_keys(folder)
    except SigningError:
        if not (folder / PRIVATE).is_file():
            raise
        # Another process made it at this moment: its pair is the installation's.
        own_keys(folder)
    made = [path for path in missing if path.name in (PRIVATE, PUBLIC)]
    return made + [path for path in missing if path.name in TOKENS and _make_token(path)]


def _make_token(path: Path) -> bool:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(handle, "w") as file:
        file.write(f"{secrets.token_hex(_BYTES)}\n")
    return True

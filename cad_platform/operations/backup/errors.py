"""The one error of this package."""

from __future__ import annotations


class BackupError(Exception):
    """A sentence that says what is wrong and what to do."""

"""Tasks about accounts."""

from __future__ import annotations

from celery import shared_task

from cad_platform.accounts import sign_in_limits


@shared_task(name="accounts.purge_sign_in_counts")
def purge_sign_in_counts() -> int:
    """Forget counts of wrong passwords that no longer matter."""
    return sign_in_limits.purge()

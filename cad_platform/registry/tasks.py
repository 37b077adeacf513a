"""What messages make workers do with model versions."""

from __future__ import annotations

from celery import shared_task

from cad_platform.registry import verification


@shared_task(name="registry.verify")
def verify(verification_id: str) -> str:
    """Examine a version."""
    return verification.run(verification_id)

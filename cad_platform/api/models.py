"""The answers that a repeated `Idempotency-Key` gets again."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from cad_platform.core.declarations import DatabaseRights


class IdempotentAnswer(models.Model):
    """The first answer to a key of a token. Kept for seven days."""

    database_rights = DatabaseRights.DELETABLE

    token = models.ForeignKey("accounts.ApiToken", on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64, help_text="hash over the study part and the file hashes")
    status = models.PositiveSmallIntegerField()
    body = models.JSONField()
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["token", "key"], name="idempotency_key_of_token")]

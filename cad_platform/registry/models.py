"""Model versions as the platform knows them; the bytes are in the model store."""

from __future__ import annotations

import pghistory
from django.db import models
from django.utils import timezone

from cad_platform.core.declarations import DatabaseRights


@pghistory.track()
class ModelVersion(models.Model):
    """One set of weights with its manifest. At most one version of a model is the default."""

    database_rights = DatabaseRights.UPDATABLE

    name = models.CharField(max_length=60)
    version = models.CharField(max_length=40)
    modality = models.CharField(max_length=16)
    manifest = models.JSONField(help_text="inference.contract.ModelManifest")
    weights_sha256 = models.CharField(max_length=64)
    card = models.TextField(blank=True, help_text="Markdown")
    metrics = models.JSONField(default=dict)
    is_default = models.BooleanField(default=False)
    registered_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["name", "-registered_at"]
        constraints = [
            models.UniqueConstraint(fields=["name", "version"], name="model_version_unique"),
            models.UniqueConstraint(
                fields=["name"], condition=models.Q(is_default=True), name="model_one_default"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

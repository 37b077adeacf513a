"""What may be read of the models."""

from __future__ import annotations

from django.db.models import QuerySet

from cad_platform.accounts.rules import require
from cad_platform.core.request import Actor
from cad_platform.registry.models import ModelVersion
from inference.contract import ModelManifest


def versions(actor: Actor) -> QuerySet[ModelVersion]:
    """Every version of every model, for those who manage them."""
    require(actor, "model.manage")
    return ModelVersion.objects.all()


def default_versions(modality: str | None = None) -> QuerySet[ModelVersion]:
    """The versions that new studies are analysed with."""
    found = ModelVersion.objects.filter(is_default=True).order_by("name")
    return found if modality is None else found.filter(modality=modality)


def manifest_of(version: ModelVersion) -> ModelManifest:
    """The manifest as it was registered."""
    return ModelManifest.model_validate(version.manifest)

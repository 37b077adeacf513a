"""What may be read of the models."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from cad_platform.accounts.rules import require
from cad_platform.core.errors import NotFound
from cad_platform.core.models import ComponentProbe
from cad_platform.core.probes import FRESH_FOR
from cad_platform.core.request import Actor
from cad_platform.registry.models import ModelVersion
from inference.contract import ModelManifest

#: What `registry.health` calls a model among the components.
COMPONENT_PREFIX = "model:"


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


def version_by_id(actor: Actor, version_id: int) -> ModelVersion:
    """One version. Raises `NotFound` or `NotPermitted`."""
    version = versions(actor).filter(pk=version_id).first()
    if version is None:
        raise NotFound(_("There is no such model."))
    return version


def is_in_store(version: ModelVersion) -> bool:
    """Whether the model store holds this very version: its files stand for no other."""
    from inference.serving.store import StoreError, read_manifest

    try:
        return (
            read_manifest(version.name, settings.MODEL_STORE, version.version).weights.sha256
            == version.weights_sha256
        )
    except StoreError:
        return False


def plot_of(version: ModelVersion, name: str) -> bytes:
    """One of the plots beside the model, an SVG. Raises `NotFound`."""
    folder = settings.MODEL_STORE / version.name / version.version / "plots"
    path = {path.stem: path for path in folder.glob("*.svg")}.get(name)
    if path is None or not is_in_store(version):
        raise NotFound(_("There is no such plot."))
    return path.read_bytes()


@dataclass(frozen=True)
class ServingHealth:
    """How a model has lately answered a real prediction."""

    answers: bool
    at: datetime | None
    reason: str
    latency_ms: float | None


def serving_health(actor: Actor) -> dict[str, ServingHealth]:
    """Model name → the latest proof by traffic; an answer older than 30 seconds counts as failed."""
    require(actor, "model.manage")
    found = {}
    for probe in ComponentProbe.objects.filter(component__startswith=COMPONENT_PREFIX):
        fresh = probe.succeeded_at is not None and probe.succeeded_at > timezone.now() - FRESH_FOR
        failed_last = bool(
            probe.failed_at and (probe.succeeded_at is None or probe.failed_at > probe.succeeded_at)
        )
        found[probe.component.removeprefix(COMPONENT_PREFIX)] = ServingHealth(
            answers=fresh and not failed_last,
            at=probe.succeeded_at,
            reason=probe.reason if failed_last else "",
            latency_ms=probe.latency_ms,
        )
    return found

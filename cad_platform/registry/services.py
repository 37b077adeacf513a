"""The only writers of model versions."""

from __future__ import annotations

import json
from pathlib import Path

from django.conf import settings
from django.db import transaction

from cad_platform.accounts.rules import require
from cad_platform.audit.services import record
from cad_platform.core.errors import Conflict, Invalid
from cad_platform.core.request import Actor
from cad_platform.registry.models import ModelVersion
from inference.contract import ModelManifest


def register_from_store(actor: Actor, store: Path | None = None) -> list[ModelVersion]:
    """Make the store's models known and each the default of its name; safe to repeat.

    A version's weights never change once they are registered; its card and its figures may be corrected.

    Raises
    ------
    Invalid
        A manifest that the contract refuses, or weights that are not those of their manifest. Nothing of the
        store is registered then.
    Conflict
        A registered version has other weights or another preprocessing now: it needs a new version number.
    """
    from inference.serving.store import StoreError, manifests, verified_weights, version_folder

    folder = store or settings.MODEL_STORE
    try:
        found = manifests(folder)
        for manifest in found:
            verified_weights(manifest, folder)
    except StoreError as error:
        raise Invalid(f"The model store cannot be used: {error}.") from error
    with transaction.atomic():
        return [_register(actor, manifest, version_folder(manifest, folder)) for manifest in found]


@transaction.atomic
def make_default(actor: Actor, version: ModelVersion) -> ModelVersion:
    """Analyse new studies with this version. Earlier results keep the version that made them.

    Raises
    ------
    NotPermitted
        The actor does not manage models.
    """
    require(actor, "model.manage")
    return _make_default(actor, version)


def _register(actor: Actor, manifest: ModelManifest, folder: Path) -> ModelVersion:
    described = {
        "manifest": manifest.model_dump(mode="json"),
        "card": _text(folder / "card.md"),
        "metrics": json.loads(_text(folder / "metrics.json") or "{}"),
    }
    version = ModelVersion.objects.filter(name=manifest.name, version=manifest.version).first()
    if version is None:
        version = ModelVersion.objects.create(
            name=manifest.name,
            version=manifest.version,
            modality=manifest.input.modality.value,
            weights_sha256=manifest.weights.sha256,
            **described,
        )
        record(
            actor, "model.register", object_type="model", object_id=version.pk,
            name=version.name, version=version.version, weights_sha256=version.weights_sha256,
        )  # fmt: skip
        return _make_default(actor, version)
    known = ModelManifest.model_validate(version.manifest)
    if known.identity != manifest.identity:
        raise Conflict(
            f"{version} is registered with other weights or another preprocessing: raise the version in its "
            "manifest, since results already name this one."
        )
    if any(getattr(version, field) != value for field, value in described.items()):
        for field, value in described.items():
            setattr(version, field, value)
        version.save(update_fields=[*described])
        record(
            actor, "model.describe", object_type="model", object_id=version.pk,
            name=version.name, version=version.version,
        )  # fmt: skip
    return version


def _make_default(actor: Actor, version: ModelVersion) -> ModelVersion:
    # Locked together, so that two administrators leave one default.
    siblings = list(ModelVersion.objects.select_for_update().filter(name=version.name).order_by("pk"))
    previous = next((sibling for sibling in siblings if sibling.is_default), None)
    if previous is not None and previous.pk == version.pk:
        return previous
    ModelVersion.objects.filter(name=version.name, is_default=True).update(is_default=False)
    version.is_default = True
    version.save(update_fields=["is_default"])
    record(
        actor, "model.make_default", object_type="model", object_id=version.pk,
        name=version.name, version=version.version, previous=previous.version if previous else "",
    )  # fmt: skip
    return version


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""

"""How a version becomes known: its folder in the model store is read. What becomes of it afterwards stands in
`registry.lifecycle`, `registry.switching` and `registry.routes`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from cad_platform import modalities
from cad_platform.accounts.rules import require
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Invalid
from cad_platform.registry.history import record_of
from cad_platform.registry.models import ModelVersion
from inference.contract import ModelManifest


class Refused(Exception):
    """Why one version of the store cannot be registered."""


@dataclass(frozen=True)
class Registration:
    """What came of reading the store: the versions that it holds and that are known now, those of them that were not
    known before, and a sentence about each folder that was refused."""

    versions: tuple[ModelVersion, ...]
    new: tuple[ModelVersion, ...]
    refused: tuple[str, ...]


def register_from_store(actor: Actor, store: Path | None = None) -> Registration:
    """Make every version in the store known; safe to repeat. None becomes the default by it.

    A version that cannot be used, or whose files are not those that its custody record names, keeps no other from being
    registered. A version's weights never change once they are
    registered; its card and its figures may be corrected.

    Parameters
    ----------
    store
        The folder of the store; `MODEL_STORE` of the settings where none is given.

    Raises
    ------
    NotPermitted
        The actor does not manage models.
    Invalid
        There is no store.
    """
    from inference.runtime.store import contents

    require(actor, "model.manage")
    folder = store or settings.MODEL_STORE
    if not folder.is_dir():
        raise Invalid(
            _("There is no model store at %(path)s. Set CAD_MODEL_STORE to where the models lie.")
            % {"path": folder}
        )
    found = contents(folder)
    versions, new, refused = [], [], list(found.refused)
    for manifest in found.manifests:
        try:
            version, is_new = register_version(actor, manifest, folder)
        except Refused as error:
            refused.append(str(error))
            continue
        versions.append(version)
        if is_new:
            new.append(version)
    return Registration(tuple(versions), tuple(new), tuple(refused))


def register_version(
    actor: Actor, manifest: ModelManifest, store: Path, uploaded_by: Any = None
) -> tuple[ModelVersion, bool]:
    """Make one version in a store known, after its files were found to be those of its records; and whether it was not
    known before.

    Raises
    ------
    Refused
        It cannot be used, or is known with other bytes.
    """
    from inference.runtime.custody import refuse_unsealed_figures
    from inference.runtime.store import StoreError, verified_weights, version_folder

    folder = version_folder(manifest, store)
    try:
        verified_weights(manifest, store)
        described = _description(manifest, folder)
        refuse_unsealed_figures(folder)
    except StoreError as error:
        raise Refused(str(error)) from error
    except OSError as error:
        raise Refused(
            f"the files of {manifest.name} {manifest.version} cannot be read ({error.strerror})"
        ) from error
    return _register(actor, manifest, described, uploaded_by)


def _description(manifest: ModelManifest, folder: Path) -> dict[str, Any]:
    """What may be corrected later. Raises `Refused` for files that hold something else, and for a model of studies
    that nobody can post here."""
    if not modalities.is_registered(manifest.input.modality):
        raise Refused(
            f"{manifest.name} {manifest.version} reads studies of {manifest.input.modality}, which is no registered "
            "modality"
        )
    try:
        card, metrics = _text(folder / "card.md"), json.loads(_text(folder / "metrics.json") or "{}")
    except ValueError as error:
        raise Refused(f"the card or the figures of {manifest.name} {manifest.version} are damaged") from error
    if not isinstance(metrics, dict):
        raise Refused(f"the figures of {manifest.name} {manifest.version} are none")
    return {"manifest": manifest.model_dump(mode="json"), "card": card, "metrics": metrics}


@transaction.atomic
def _register(
    actor: Actor, manifest: ModelManifest, described: dict[str, Any], uploaded_by: Any
) -> tuple[ModelVersion, bool]:
    """The version, and whether it was not known before. Raises `Refused` where it is known with other bytes."""
    version, is_new = ModelVersion.objects.select_for_update().get_or_create(
        name=manifest.name,
        version=manifest.version,
        defaults={
            "modality": manifest.input.modality,
            "weights_sha256": manifest.weights.sha256,
            "uploaded_by": uploaded_by,
            **described,
        },
    )
    if is_new:
        record_of(actor, "model.register", version, weights_sha256=version.weights_sha256)
        return version, True
    known = (version.weights_sha256, version.manifest.get("preprocessing_sha256"))
    if known != (manifest.weights.sha256, manifest.preprocessing_sha256):
        raise Refused(
            f"{version} is registered with other weights or another preprocessing: raise the version in its "
            "manifest, since results already name this one"
        )
    if any(getattr(version, field) != value for field, value in described.items()):
        for field, value in described.items():
            setattr(version, field, value)
        version.save(update_fields=[*described])
        record_of(actor, "model.describe", version)
    return version, False


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""

"""What may be read of the models."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from packaging.version import InvalidVersion, Version

from cad_platform.accounts.rules import require
from cad_platform.core.actor import Actor
from cad_platform.core.errors import NotFound
from cad_platform.registry.models import ModelVersion
from inference.contract import ModelManifest


def versions(actor: Actor) -> QuerySet[ModelVersion]:
    """Every version of every model, for those who manage or approve them. Raises `NotPermitted` for others."""
    require(actor, "model.view")
    return ModelVersion.objects.all()


def newest_first(found: Iterable[ModelVersion]) -> list[ModelVersion]:
    """By name, then by version: 2.10.0 stands before 2.9.0, and what is no version number comes last."""
    newest = sorted(found, key=lambda version: _order(version.version), reverse=True)
    return sorted(newest, key=lambda version: version.name)


def manifest_of(version: ModelVersion) -> ModelManifest:
    """The manifest as it was registered.

    Raises
    ------
    pydantic.ValidationError
        It was registered under an earlier contract, which the present one does not admit.
    """
    return ModelManifest.model_validate(version.manifest)


def version_by_id(actor: Actor, version_id: int) -> ModelVersion:
    """One version. Raises `NotFound` or `NotPermitted`."""
    return _one(versions(actor).filter(pk=version_id))


def version_named(actor: Actor, name: str, version: str) -> ModelVersion:
    """One version by what people call it. Raises `NotFound` or `NotPermitted`."""
    return _one(versions(actor).filter(name=name, version=version))


def other_default(version: ModelVersion) -> ModelVersion | None:
    """The version that is the model's default, where that is not this one."""
    return ModelVersion.objects.filter(name=version.name, is_default=True).exclude(pk=version.pk).first()


def _one(found: QuerySet[ModelVersion]) -> ModelVersion:
    version = found.first()
    if version is None:
        raise NotFound(_("There is no such model."))
    return version


def _order(version: str) -> tuple[bool, Version, str]:
    try:
        return True, Version(version), version
    except InvalidVersion:
        return False, Version("0"), version

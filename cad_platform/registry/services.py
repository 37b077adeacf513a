"""The only writers of model versions. A version becomes known, and later, once a server has answered for it, the one
that analyses studies."""

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
from cad_platform.audit.services import record
from cad_platform.core import outbox, proofs
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, Invalid, NotFound
from cad_platform.registry import health
from cad_platform.registry.models import ModelVersion
from cad_platform.registry.routing import ROUTED_TOPIC, is_routed
from cad_platform.registry.selectors import newest_first
from cad_platform.studies.typed_text import reason_of
from inference.contract import ModelManifest

#: Once, while a person waits: longer than a probe, for a server that has to load the weights first.
_PROOF_SECONDS = 20.0
_LONGEST_REASON = 2000


class _Refused(Exception):
    """Why one version of the store cannot be registered."""


@dataclass(frozen=True)
class Registration:
    """What came of reading the store: the versions that it holds and that are known now, those of them that were not
    known before, and a sentence about each folder that was refused."""

    versions: tuple[ModelVersion, ...]
    new: tuple[ModelVersion, ...]
    refused: tuple[str, ...]


@dataclass(frozen=True)
class Switch:
    """The default version of a model, and the one that it took the place of; None where there was none or it was the
    default already."""

    version: ModelVersion
    previous: ModelVersion | None


@dataclass(frozen=True)
class FirstChoice:
    """Of the models without a default: the versions that became theirs, and a sentence about each model that has none
    still, by name. `may_come`: asking again soon may help one of these."""

    chosen: tuple[ModelVersion, ...]
    without: dict[str, str]
    may_come: bool


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
    from inference.runtime.custody import refuse_unsealed_figures
    from inference.runtime.store import StoreError, contents, verified_weights, version_folder

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
            verified_weights(manifest, folder)
            described = _description(manifest, version_folder(manifest, folder))
            refuse_unsealed_figures(version_folder(manifest, folder))
            version, is_new = _register(actor, manifest, described)
        except (StoreError, _Refused) as error:
            refused.append(str(error))
            continue
        except OSError as error:
            refused.append(
                f"the files of {manifest.name} {manifest.version} cannot be read ({error.strerror})"
            )
            continue
        versions.append(version)
        if is_new:
            new.append(version)
    return Registration(tuple(versions), tuple(new), tuple(refused))


def make_default(actor: Actor, version: ModelVersion, reason: str = "") -> Switch:
    """Analyse studies with this version, after a server has made a real prediction with it. Earlier results keep the
    version that made them; what becomes of analyses that wait is said by `ROUTED_TOPIC`.

    Not to be called inside a transaction: nothing may be locked while a server is asked, for up to 20 s.

    Parameters
    ----------
    reason
        Why, for the audit log.

    Raises
    ------
    NotPermitted
        The actor does not manage models.
    Invalid
        A reason of more than 2,000 characters.
    Conflict
        `not_served`: no server answers for this version now.
    NotFound
        The version was taken away meanwhile.
    """
    require(actor, "model.manage")
    reason = reason_of(reason, longest=_LONGEST_REASON)
    if ModelVersion.objects.filter(is_routed(), pk=version.pk).exists():
        return Switch(version, None)
    try:
        _prove(version)
    except proofs.ProbeFailed as error:
        raise Conflict(_why_not(version, error), code="not_served") from error
    return _switch(actor, version, reason)


def choose_defaults(actor: Actor, *, settle: bool = False) -> FirstChoice:
    """Give each model without a default the newest version that a server answers for; none to what is for research
    alone by its manifest.

    Where a newer one may still come, because its server is away or starting, an older one is not taken. Not
    to be called inside a transaction, as `make_default`; each version that is asked may take 20 s.

    Parameters
    ----------
    settle
        Take the newest that answers now: nothing newer is waited for.

    Raises
    ------
    NotPermitted
        The actor does not manage models.
    """
    require(actor, "model.manage")
    have = ModelVersion.objects.filter(is_routed()).values("name")
    candidates: dict[str, list[ModelVersion]] = {}
    for version in newest_first(ModelVersion.objects.exclude(name__in=have)):
        if not version.manifest.get(
            "research"
        ):  # a recipe's network: a person's choice, never the first start's
            candidates.setdefault(version.name, []).append(version)
    chosen, without, may_come = [], {}, False
    for name, versions in candidates.items():
        found, failures, waits = _first_that_answers(versions, settle=settle)
        if found is not None:
            chosen.append(_switch(actor, found, "", only_first=True).version)
        else:
            without[name] = "; ".join(failures)
            may_come = may_come or waits
    return FirstChoice(tuple(chosen), without, may_come)


def _description(manifest: ModelManifest, folder: Path) -> dict[str, Any]:
    """What may be corrected later. Raises `_Refused` for files that hold something else, and for a model of studies
    that nobody can post here."""
    if not modalities.is_registered(manifest.input.modality):
        raise _Refused(
            f"{manifest.name} {manifest.version} reads studies of {manifest.input.modality}, which is no registered "
            "modality"
        )
    try:
        card, metrics = _text(folder / "card.md"), json.loads(_text(folder / "metrics.json") or "{}")
    except ValueError as error:
        raise _Refused(
            f"the card or the figures of {manifest.name} {manifest.version} are damaged"
        ) from error
    if not isinstance(metrics, dict):
        raise _Refused(f"the figures of {manifest.name} {manifest.version} are none")
    return {"manifest": manifest.model_dump(mode="json"), "card": card, "metrics": metrics}


@transaction.atomic
def _register(actor: Actor, manifest: ModelManifest, described: dict[str, Any]) -> tuple[ModelVersion, bool]:
    """The version, and whether it was not known before. Raises `_Refused` where it is known with other bytes."""
    version, is_new = ModelVersion.objects.select_for_update().get_or_create(
        name=manifest.name,
        version=manifest.version,
        defaults={
            "modality": manifest.input.modality,
            "weights_sha256": manifest.weights.sha256,
            **described,
        },
    )
    if is_new:
        _record(actor, "model.register", version, weights_sha256=version.weights_sha256)
        return version, True
    known = (version.weights_sha256, version.manifest.get("preprocessing_sha256"))
    if known != (manifest.weights.sha256, manifest.preprocessing_sha256):
        raise _Refused(
            f"{version} is registered with other weights or another preprocessing: raise the version in its "
            "manifest, since results already name this one"
        )
    if any(getattr(version, field) != value for field, value in described.items()):
        for field, value in described.items():
            setattr(version, field, value)
        version.save(update_fields=[*described])
        _record(actor, "model.describe", version)
    return version, False


def _first_that_answers(
    versions: list[ModelVersion], *, settle: bool
) -> tuple[ModelVersion | None, list[str], bool]:
    """Of one model's versions, newest first: the one to take, or why there is none and whether one may come."""
    failures, waits = [], False
    for version in versions:
        try:
            _prove(version)
        except proofs.ProbeFailed as error:
            failures.append(f"{version}: {error}")
            waits = waits or error.code == health.AWAY
        else:
            if waits and not settle:
                break
            return version, [], False
    return None, failures, waits


def _prove(version: ModelVersion) -> None:
    """Ask a server, and leave the outcome where readiness and pages look for it. Raises `ProbeFailed`."""
    try:
        milliseconds = health.prove(version, _PROOF_SECONDS)
    except proofs.ProbeFailed as error:
        proofs.failed(health.component_of(version), str(error), error.code)
        raise
    proofs.succeeded(health.component_of(version), milliseconds)


@transaction.atomic(durable=True)
def _switch(actor: Actor, version: ModelVersion, reason: str, *, only_first: bool = False) -> Switch:
    """Raises `NotFound` where the version has gone meanwhile."""
    # Locked together, so that two administrators leave one default.
    siblings = list(ModelVersion.objects.select_for_update().filter(name=version.name).order_by("pk"))
    previous = next((sibling for sibling in siblings if sibling.is_default), None)
    if previous is not None and (only_first or previous.pk == version.pk):
        return Switch(previous, None)
    chosen = next((sibling for sibling in siblings if sibling.pk == version.pk), None)
    if chosen is None:
        raise NotFound(_("There is no such model."))
    if previous is not None:
        previous.is_default = False
        previous.save(update_fields=["is_default"])
    chosen.is_default = True
    chosen.save(update_fields=["is_default"])
    _record(
        actor,
        "model.make_default",
        chosen,
        previous=previous.version if previous else "",
        **({"reason": reason} if reason else {}),
    )
    outbox.publish(ROUTED_TOPIC, name=chosen.name)
    return Switch(chosen, previous)


def _why_not(version: ModelVersion, error: proofs.ProbeFailed) -> str:
    """What happened and what to do."""
    said = {"version": str(version), "reason": str(error)}
    if error.code == health.NOT_SERVED:
        return (
            _(
                "%(version)s cannot become the default: no model server has it. Load it on a model server, then try "
                "again."
            )
            % said
        )
    if error.code == health.AWAY:
        return (
            _(
                "%(version)s cannot become the default: no model server answers for it now (%(reason)s). Try again "
                "when one does."
            )
            % said
        )
    return (
        _(
            "%(version)s cannot become the default: it gives no prediction (%(reason)s). Build and load it anew, "
            "then try again."
        )
        % said
    )


def _record(actor: Actor, action: str, version: ModelVersion, **detail: Any) -> None:
    record(
        actor, action, object_type="model", object_id=version.pk,
        name=version.name, version=version.version, **detail,
    )  # fmt: skip


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""

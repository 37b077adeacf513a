"""A site's own operating points: proposed, signed by a second person, in force, withdrawn. Whoever runs a version for a
site asks here which hold; whoever shows a result asks here whose they were."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext as _

from cad_platform.accounts.models import Site
from cad_platform.accounts.rules import require
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, FieldError, Invalid, NotFound
from cad_platform.registry import lifecycle
from cad_platform.registry.history import LONGEST_REASON, record_of
from cad_platform.registry.models import ModelVersion, SiteThresholds
from cad_platform.registry.selectors import manifest_of
from cad_platform.studies.typed_text import reason_of
from inference.contract import ModelManifest


def manifest_at(version: ModelVersion, site_id: int) -> ModelManifest:
    """The manifest by which a version works for a site: as shipped, but for the operating points in force there."""
    manifest = manifest_of(version)
    own = in_force(version, site_id)
    if own is None:
        return manifest
    return manifest.model_copy(update={"thresholds": {**manifest.thresholds, **own.thresholds}})


def in_force(version: ModelVersion, site_id: int) -> SiteThresholds | None:
    """The site's own operating points that hold now."""
    return _signed(version, site_id).filter(ended_at__isnull=True).first()


def by_site(version: ModelVersion, point: str) -> tuple[float | None, dict[int, float]]:
    """Where an operating point of a version lies: as shipped (None: it has none), and site → where its own lies."""
    found = SiteThresholds.objects.filter(version=version, signed_at__isnull=False, ended_at__isnull=True)
    own = {row.site_id: float(row.thresholds[point]) for row in found if point in row.thresholds}
    level = version.manifest.get("thresholds", {}).get(point)
    return None if level is None else float(level), own


def behind(version: ModelVersion, site_id: int, thresholds: Mapping[str, float]) -> SiteThresholds | None:
    """Whose operating points a result was made with; None: as shipped."""
    shipped = version.manifest.get("thresholds", {})
    if all(shipped.get(name, level) == level for name, level in thresholds.items()):
        return None
    found = _signed(version, site_id).select_related("signed_by", "proposed_by").order_by("-number")
    return next((row for row in found if row.thresholds.items() <= thresholds.items()), None)


def proposed_by(evidence: uuid.UUID) -> SiteThresholds | None:
    """What a measurement led to."""
    found = SiteThresholds.objects.select_related("proposed_by", "signed_by", "ended_by", "version", "site")
    return found.filter(evidence=evidence).first()


@transaction.atomic
def propose(
    actor: Actor, version: ModelVersion, site: Site, thresholds: Mapping[str, float], evidence: uuid.UUID
) -> SiteThresholds:
    """Write a site's own operating points down; nothing works by them yet. Proposed from the same measurement before,
    that is answered.

    Raises
    ------
    NotPermitted
        The actor does not manage models, or is nobody: a command of the platform proposes nothing.
    Invalid
        They are no operating points of the version.
    """
    require(actor, "model.manage")
    row = lifecycle.locked(version)
    if actor.user is None:
        raise Invalid(
            _("The thresholds were not taken."), errors=(FieldError(_("nobody proposes them"), "by"),)
        )
    if (there := SiteThresholds.objects.filter(evidence=evidence).first()) is not None:
        return there
    shipped = manifest_of(row).thresholds
    levels = {name: float(level) for name, level in thresholds.items() if name in shipped}
    if len(levels) != len(thresholds) or not levels or not all(0 < level < 1 for level in levels.values()):
        raise Invalid(
            _("The thresholds were not taken."),
            errors=(FieldError(_("no operating points of this version"), "thresholds"),),
        )
    last = SiteThresholds.objects.filter(version=row, site=site).aggregate(last=Max("number"))["last"]
    made = SiteThresholds.objects.create(
        version=row, site=site, number=(last or 0) + 1, thresholds=levels, evidence=evidence,
        proposed_by=actor.user,
    )  # fmt: skip
    _record(actor, "thresholds.propose", made, thresholds=levels)
    return made


@transaction.atomic
def sign(actor: Actor, thresholds_id: uuid.UUID) -> SiteThresholds:
    """Put them in force: results from now on are made with them; those that there are keep theirs.

    Raises
    ------
    NotPermitted, NotFound
        Neither administrator nor clinical lead of the site.
    Conflict
        `same_person`: who proposed them. `wrong_state`: they are in force, or ended.
    """
    require(actor, "model.approve")
    row = _locked(actor, thresholds_id)
    if row.signed_at is not None or row.ended_at is not None:
        raise Conflict(_("These thresholds are in force already, or have ended."), code="wrong_state")
    if row.proposed_by_id == actor.user.pk:
        raise Conflict(_("You have proposed them: another person signs them."), code="same_person")
    before = in_force(row.version, row.site_id)
    if before is not None:
        _end(actor, before, _("Others were signed."))
    row.signed_by, row.signed_at = actor.user, timezone.now()
    row.save(update_fields=["signed_by", "signed_at"])
    _record(actor, "thresholds.sign", row, thresholds=row.thresholds)
    return row


@transaction.atomic
def withdraw(actor: Actor, thresholds_id: uuid.UUID, reason: str) -> SiteThresholds:
    """Go back to the shipped operating points, or drop a proposal. One person may: it is the safer side.

    Raises
    ------
    NotPermitted, NotFound
    Conflict
        They have ended already.
    Invalid
        No reason.
    """
    require(actor, "model.approve")
    row = _locked(actor, thresholds_id)
    said = reason_of(reason, longest=LONGEST_REASON)
    if not said:
        raise Invalid(
            _("Something is missing."), errors=(FieldError(_("This field is required."), "reason"),)
        )
    if row.ended_at is not None:
        raise Conflict(_("These thresholds have ended already."), code="wrong_state")
    _end(actor, row, said)
    _record(actor, "thresholds.withdraw", row, reason=said)
    return row


def _signed(version: ModelVersion, site_id: int) -> Any:
    return SiteThresholds.objects.filter(version=version, site=site_id, signed_at__isnull=False)


def _end(actor: Actor, row: SiteThresholds, reason: str) -> None:
    row.ended_by, row.ended_at, row.reason = actor.user, timezone.now(), reason
    row.save(update_fields=["ended_by", "ended_at", "reason"])


def _locked(actor: Actor, thresholds_id: uuid.UUID) -> SiteThresholds:
    """The row, under its version's lock, so that of two signatures at once the second sees the first."""
    found = SiteThresholds.objects.filter(pk=thresholds_id)
    if actor.site_id is not None:
        found = found.filter(site=actor.site_id)
    row = found.select_related("version").first()
    if row is None:
        raise NotFound(_("There are no such thresholds."))
    lifecycle.locked(row.version)
    return found.select_for_update(of=("self",)).select_related("version").get()


def _record(actor: Actor, action: str, row: SiteThresholds, **detail: Any) -> None:
    record_of(actor, action, row.version, site=row.site_id, number=row.number, **detail)

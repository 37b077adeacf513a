"""What a version's page says of its life, and what the person who looks may do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from cad_platform.accounts.models import Role, Site
from cad_platform.accounts.rules import allowed
from cad_platform.core.actor import Actor
from cad_platform.registry import evidence, routes, verification
from cad_platform.registry.history import default_before, has_been_default
from cad_platform.registry.models import Approval, ModelRoute, ModelVersion

State = ModelVersion.State


@dataclass(frozen=True)
class ApprovalLine:
    """One person's yes, in words."""

    by: str
    role: str
    approval: Approval


@dataclass(frozen=True)
class CheckLine:
    words: str
    passed: bool
    said: str


def life_of(actor: Actor, version: ModelVersion) -> dict[str, Any]:
    """The context of the page's part about life: states, examination, approvals, routes, and which forms it shows."""
    manages = allowed(actor, "model.manage")
    default = ModelVersion.objects.filter(name=version.name, is_default=True).exclude(pk=version.pk).first()
    found = verification.latest(version)
    own_routes = [route for route in routes.routes(actor, version.name) if route.version_id == version.pk]
    first = version.first_approver_id
    waits = version.state == State.VERIFIED and allowed(actor, "model.approve")
    compares = default is not None and version.state == State.APPROVED and not version.came_with_installation
    return {
        "manages": manages,
        "examined": found,
        "checks": _checks(found.checks) if found else [],
        "may_verify": manages and version.state in {State.UPLOADED, State.VERIFIED},
        "approvals": [
            ApprovalLine(each.by.printed_name, str(Role(each.role).label), each)
            for each in version.approvals.select_related("by")
        ],
        "may_approve": waits and (actor.user is None or first != actor.user.pk),
        "approved_by_actor": waits and actor.user is not None and first == actor.user.pk,
        "is_second": first is not None,
        "change_classes": Approval.ChangeClass.choices,
        "routes": own_routes,
        "may_route": manages and version.state == State.APPROVED,
        "kinds": ModelRoute.Kind.choices,
        "sites": list(Site.objects.order_by("code")) if manages else [],
        "default": default,
        "missing": evidence.missing(version, default)
        if compares and default and not has_been_default(version)
        else [],
        "may_retire": manages
        and version.state != State.RETIRED
        and not version.is_default
        and not own_routes,
        "back_to": default_before(version.name, version.pk) if manages and version.is_default else None,
    }


def _checks(checks: list[dict[str, Any]]) -> list[CheckLine]:
    words = {
        "manifest": _("Manifest"),
        "size": _("Size"),
        "hashes": _("Hashes"),
        "signature": _("Signature"),
        "code": _("No code that nobody has reviewed"),
        "network": _("Its network runs, confined, and answers as recorded"),
        "reference": _("Reference set, against the version in use"),
        "served": _("A model server answers for it"),
        "examination": _("Verification"),
    }
    return [
        CheckLine(words.get(each["check"], each["check"]), each["passed"], each["said"]) for each in checks
    ]

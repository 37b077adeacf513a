"""Who may do what, as one table of predicates. An unknown permission raises: a misspelt one denies loudly.

Radiologists sign MG and US, pathologists sign SM, sonographers draft, integrators use the API of their site,
administrators manage models, users and jobs and see no images. Everyone but administrators is confined to
their site, and whatever belongs to another site is answered as if it did not exist.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from django.utils.translation import gettext as _

from cad_platform.accounts.models import Role, Scope
from cad_platform.core.errors import NotFound, NotPermitted
from cad_platform.core.request import Actor


class OfSite(Protocol):
    """Anything that belongs to a site."""

    site_id: int


_CLINICIANS = {Role.RADIOLOGIST, Role.PATHOLOGIST, Role.SONOGRAPHER}
_SIGNERS = {"MG": {Role.RADIOLOGIST}, "US": {Role.RADIOLOGIST}, "SM": {Role.PATHOLOGIST}}
_DRAFTERS = {
    "MG": {Role.RADIOLOGIST, Role.SONOGRAPHER},
    "US": {Role.RADIOLOGIST, Role.SONOGRAPHER},
    "SM": {Role.PATHOLOGIST},
}


def _has_scope(actor: Actor, scope: Scope) -> bool:
    """A session may do what its role may; a token only what it was given."""
    return actor.token is None or scope in actor.token.scopes


def _reads(actor: Actor, _: Any) -> bool:
    return actor.role in _CLINICIANS | {Role.INTEGRATOR} and _has_scope(actor, Scope.STUDIES_READ)


def _posts(actor: Actor, _: Any) -> bool:
    return actor.role in _CLINICIANS | {Role.INTEGRATOR} and _has_scope(actor, Scope.STUDIES_WRITE)


def _reads_images(actor: Actor, _: Any) -> bool:
    return _reads(actor, _)


def _is_clinician(actor: Actor, _: Any) -> bool:
    return actor.role in _CLINICIANS and actor.token is None


def _reanalyses(actor: Actor, _: Any) -> bool:
    """People at the pages; and a hospital's system where it may post, since that has studies analysed too."""
    if actor.token is not None:
        return _posts(actor, _)
    return _is_clinician(actor, _) or _administers(actor, _)


def _drafts(actor: Actor, study: Any) -> bool:
    return actor.token is None and actor.role in _DRAFTERS[study.modality]


def _signs(actor: Actor, study: Any) -> bool:
    return actor.token is None and actor.role in _SIGNERS[study.modality]


def _administers(actor: Actor, _: Any) -> bool:
    return actor.role == Role.ADMINISTRATOR and actor.token is None


def _manages_models(actor: Actor, _: Any) -> bool:
    """The platform's own commands do too: at the first start there is nobody else."""
    return _administers(actor, _) or (actor.user is None and actor.label.startswith("system:"))


PERMISSIONS: dict[str, Callable[[Actor, Any], bool]] = {
    "study.list": _reads,
    "study.view": _reads,
    "study.receive": _posts,
    "study.withdraw": _is_clinician,
    "study.reanalyse": _reanalyses,
    "image.view": _reads_images,
    "patient.review_demographics": _is_clinician,
    "finding.decide": _drafts,
    "report.view": _reads,
    "report.draft": _drafts,
    "report.sign": _signs,
    "job.retry": _administers,
    "job.view_all": _administers,
    "model.manage": _manages_models,
    "user.manage": _administers,
    "token.manage": _administers,
    "audit.view": _administers,
    "audit.view_object": lambda actor, _: _is_clinician(actor, _) or _administers(actor, _),
}


def allowed(actor: Actor, permission: str, target: OfSite | None = None) -> bool:
    """Whether the actor's role, token and site admit it. For showing or hiding a button."""
    rule = PERMISSIONS[permission]
    if target is not None and actor.role != Role.ADMINISTRATOR and target.site_id != actor.site_id:
        return False
    return rule(actor, target)


def require(actor: Actor, permission: str, target: OfSite | None = None) -> None:
    """Raise `NotFound` for another site's object and `NotPermitted` for a role or token that may not."""
    rule = PERMISSIONS[permission]
    if target is not None and actor.role != Role.ADMINISTRATOR and target.site_id != actor.site_id:
        raise NotFound(_("There is no such object at your site."))
    if not rule(actor, target):
        raise NotPermitted(
            _("Your role or token does not permit this (%(permission)s).") % {"permission": permission}
        )

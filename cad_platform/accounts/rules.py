"""Who may do what, as one table of predicates. An unknown permission raises: a misspelt one denies loudly.

Which roles sign and draft is said by each modality (`cad_platform.modalities`). Integrators use the API of their site,
administrators manage models, users and jobs and see no images. A clinical lead reads the studies of the site, and may
be one of the two people who approve a model version. Everyone but administrators is confined to their site, and
whatever belongs to another site is answered as if it did not exist.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from django.utils.translation import gettext as _

from cad_platform import modalities
from cad_platform.accounts.models import Role, Scope
from cad_platform.core.actor import Actor
from cad_platform.core.errors import NotFound, NotPermitted
from cad_platform.modalities.modality import Modality


class OfSite(Protocol):
    """Anything that belongs to a site."""

    site_id: int


_CLINICIANS = {Role.RADIOLOGIST, Role.PATHOLOGIST, Role.SONOGRAPHER, Role.CLINICAL_LEAD}


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


def _modality_of(study: Any) -> Modality | None:
    """None without a study, and for one whose modality is not registered (any more): nobody drafts or signs it."""
    code = getattr(study, "modality", None)
    return modalities.get(code) if code is not None and modalities.is_registered(code) else None


def _drafts(actor: Actor, study: Any) -> bool:
    modality = _modality_of(study)
    return modality is not None and actor.token is None and actor.role in modality.drafters


def _signs(actor: Actor, study: Any) -> bool:
    modality = _modality_of(study)
    return modality is not None and actor.token is None and actor.role in modality.signers


def _administers(actor: Actor, _: Any) -> bool:
    return actor.role == Role.ADMINISTRATOR and actor.token is None


def _administers_or_commands(actor: Actor, _: Any) -> bool:
    """The platform's own commands do too: whoever has the shell, and at the first start there is nobody else."""
    return _administers(actor, _) or (actor.user is None and actor.label.startswith("system:"))


def _approves_models(actor: Actor, _: Any) -> bool:
    """People, each in their own name: a command of the platform is nobody."""
    return _administers(actor, _) or (actor.role == Role.CLINICAL_LEAD and actor.token is None)


def _views_models(actor: Actor, _: Any) -> bool:
    return _administers_or_commands(actor, _) or _approves_models(actor, _)


def _records_consent(actor: Actor, _: Any) -> bool:
    """Whoever meets the patient; and a hospital's system where it may post."""
    return _posts(actor, _) if actor.token is not None else _is_clinician(actor, _)


def _makes_datasets(actor: Actor, _: Any) -> bool:
    """Who answers for a site's patients and for its models; and the platform's own commands, of the site they name."""
    is_lead = actor.role == Role.CLINICAL_LEAD and actor.token is None
    return is_lead or (actor.user is None and actor.label.startswith("system:"))


def _views_datasets(actor: Actor, _: Any) -> bool:
    """Administrators see how much of what, and no image."""
    return _makes_datasets(actor, _) or _administers(actor, _)


PERMISSIONS: dict[str, Callable[[Actor, Any], bool]] = {
    "study.list": _reads,
    "study.view": _reads,
    "study.receive": _posts,
    "study.withdraw": _is_clinician,
    "study.confirm_side": _is_clinician,
    "study.reanalyse": _reanalyses,
    "image.view": _reads_images,
    "patient.review_demographics": _is_clinician,
    "patient.merge": _is_clinician,
    "patient.hold": _is_clinician,
    "patient.erase": _is_clinician,
    "retention.manage": _administers,
    "finding.decide": _drafts,
    # Who reads at the pages measures too; into the report it goes by who drafts.
    "view.keep": _is_clinician,
    "annotation.draw": _is_clinician,
    "consent.record": _records_consent,
    "dataset.make": _makes_datasets,
    "dataset.view": _views_datasets,
    "report.view": _reads,
    "report.draft": _drafts,
    "report.sign": _signs,
    "job.cancel": _administers,
    "job.retry": _administers,
    "job.view_all": _administers,
    "model.approve": _approves_models,
    "model.manage": _administers_or_commands,
    "model.view": _views_models,
    "user.manage": _administers,
    "token.manage": _administers,
    "webhook.manage": _administers_or_commands,
    "quality.view": _administers_or_commands,
    "quality.manage": _administers_or_commands,
    "reader_study.manage": _administers,
    "audit.view": _administers,
    "audit.view_object": lambda actor, _: _is_clinician(actor, _) or _administers(actor, _),
}


def _is_of_another_site(actor: Actor, target: OfSite | None) -> bool:
    return target is not None and actor.role != Role.ADMINISTRATOR and target.site_id != actor.site_id


def allowed(actor: Actor, permission: str, target: OfSite | None = None) -> bool:
    """Whether the actor's role, token and site admit it. For showing or hiding a button.

    Parameters
    ----------
    target
        What it is done to. What depends on a study (drafting, signing, deciding) nobody may without one.

    Raises
    ------
    KeyError
        There is no such permission.
    """
    rule = PERMISSIONS[permission]
    return not _is_of_another_site(actor, target) and rule(actor, target)


def require(actor: Actor, permission: str, target: OfSite | None = None) -> None:
    """Let the actor pass, or raise.

    Raises
    ------
    NotFound
        The target is another site's: it is answered as if it did not exist.
    NotPermitted
        The role, the token or its scopes do not permit it.
    KeyError
        There is no such permission.
    """
    rule = PERMISSIONS[permission]
    if _is_of_another_site(actor, target):
        raise NotFound(_("There is no such object at your site."))
    if not rule(actor, target):
        raise NotPermitted(
            _("Your role or token does not permit this (%(permission)s).") % {"permission": permission}
        )

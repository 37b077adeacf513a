"""Which version is a model's default on the whole platform: promotion and rolling back.

A version becomes the default once two people approved it, it was found no worse than the present default on the
reference set and at each site that the switch concerns (`registry.evidence`), and a server has answered for it. One
that was the default before comes back by one click, without figures: whoever rolls back has seen something worse.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from cad_platform import modalities
from cad_platform.accounts.rules import require
from cad_platform.core import outbox, proofs
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, NotFound
from cad_platform.registry import evidence, health
from cad_platform.registry.history import LONGEST_REASON, default_before, has_been_default, record_of
from cad_platform.registry.models import ModelRoute, ModelVersion
from cad_platform.registry.routing import ROUTED_TOPIC
from cad_platform.registry.selectors import newest_first
from cad_platform.studies.typed_text import reason_of

#: Once, while a person waits: longer than a probe, for a server that has to load the weights first.
_PROOF_SECONDS = 20.0
_State = ModelVersion.State


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
        `not_approved`: two people have to approve it first. `not_shown_equal`: figures are missing, or it is worse.
        `not_served`: no server answers for this version now.
    NotFound
        The version was taken away meanwhile.
    """
    require(actor, "model.manage")
    reason = reason_of(reason, longest=LONGEST_REASON)
    if ModelVersion.objects.filter(is_default=True, pk=version.pk).exists():
        return Switch(version, None)
    # As it stands now: whoever asks may have read it before it was approved.
    now = ModelVersion.objects.filter(pk=version.pk).first()
    if now is None:
        raise NotFound(_("There is no such model."))
    _refuse_unfit(actor, now, _default_of(version.name))
    try:
        prove(version)
    except proofs.ProbeFailed as error:
        raise Conflict(why_not_served(version, error), code="not_served") from error
    return _switch(actor, version, reason)


def choose_defaults(actor: Actor, *, settle: bool = False) -> FirstChoice:
    """Give each model that the platform brings, and that has no default, the newest version that a server answers for;
    none to what is for research alone by its manifest or was uploaded, nor where a person has retired one.

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
    have = ModelVersion.objects.filter(Q(is_default=True) | Q(state=_State.RETIRED)).values("name")
    candidates: dict[str, list[ModelVersion]] = {}
    brought = [modality.champion for modality in modalities.registered() if modality.champion]
    in_store = ModelVersion.objects.filter(uploaded_by=None, name__in=brought)
    for version in newest_first(in_store.exclude(name__in=have)):
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


def roll_back(actor: Actor, version: ModelVersion, reason: str = "") -> Switch:
    """Make that version of a model the default again which was before `version`, the present one; asked again when it
    is no longer, nothing more is changed. Waiting analyses go on with
    it, as after every switch; which studies show a result of the other is offered where they are analysed again.

    Raises
    ------
    Conflict
        No version was the default before, or `not_served`.
    NotPermitted, Invalid
    """
    require(actor, "model.manage")
    present = _default_of(version.name)
    if present is not None and present.pk != version.pk:
        return Switch(present, None)
    before = default_before(version.name, version.pk)
    if before is None:
        raise Conflict(_("There is no version to go back to."))
    return make_default(actor, before, reason)


def _default_of(name: str) -> ModelVersion | None:
    return ModelVersion.objects.filter(name=name, is_default=True).first()


def _refuse_unfit(actor: Actor, version: ModelVersion, previous: ModelVersion | None) -> None:
    """Raises `Conflict` where the version may not take the place of `previous`."""
    approved = version.state == _State.APPROVED
    # At the set-up, and only there, the platform's own commands take what lies in the store: there is nobody else.
    first = previous is None and actor.user is None and version.state == _State.UPLOADED
    if first and version.uploaded_by_id is None and not _was_ever_approved(version.name):
        return
    if not approved:
        raise Conflict(
            _("%(version)s cannot become the default: two people have to approve it first.")
            % {"version": version},
            code="not_approved",
        )
    if previous is None or version.came_with_installation or has_been_default(version):
        return
    if missing := evidence.missing(version, previous):
        raise Conflict(
            " ".join([_("%(version)s cannot become the default.") % {"version": version}, *missing]),
            code="not_shown_equal",
        )


def _take_in_at_set_up(siblings: Iterable[ModelVersion]) -> None:
    """All that lies in the store when a model gets its first default was put there by whoever sets the platform up."""
    for each in siblings:
        if each.state == _State.UPLOADED and each.uploaded_by_id is None:
            each.state, each.came_with_installation = _State.APPROVED, True
            each.save(update_fields=["state", "came_with_installation"])


def _was_ever_approved(name: str) -> bool:
    return ModelVersion.objects.filter(name=name, state__in=[_State.APPROVED, _State.RETIRED]).exists()


def _first_that_answers(
    versions: list[ModelVersion], *, settle: bool
) -> tuple[ModelVersion | None, list[str], bool]:
    """Of one model's versions, newest first: the one to take, or why there is none and whether one may come."""
    failures, waits = [], False
    for version in versions:
        try:
            prove(version)
        except proofs.ProbeFailed as error:
            failures.append(f"{version}: {error}")
            waits = waits or error.code == health.AWAY
        else:
            if waits and not settle:
                break
            return version, [], False
    return None, failures, waits


def prove(version: ModelVersion) -> None:
    """Ask a server, for up to 20 s, and leave the outcome where readiness and pages look. Raises `ProbeFailed`."""
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
    _refuse_unfit(actor, chosen, previous)
    if chosen.state != _State.APPROVED:
        _take_in_at_set_up(siblings)
    if previous is not None:
        previous.is_default = False
        previous.save(update_fields=["is_default"])
    chosen.is_default = True
    chosen.save(update_fields=["is_default"])
    # It runs for all of them now.
    ModelRoute.objects.filter(version=chosen).exclude(kind=ModelRoute.Kind.DEFAULT).delete()
    record_of(
        actor,
        "model.make_default",
        chosen,
        previous=previous.version if previous else "",
        **({"reason": reason} if reason else {}),
    )
    outbox.publish(ROUTED_TOPIC, name=chosen.name)
    return Switch(chosen, previous)


def why_not_served(version: ModelVersion, error: proofs.ProbeFailed) -> str:
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

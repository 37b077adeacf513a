"""Which studies a version analyses beside or in place of its model's default: shadow, canary, default of one site."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from cad_platform.accounts.models import Site
from cad_platform.accounts.rules import require
from cad_platform.core import outbox, proofs
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, FieldError, Invalid, NotFound
from cad_platform.registry import evidence
from cad_platform.registry.history import LONGEST_REASON, has_been_default, record_of
from cad_platform.registry.models import ModelRoute, ModelVersion
from cad_platform.registry.routing import ROUTED_TOPIC
from cad_platform.registry.switching import prove, why_not_served
from cad_platform.studies.typed_text import reason_of

Kind = ModelRoute.Kind


def set_route(
    actor: Actor, version: ModelVersion, kind: str, *, site: Site | None = None, percent: int | None = None,
    reason: str = "",
) -> ModelRoute:  # fmt: skip
    """Have an approved version analyse studies in a way of its own, at a site or at all; another version of the model
    that did so there ends. Not to be called inside a transaction: a server is asked first, for up to 20 s.

    Parameters
    ----------
    percent
        Of the patients, from 1 to 99, of a canary.

    Raises
    ------
    NotPermitted
        The actor does not manage models.
    Invalid
        No such kind, a canary without its share, a default of no site.
    Conflict
        `not_approved`, `not_shown_equal` (of a site's default), `not_served`.
    """
    require(actor, "model.manage")
    said = reason_of(reason, longest=LONGEST_REASON)
    _check(kind, site, percent)
    _refuse_unfit(version, kind, site)
    try:
        prove(version)
    except proofs.ProbeFailed as error:
        raise Conflict(why_not_served(version, error), code="not_served") from error
    return _set(actor, version, kind, site, percent, said)


@transaction.atomic
def end_route(actor: Actor, route: ModelRoute, reason: str = "") -> None:
    """From now on the rest decides: the platform's default, or nothing unseen. Analyses that wait go on with the
    version that is routed then.

    Raises
    ------
    NotPermitted, NotFound
    """
    require(actor, "model.manage")
    said = reason_of(reason, longest=LONGEST_REASON)
    _lock_model(route.name)
    row = ModelRoute.objects.select_related("version", "site").filter(pk=route.pk).first()
    if row is None:
        raise NotFound(_("There is no such route."))
    _record(actor, "model.end_route", row, said)
    row.delete()
    outbox.publish(ROUTED_TOPIC, name=row.name)


def routes(actor: Actor, name: str = "") -> list[ModelRoute]:
    """Those of one model, or of all. Raises `NotPermitted`."""
    require(actor, "model.view")
    found = ModelRoute.objects.select_related("version", "site")
    return list(found.filter(name=name) if name else found)


def route_by_id(actor: Actor, route_id: int) -> ModelRoute:
    """One route. Raises `NotPermitted` or `NotFound`."""
    found = next((route for route in routes(actor) if route.pk == route_id), None)
    if found is None:
        raise NotFound(_("There is no such route."))
    return found


def site_called(code: str | None) -> Site | None:
    """The site of a route as a form or a request names it; none where it names none. Raises `Invalid`."""
    if not code:
        return None
    found = Site.objects.filter(code=code).first()
    if found is None:
        raise Invalid(_("There is no such site."), errors=(FieldError(_("There is no such site."), "site"),))
    return found


@transaction.atomic(durable=True)
def _set(
    actor: Actor, version: ModelVersion, kind: str, site: Site | None, percent: int | None, reason: str
) -> ModelRoute:
    row = _lock_model(version.name).get(version.pk)
    if row is None:
        raise NotFound(_("There is no such model."))
    _refuse_unfit(row, kind, site)
    route, _new = ModelRoute.objects.update_or_create(
        name=row.name, site=site, kind=kind,
        defaults={"version": row, "percent": percent, "since": timezone.now()},
    )  # fmt: skip
    _record(actor, "model.route", route, reason)
    outbox.publish(ROUTED_TOPIC, name=row.name)
    return route


def _lock_model(name: str) -> dict[int, ModelVersion]:
    """Every version of a model, locked in one order as whoever switches the default does."""
    rows = ModelVersion.objects.select_for_update().filter(name=name).order_by("pk")
    return {row.pk: row for row in rows}


def _check(kind: str, site: Site | None, percent: int | None) -> None:
    wrong = []
    if kind not in Kind.values:
        wrong.append("kind")
    if kind == Kind.DEFAULT and site is None:
        wrong.append("site")
    if (kind == Kind.CANARY) != (percent is not None) or (percent is not None and not 1 <= percent <= 99):
        wrong.append("percent")
    if wrong:
        raise Invalid(
            _(
                "A route is a shadow, a canary with 1 to 99 percent of the patients, or the default of one site."
            ),
            errors=tuple(FieldError(_("unknown value"), name) for name in wrong),
        )


def _refuse_unfit(version: ModelVersion, kind: str, site: Site | None) -> None:
    if version.state != ModelVersion.State.APPROVED:
        raise Conflict(
            _("%(version)s analyses no study: two people have to approve it first.") % {"version": version},
            code="not_approved",
        )
    if kind != Kind.DEFAULT or site is None:
        return
    present = (
        ModelRoute.objects.filter(name=version.name, site=site, kind=Kind.DEFAULT)
        .select_related("version")
        .first()
    )
    shown = (
        present.version
        if present
        else ModelVersion.objects.filter(name=version.name, is_default=True).first()
    )
    if shown is None or shown.pk == version.pk or version.came_with_installation:
        return
    if not has_been_default(version, site.pk) and (missing := evidence.missing(version, shown, site)):
        said = _("%(version)s cannot become the default there.") % {"version": version}
        raise Conflict(" ".join([said, *missing]), code="not_shown_equal")


def _record(actor: Actor, action: str, route: ModelRoute, reason: str) -> None:
    detail = {"kind": route.kind, "site": route.site.code if route.site else "", "percent": route.percent}
    record_of(actor, action, route.version, **detail, **({"reason": reason} if reason else {}))

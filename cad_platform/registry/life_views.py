"""What is done to a version on its page: examined, approved, routed, retired, rolled back."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from cad_platform.core.actor import Actor, actor_of
from cad_platform.core.errors import Conflict, Invalid
from cad_platform.core.numbers import whole_number
from cad_platform.core.punctuation import listed
from cad_platform.registry import lifecycle, pages, routes, selectors, switching, verification
from cad_platform.registry.models import ModelVersion

_Act = Callable[[Actor, ModelVersion, Any], str]


def _on_a_version(act: _Act) -> Callable[..., HttpResponse]:
    """A POST that does something to a version, says what came of it, and leads back to its page; what is refused is
    said there too."""

    @login_required
    @require_POST
    @wraps(act)
    def view(request: HttpRequest, version_id: int) -> HttpResponse:
        actor = actor_of(request)
        version = selectors.version_by_id(actor, version_id)
        try:
            messages.success(request, act(actor, version, request.POST))
        except (Conflict, Invalid) as refused:
            reasons = listed(sorted({f"{each.field}: {each.reason}" for each in refused.errors}))
            messages.error(request, f"{refused.detail} {reasons}".strip())
        return redirect("model", version.pk)

    return view


@_on_a_version
def verify(actor: Actor, version: ModelVersion, said: Any) -> str:
    verification.request(actor, version)
    return _("%(version)s is being examined. Reload this page in a minute.") % {"version": version}


@_on_a_version
def approve(actor: Actor, version: ModelVersion, said: Any) -> str:
    plan = {name: said.get(name, "") for name in lifecycle.PLAN_FIELDS}
    row = lifecycle.approve(
        actor, version, reason=said.get("reason", ""), change_class=said.get("change_class", ""), **plan
    )
    if row.state == ModelVersion.State.APPROVED:
        return _("%(version)s is approved. It analyses nothing yet.") % {"version": row}
    return _("You have approved %(version)s. Another person has to as well.") % {"version": row}


@_on_a_version
def retire(actor: Actor, version: ModelVersion, said: Any) -> str:
    return _("%(version)s is retired.") % {
        "version": lifecycle.retire(actor, version, said.get("reason", ""))
    }


@_on_a_version
def add_route(actor: Actor, version: ModelVersion, said: Any) -> str:
    site, percent = routes.site_called(said.get("site")), said.get("percent", "").strip()
    share = whole_number(percent, digits=3)
    kind = said.get("kind", "")
    made = routes.set_route(
        actor,
        version,
        kind,
        site=site,
        percent=share if kind == "canary" else None,
        reason=said.get("reason", ""),
    )
    return f"{version}: {made.get_kind_display()}"


@_on_a_version
def roll_back(actor: Actor, version: ModelVersion, said: Any) -> str:
    return pages.after_switch(switching.roll_back(actor, version, said.get("reason", "")))


@login_required
@require_POST
def end_route(request: HttpRequest, route_id: int) -> HttpResponse:
    actor = actor_of(request)
    route = routes.route_by_id(actor, route_id)
    routes.end_route(actor, route, request.POST.get("reason", ""))
    messages.success(request, _("The route is ended."))
    return redirect("model", route.version_id)

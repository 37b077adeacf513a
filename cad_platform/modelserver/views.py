"""The fleet as administrators see it: hosts, their versions and workers, and what a host is told."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from cad_platform.core.actor import Actor, actor_of
from cad_platform.core.errors import Conflict, Invalid, PlatformError, Unavailable
from cad_platform.core.request_keys import done_once
from cad_platform.modelserver import loading, pages, selectors, services
from cad_platform.modelserver.forms import HostForm, LoadForm, ScaleForm
from cad_platform.modelserver.hosts import Version
from cad_platform.modelserver.models import ModelHost


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
@done_once
def fleet(request: HttpRequest) -> HttpResponse:
    """Every host, and a form for another one."""
    actor = actor_of(request)
    form = HostForm(request.POST or None)
    found = pages.rows(actor)
    if request.method == "POST" and form.is_valid():
        try:
            host = services.add_host(actor, **form.cleaned_data)
        except PlatformError as problem:
            form.refuse(problem)
        else:
            messages.success(request, _("The model server is part of the fleet."))
            return redirect("fleet-host", host.pk)
    context = {"nav": "fleet", "hosts": found, "form": form}
    return render(request, "modelserver/fleet.html", context, status=422 if form.errors else 200)


@login_required
@never_cache
@require_GET
def fleet_rows(request: HttpRequest) -> HttpResponse:
    """The list alone, which the page asks for again and again."""
    return render(request, "modelserver/hosts.html", {"hosts": pages.rows(actor_of(request))})


@login_required
@never_cache
@require_GET
def host(request: HttpRequest, host_id: int) -> HttpResponse:
    row = pages.row(actor_of(request), host_id)
    return render(request, "modelserver/host.html", {"nav": "fleet", "row": row, "form": LoadForm()})


@login_required
@require_POST
@done_once
def drain(request: HttpRequest, host_id: int) -> HttpResponse:
    actor = actor_of(request)
    services.drain(actor, selectors.host_by_id(actor, host_id))
    messages.success(request, _("It is given no new work; what it computes ends there."))
    return redirect("fleet-host", host_id)


@login_required
@require_POST
@done_once
def resume(request: HttpRequest, host_id: int) -> HttpResponse:
    actor = actor_of(request)
    services.resume(actor, selectors.host_by_id(actor, host_id))
    messages.success(request, _("It is given work again."))
    return redirect("fleet-host", host_id)


@login_required
@require_POST
@done_once
def remove(request: HttpRequest, host_id: int) -> HttpResponse:
    actor = actor_of(request)
    services.remove_host(actor, selectors.host_by_id(actor, host_id))
    messages.success(request, _("The model server is taken out of the fleet."))
    return redirect("fleet")


@login_required
@require_POST
def load(request: HttpRequest, host_id: int) -> HttpResponse:
    actor = actor_of(request)
    found = selectors.host_by_id(actor, host_id)
    form = LoadForm(request.POST)
    if not form.is_valid():
        row = pages.row(actor, host_id)
        return render(
            request, "modelserver/host.html", {"nav": "fleet", "row": row, "form": form}, status=422
        )
    wanted = form.cleaned_data
    version = Version(wanted["model"], wanted["version"])
    return _tell(request, host_id, lambda: loading.register(actor, found, version, wanted["workers"]))


@login_required
@require_POST
def scale(request: HttpRequest, host_id: int, version_id: int) -> HttpResponse:
    actor = actor_of(request)
    found, version = selectors.hosted_version(actor, host_id, version_id)
    form = ScaleForm(request.POST)

    def scaled() -> None:
        if not form.is_valid():
            raise Invalid(_("A version has 1 to %(most)s workers.") % {"most": loading.MOST_WORKERS})
        loading.scale(actor, found, version, form.cleaned_data["minimum"], form.cleaned_data["maximum"])

    return _tell(request, host_id, scaled)


@login_required
@require_POST
def make_default(request: HttpRequest, host_id: int, version_id: int) -> HttpResponse:
    return _tell_of_version(request, host_id, version_id, loading.make_default)


@login_required
@require_POST
def restart(request: HttpRequest, host_id: int, version_id: int) -> HttpResponse:
    return _tell_of_version(request, host_id, version_id, loading.restart_workers)


@login_required
@require_POST
def unload(request: HttpRequest, host_id: int, version_id: int) -> HttpResponse:
    return _tell_of_version(request, host_id, version_id, loading.unregister)


def _tell_of_version(
    request: HttpRequest, host_id: int, version_id: int, do: Callable[[Actor, ModelHost, Version], None]
) -> HttpResponse:
    actor = actor_of(request)
    found, version = selectors.hosted_version(actor, host_id, version_id)
    return _tell(request, host_id, lambda: do(actor, found, version))


def _tell(request: HttpRequest, host_id: int, do: Callable[[], None]) -> HttpResponse:
    """What the host was told, or why not, stands above its page."""
    try:
        do()
    except (Conflict, Invalid, Unavailable) as problem:
        messages.error(request, problem.detail)
    else:
        messages.success(request, _("The model server was told. What it does is seen here in a few seconds."))
    return redirect("fleet-host", host_id)

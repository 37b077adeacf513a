"""The administrators' pages of who has which role."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from cad_platform.accounts import roles as role_services
from cad_platform.accounts import selectors
from cad_platform.accounts.forms import RoleForm
from cad_platform.core.actor import actor_of
from cad_platform.core.errors import PlatformError
from cad_platform.core.request_keys import done_once

PAGE_SIZE = 50


@login_required
@never_cache
@require_GET
def roles(request: HttpRequest) -> HttpResponse:
    """Who has which role at which site, since when, by whom and why."""
    found = role_services.people(actor_of(request))
    page = Paginator(found, PAGE_SIZE).get_page(request.GET.get("page"))
    return render(request, "accounts/roles.html", {"nav": "roles", "page": page, "query": ""})


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
@done_once
def person(request: HttpRequest, user_id: int) -> HttpResponse:
    """One person's role: another is given, or it is taken; below, all that was."""
    actor = actor_of(request)
    found = selectors.user_by_id(actor, user_id)
    form = RoleForm(
        request.POST or None,
        sites=selectors.open_sites(actor, found),
        initial={"role": found.role, "site": found.site_id},
    )
    if request.method == "POST":
        try:
            if request.POST.get("access") == "take":
                role_services.take(actor, found, request.POST.get("reason", ""))
                messages.success(request, _("The role is taken: sessions have ended and tokens are refused."))
                return redirect("roles")
            if form.is_valid():
                role_services.give(actor, found, **form.cleaned_data)
                messages.success(request, _("The role is given."))
                return redirect("person-roles", user_id)
        except PlatformError as problem:
            form.is_valid()
            form.errors.clear()
            form.refuse(problem)
    context: dict[str, Any] = {
        "nav": "roles",
        "person": found,
        "form": form,
        "changes": role_services.changes_of(actor, found),
        "is_self": found.pk == request.user.pk,
    }
    status = 422 if form.is_bound and form.errors else 200
    return render(request, "accounts/person_roles.html", context, status=status)

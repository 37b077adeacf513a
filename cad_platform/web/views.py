"""The way in, and the pages for what goes wrong."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from cad_platform.core.actor import actor_of
from cad_platform.core.errors import NotFound, NotPermitted, PlatformError
from cad_platform.web.middleware import problem_answer
from cad_platform.web.navigation import entries_of


@login_required
def home(request: HttpRequest) -> HttpResponse:
    """Everybody starts at the first page of their navigation."""
    for entry in entries_of(actor_of(request)):
        return redirect(entry.name)
    raise NotPermitted(_("Your role does not permit this."))


def _problem(request: HttpRequest, problem: PlatformError) -> HttpResponse:
    return problem_answer(request, problem)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _problem(request, PlatformError(_("The browser sent something that cannot be understood.")))


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _problem(request, NotPermitted(_("Your role does not permit this.")))


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _problem(request, NotFound(_("There is no such page, or it belongs to another site.")))


def server_error(request: HttpRequest) -> HttpResponse:
    """Without context processors: they may be what failed."""
    return render(None, "web/server_error.html", status=500)

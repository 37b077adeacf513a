"""What is done to many jobs at once: asked for on a page that says to how many, and how far it is. Thin edges."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from cad_platform.analysis import again, bulk, choosing
from cad_platform.analysis.models import BulkAction
from cad_platform.core.actor import Actor, actor_of
from cad_platform.core.errors import Conflict, NotFound
from cad_platform.core.request_keys import done_once

#: A set of studies of its own, with the progress of such sets.
_AGAIN = "again"


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
@done_once
def ask(request: HttpRequest, kind: str) -> HttpResponse:
    """How many jobs of a choice it would be done to; sent, it is asked for."""
    if kind not in {_AGAIN, *BulkAction.Kind.values}:
        raise NotFound(_("There is no such page."))
    actor = actor_of(request)
    asked = request.POST if request.method == "POST" else request.GET
    choice = choosing.choice_from({name: str(value) for name, value in asked.items()})
    if request.method == "POST":
        return _ask_for(request, actor, kind, choice)
    found = choosing.chosen(actor, choice)
    count = (
        again.without_result(choosing.studies_of(actor, choice)).count()
        if kind == _AGAIN
        else bulk.fitting(found, kind).count()
    )
    context = {
        "nav": "jobs", "kind": kind, "count": count, "fitting": found.count(),
        "query": choice.query(), "back": _address(choice),
    }  # fmt: skip
    return render(request, "analysis/many.html", context)


@login_required
@never_cache
@require_GET
def action(request: HttpRequest, action_id: uuid.UUID) -> HttpResponse:
    """How far one is."""
    return render(request, "analysis/many_done.html", _context(request, action_id))


@login_required
@never_cache
@require_GET
def progress(request: HttpRequest, action_id: uuid.UUID) -> HttpResponse:
    """The same, polled while something waits."""
    return render(request, "analysis/many_progress.html", _context(request, action_id))


def _context(request: HttpRequest, action_id: uuid.UUID) -> dict[str, Any]:
    found = bulk.progress(actor_of(request), action_id)
    back = (
        reverse("jobs") + f"?{urlencode(found.action.criteria)}" if found.action.criteria else reverse("jobs")
    )
    return {"nav": "jobs", "each": found, "back": back}


def _ask_for(request: HttpRequest, actor: Actor, kind: str, choice: choosing.JobChoice) -> HttpResponse:
    try:
        if kind == _AGAIN:
            again.reanalyse_set(actor, choosing.studies_of(actor, choice), {"chosen": "jobs"})
            return redirect("reanalyses")
        made = bulk.ask(actor, kind, choosing.chosen(actor, choice), choice.query())
    except Conflict as nothing:
        # They went on while the page stood open: no error, and the page says how it is now.
        messages.warning(request, nothing.detail)
        return redirect(_address(choice))
    return redirect("jobs-action", made.pk)


def _address(choice: choosing.JobChoice) -> str:
    query = choice.query()
    return reverse("jobs") + (f"?{urlencode(query)}" if query else "")

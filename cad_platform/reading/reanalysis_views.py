"""Analysing sets of studies again: which, how many, how far. Thin edges, as in `views`."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from cad_platform import modalities
from cad_platform.analysis import again
from cad_platform.analysis import selectors as analyses
from cad_platform.core.actor import Actor, actor_of
from cad_platform.core.errors import Conflict
from cad_platform.core.numbers import whole_number
from cad_platform.core.request_keys import done_once
from cad_platform.reading import reanalysis
from cad_platform.reading import reanalysis_presenter as presenter
from cad_platform.reading.reanalysis import Choice
from cad_platform.reading.views import fingerprint_of
from cad_platform.registry.routing import routed_versions
from cad_platform.studies.models import Study


def _address(choice: Choice) -> str:
    query = choice.query()
    return reverse("reanalyses") + (f"?{urlencode(query)}" if query else "")


def _choice(request: HttpRequest) -> Choice:
    """From the form; or, as the models' pages link it, what is not by the version in use."""
    asked = request.POST if request.method == "POST" else request.GET
    model = whole_number(asked.get("model", ""))
    if model is not None and "shown" not in asked:
        return reanalysis.other_than(model)
    return reanalysis.choice_from({name: str(value) for name, value in asked.items()})


def _extent(actor: Actor, choice: Choice) -> dict[str, Any]:
    extent = reanalysis.extent(actor, choice)
    return {
        "extent": extent,
        "choice": choice,
        "asked": presenter.asked_words(choice.criteria()),
        "why_nothing": presenter.why_nothing(extent) if extent.needed == 0 else "",
        "query": choice.query(),
    }


def _progress(request: HttpRequest, actor: Actor) -> dict[str, Any]:
    sets = presenter.set_views(analyses.reanalyses(actor))
    context = {
        "sets": sets,
        "polls": any(each.is_open for each in sets),
        "every_site": actor.site_id is None,
    }
    return {
        **context,
        "fingerprint": fingerprint_of(render_to_string("reading/reanalysis_sets.html", context)),
    }


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
@done_once
def reanalyses(request: HttpRequest) -> HttpResponse:
    """Choose studies, see how many need it, have them analysed; below, how far the sets are."""
    actor = actor_of(request)
    choice = _choice(request)
    if request.method == "POST":
        return _ask_for(request, actor, choice)
    if request.htmx:  # type: ignore[attr-defined]
        response = render(request, "reading/reanalysis_choice.html", _extent(actor, choice))
        response["HX-Replace-Url"] = _address(choice)
        return response
    context = {
        "nav": "reanalyses",
        **_extent(actor, choice),
        **_progress(request, actor),
        "states": presenter.states(),
        "modalities": [("", _("All")), *modalities.choices()],
        "priorities": [("", _("All")), *Study.Priority.choices],
        "shown_options": presenter.shown_options(reanalysis.versions_to_choose(actor), _in_use(choice)),
    }
    return render(request, "reading/reanalyses.html", context)


def _in_use(choice: Choice) -> list[Any]:
    """The versions in use, and the one that the choice compares with."""
    found = list(routed_versions())
    asked = choice.version if choice.shown == reanalysis.Shown.OTHER else None
    return found if asked is None or asked in found else [*found, asked]


def _ask_for(request: HttpRequest, actor: Actor, choice: Choice) -> HttpResponse:
    try:
        made = again.reanalyse_set(actor, reanalysis.chosen(actor, choice), choice.criteria())
    except Conflict as nothing:
        # They were analysed while the page stood open: no error, and the page says how it is now.
        messages.warning(request, nothing.detail)
    else:
        (progress,) = analyses.progress_of([made])
        said = ngettext(
            "%(count)d study is analysed again.", "%(count)d studies are analysed again.", progress.total
        )
        messages.success(request, said % {"count": progress.total})
    return redirect(_address(choice))


@login_required
@never_cache
@require_GET
def progress(request: HttpRequest) -> HttpResponse:
    """The list of sets, asked for every two seconds while one is open; 204 while nothing changed."""
    context = _progress(request, actor_of(request))
    if request.GET.get("seen") == context["fingerprint"]:
        return HttpResponse(status=204)
    return render(request, "reading/reanalysis_progress.html", context)


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
@done_once
def stop(request: HttpRequest, reanalysis_id: uuid.UUID) -> HttpResponse:
    """Says what stopping means before it is done: it cannot be taken back."""
    actor = actor_of(request)
    found = analyses.reanalysis(actor, reanalysis_id)
    if request.method == "POST":
        again.stop(actor, found)
        messages.success(request, _("The set is stopped. What had begun is still finished."))
        return redirect("reanalyses")
    (view,) = presenter.set_views(analyses.progress_of([found]))
    return render(request, "reading/reanalysis_stop.html", {"nav": "reanalyses", "set": view})


@login_required
@never_cache
@require_GET
def offer(request: HttpRequest, version_id: int) -> HttpResponse:
    """What a model's page says of the studies that show a result of another version."""
    actor = actor_of(request)
    extent = reanalysis.extent(actor, reanalysis.other_than(version_id))
    context = {"count": extent.needed, "version_id": version_id}
    return render(request, "reading/reanalysis_offer.html", context)

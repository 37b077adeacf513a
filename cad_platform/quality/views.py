"""The administrators' pages about what the models do: figures, alerts, and the rules that raise them."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from cad_platform.core.actor import actor_of
from cad_platform.core.errors import NotFound, PlatformError
from cad_platform.core.numbers import whole_number
from cad_platform.core.request_keys import done_once
from cad_platform.quality import known_truth, pages, selectors, services
from cad_platform.quality.forms import NoteForm, RuleForm
from cad_platform.quality.models import Measure
from cad_platform.registry.selectors import version_by_id

PAGE_SIZE = 50


@login_required
@never_cache
@require_GET
def figures(request: HttpRequest) -> HttpResponse:
    """Figures of one version over a time, with charts, their numbers, and what stands out."""
    actor = actor_of(request)
    asked = request.GET
    choice = selectors.choose(actor, asked.get("version", ""), asked.get("site", ""), asked.get("days", ""))
    context = {
        "nav": "quality",
        "page": pages.page_of(actor, choice),
        "choice": choice,
        "versions": selectors.versions(actor),
        "sites": selectors.sites(actor),
        "periods": selectors.PERIODS,
        "standing": selectors.alerts(actor, standing=True),
    }
    return render(request, "quality/figures.html", context)


@login_required
@never_cache
@require_GET
def alerts(request: HttpRequest) -> HttpResponse:
    """What goes on, and what was."""
    actor = actor_of(request)
    ended = Paginator(selectors.alerts(actor, standing=False), PAGE_SIZE).get_page(request.GET.get("page"))
    context = {"nav": "quality", "standing": selectors.alerts(actor, standing=True), "page": ended}
    return render(request, "quality/alerts.html", context)


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
@done_once
def alert(request: HttpRequest, alert_id: uuid.UUID) -> HttpResponse:
    """One alert, and a form to take it on."""
    actor = actor_of(request)
    found = selectors.alert(actor, alert_id)
    form = NoteForm(request.POST or None, initial={"note": found.note})
    if request.method == "POST" and form.is_valid():
        try:
            services.acknowledge(actor, found.pk, form.cleaned_data["note"])
        except PlatformError as problem:
            form.refuse(problem)
        else:
            messages.success(request, _("The alert is acknowledged."))
            return redirect("alert", found.pk)
    context = {"nav": "quality", "alert": found, "evidence": pages.evidence_of(found), "form": form}
    return render(request, "quality/alert.html", context, status=422 if form.errors else 200)


@login_required
@never_cache
@require_GET
def rules(request: HttpRequest) -> HttpResponse:
    """From which values on somebody is told."""
    found = [(rule, pages.UNITS[Measure(rule.measure)]) for rule in selectors.rules(actor_of(request))]
    return render(request, "quality/rules.html", {"nav": "quality", "rules": found})


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
@done_once
def rule(request: HttpRequest, measure: str) -> HttpResponse:
    """Change a rule."""
    actor = actor_of(request)
    found = selectors.rules(actor).filter(measure=measure).first()
    if found is None:
        raise NotFound(_("There is no such rule."))
    initial = {"threshold": found.threshold, "owner": found.owner, "is_on": "yes" if found.is_on else "no"}
    form = RuleForm(request.POST or None, initial=initial, owners=selectors.owners(actor))
    if request.method == "POST" and form.is_valid():
        try:
            services.change_rule(actor, measure, **form.cleaned_data)
        except PlatformError as problem:
            form.refuse(problem)
        else:
            messages.success(request, _("The rule is changed."))
            return redirect("alert-rules")
    context = {"nav": "quality", "rule": found, "unit": pages.UNITS[Measure(found.measure)], "form": form}
    return render(request, "quality/rule.html", context, status=422 if form.errors else 200)


@login_required
@require_POST
def known_from_pathology(request: HttpRequest, version_id: int) -> HttpResponse:
    """Take up what signed pathology says, and go back to where versions are compared."""
    actor = actor_of(request)
    version = version_by_id(actor, version_id)
    taken = known_truth.take_from_pathology(actor, version)
    messages.success(request, _("Known studies: %(count)d.") % {"count": taken})
    against = whole_number(request.POST.get("against", ""))
    if against is not None:
        return redirect("model-agreement", version.pk, against)
    return redirect("model", version.pk)

"""The pages of local acceptance: ask for a measurement, see what came of it, sign its verdict."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.forms import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from cad_platform.accounts.rules import allowed
from cad_platform.core.actor import actor_of
from cad_platform.core.errors import Conflict, Invalid, NotFound, PlatformError
from cad_platform.core.request_keys import done_once
from cad_platform.quality import acceptance, acceptance_pages
from cad_platform.quality.forms import AcceptanceForm, SignatureForm
from cad_platform.registry import thresholds

PAGE_SIZE = 50


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
@done_once
def acceptances(request: HttpRequest) -> HttpResponse:
    """What was measured; and a form to have a version measured, for who manages models."""
    actor = actor_of(request)
    found = Paginator(acceptance.acceptances(actor), PAGE_SIZE).get_page(request.GET.get("page"))
    form = None
    if allowed(actor, "model.manage") or request.method == "POST":
        form = AcceptanceForm(
            request.POST or None,
            request.FILES or None,
            versions=acceptance.measurable(actor),
            sites=acceptance.sites(actor),
            initial={"version": request.GET.get("version", "")},
        )
    if request.method == "POST" and form is not None and form.is_valid():
        try:
            made = acceptance.ask(actor, form.cleaned_data["version"], form.cleaned_data["site"], form.text())
        except ValidationError as wrong:
            form.add_error("table", wrong)
        except PlatformError as problem:
            form.refuse(problem)
        else:
            return redirect("acceptance", made.pk)
    context = {"nav": "acceptances", "page": found, "form": form}
    return render(
        request, "quality/acceptances.html", context, status=422 if form is not None and form.errors else 200
    )


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
@done_once
def one(request: HttpRequest, acceptance_id: uuid.UUID) -> HttpResponse:
    """A measurement, and the form of the second person's signature."""
    actor = actor_of(request)
    found = acceptance.acceptance(actor, acceptance_id)
    form = SignatureForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            acceptance.sign(actor, found.pk, form.cleaned_data["note"])
        except PlatformError as problem:
            form.refuse(problem)
        else:
            messages.success(request, _("The verdict is signed."))
            return redirect("acceptance", found.pk)
    context = {
        "nav": "acceptances",
        "page": acceptance_pages.page_of(found),
        "why_not_signed": acceptance_pages.why_not_signed(actor, found),
        "of_thresholds": acceptance_pages.what_of_thresholds(actor, found),
        "approves": allowed(actor, "model.approve"),
        "form": form,
    }
    return render(request, "quality/acceptance.html", context, status=422 if form.errors else 200)


@login_required
@never_cache
@require_GET
def progress(request: HttpRequest, acceptance_id: uuid.UUID) -> HttpResponse:
    """How far it is, polled while it is measured; then the page is shown anew."""
    found = acceptance.acceptance(actor_of(request), acceptance_id)
    answer = render(request, "quality/acceptance_progress.html", {"page": acceptance_pages.page_of(found)})
    if not acceptance_pages.is_open(found):
        answer["HX-Refresh"] = "true"
    return answer


@login_required
@require_POST
@done_once
def site_thresholds(request: HttpRequest, acceptance_id: uuid.UUID, step: str) -> HttpResponse:
    """Propose the site's own thresholds of a measurement, put them in force, or withdraw them."""
    actor = actor_of(request)
    found = acceptance.acceptance(actor, acceptance_id)
    made = thresholds.proposed_by(found.pk)
    try:
        if step == "propose":
            acceptance.propose_thresholds(actor, found.pk)
            messages.success(request, _("The thresholds are proposed. Another person puts them in force."))
        elif step == "sign" and made is not None:
            thresholds.sign(actor, made.pk)
            messages.success(request, _("The thresholds are in force for results from now on."))
        elif step == "withdraw" and made is not None:
            thresholds.withdraw(actor, made.pk, request.POST.get("reason", ""))
            messages.success(request, _("The thresholds are withdrawn."))
        else:
            raise NotFound(_("There are no such thresholds."))
    except (Conflict, Invalid) as refused:
        messages.error(request, refused.detail)
    return redirect("acceptance", found.pk)

"""Pages about how long records are kept: what is due, what is held, what is erased; and, for administrators, for how
many years each site keeps them."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from cad_platform.core.actor import actor_of
from cad_platform.core.errors import PlatformError
from cad_platform.core.request_keys import done_once
from cad_platform.records import erasing, merging, retention
from cad_platform.records.forms import ErasureForm, HoldForm, PolicyForm, ReasonForm
from cad_platform.records.models import ErasureRequest

PAGE_SIZE = 25


@login_required
@never_cache
@require_GET
def due(request: HttpRequest) -> HttpResponse:
    """What is kept for no reason any more, the longest first."""
    actor = actor_of(request)
    page = retention.open_due(actor, page=request.GET.get("page"), size=PAGE_SIZE)
    context = {
        "nav": "retention",
        "page": page,
        "years": retention.years_at(actor.site_id) if actor.site_id else None,
        "query": "",
    }
    return render(request, "records/retention.html", context)


@login_required
@require_POST
@done_once
def ask_of_due(request: HttpRequest) -> HttpResponse:
    """Ask for the erasure of a record that is due, still, as this is sent."""
    actor = actor_of(request)
    asked = request.POST.get("patient", "")
    found = {str(each.pk): each for each in retention.due(actor).filter(pk__in=_uuids(asked))}
    if asked in found:
        years = retention.years_at(found[asked].site_id)
        reason = _("The retention period of %(years)s years is over.") % {"years": years}
        erasing.ask(actor, found[asked], on_behalf=ErasureRequest.OnBehalf.RETENTION, reason=reason)
        messages.success(request, _("Asked for. A second person decides."))
    else:
        messages.info(request, _("This record is not due any more."))
    return redirect("retention")


def _uuids(text: str) -> list[uuid.UUID]:
    try:
        return [uuid.UUID(text)]
    except ValueError:
        return []


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
@done_once
def holds(request: HttpRequest) -> HttpResponse:
    """What is kept whatever the policy says, and a form for one more."""
    actor = actor_of(request)
    form = HoldForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        asked = form.cleaned_data
        try:
            patient = merging.find(actor, asked["patient_id"], asked["issuer"])
            retention.place_hold(actor, patient, asked["reason"])
        except PlatformError as problem:
            form.refuse(problem)
        else:
            messages.success(request, _("The record is held."))
            return redirect("holds")
    page = retention.open_holds(actor, page=request.GET.get("page"), size=PAGE_SIZE)
    context = {"nav": "retention", "page": page, "form": form, "query": ""}
    return render(request, "records/holds.html", context, status=_status(form))


@login_required
@require_POST
@done_once
def lift(request: HttpRequest, hold_id: uuid.UUID) -> HttpResponse:
    retention.lift_hold(actor_of(request), hold_id, request.POST.get("reason", ""))
    messages.success(request, _("The hold is lifted."))
    return redirect("holds")


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
@done_once
def erasures(request: HttpRequest) -> HttpResponse:
    """What was asked for and what came of it, and a form for one more."""
    actor = actor_of(request)
    form = ErasureForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        asked = form.cleaned_data
        try:
            patient = merging.find(actor, asked["patient_id"], asked["issuer"])
            erasing.ask(actor, patient, on_behalf=asked["on_behalf"], reason=asked["reason"])
        except PlatformError as problem:
            form.refuse(problem)
        else:
            messages.success(request, _("Asked for. A second person decides."))
            return redirect("erasures")
    page = erasing.open_requests(actor, page=request.GET.get("page"), size=PAGE_SIZE)
    context = {"nav": "retention", "page": page, "form": form, "query": ""}
    return render(request, "records/erasures.html", context, status=_status(form))


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
@done_once
def erasure(request: HttpRequest, request_id: uuid.UUID) -> HttpResponse:
    """One request: decided by a second person, or refused with a reason; later the proof."""
    actor = actor_of(request)
    found = erasing.open_request(actor, request_id)
    form = ReasonForm(request.POST if request.POST.get("decision") == "refuse" else None)
    if request.method == "POST":
        try:
            if request.POST.get("decision") == "erase":
                erasing.decide(actor, request_id)
                messages.success(request, _("Decided: it is carried out within a minute."))
                return redirect("erasure", request_id)
            if form.is_valid():
                erasing.refuse(actor, request_id, form.cleaned_data["reason"])
                messages.success(request, _("Refused."))
                return redirect("erasure", request_id)
        except PlatformError as problem:
            form = ReasonForm({"reason": request.POST.get("reason", "")})
            form.is_valid()
            form.errors.clear()
            form.refuse(problem)
    context: dict[str, Any] = {
        "nav": "retention",
        "erasure": found,
        "form": form,
        "is_own": found.asked_by_id == request.user.pk,
        "extent": erasing.extent(found),
    }
    return render(request, "records/erasure.html", context, status=_status(form))


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
@done_once
def policies(request: HttpRequest) -> HttpResponse:
    """For how many years each site keeps records."""
    actor = actor_of(request)
    found = retention.policies(actor)
    form = PolicyForm(request.POST or None, sites=[site for site, _years in found])
    if request.method == "POST" and form.is_valid():
        try:
            retention.change_policy(actor, int(form.cleaned_data["site"]), form.cleaned_data["years"])
        except PlatformError as problem:
            form.refuse(problem)
        else:
            messages.success(request, _("Saved."))
            return redirect("retention-policies")
    context = {"nav": "retention-policies", "policies": found, "form": form}
    return render(request, "records/policies.html", context, status=_status(form))


def _status(form: Any) -> int:
    return 422 if form.is_bound and form.errors else 200

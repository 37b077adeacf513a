"""Pages about a patient's record as a whole."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from cad_platform.core.actor import actor_of
from cad_platform.core.errors import PlatformError
from cad_platform.core.request_keys import done_once
from cad_platform.records import merging, selectors
from cad_platform.records.forms import MergeForm, ReasonForm, TwoIdsForm

PAGE_SIZE = 25


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def merges(request: HttpRequest) -> HttpResponse:
    """What was merged, and a form for two ids of one patient; with those it shows both records beside each other."""
    actor = actor_of(request)
    form = TwoIdsForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        asked = form.cleaned_data
        try:
            kept = merging.find(actor, asked["kept"], asked["kept_issuer"])
            gone = merging.find(actor, asked["gone"], asked["gone_issuer"])
            compared = merging.compare(actor, kept, gone)
        except PlatformError as problem:
            form.refuse(problem)
        else:
            merge_form = MergeForm(initial={"kept_id": kept.pk, "gone_id": gone.pk})
            return render(
                request,
                "records/compare.html",
                _comparison(compared, merge_form),
            )
    page = merging.open_merges(actor, page=request.GET.get("page"), size=PAGE_SIZE)
    context = {"nav": "patient-merges", "page": page, "form": form, "query": ""}
    return render(request, "records/merges.html", context, status=422 if form.errors else 200)


@login_required
@require_POST
@done_once
def compare(request: HttpRequest) -> HttpResponse:
    """The two records that were compared become one."""
    actor = actor_of(request)
    form = MergeForm(request.POST)
    if form.is_valid():
        asked = form.cleaned_data
        made = merging.merge(actor, asked["kept_id"], asked["gone_id"], asked["reason"])
        messages.success(request, _("The two records are one now."))
        return redirect("patient-merge", made.pk)
    if "kept_id" in form.errors or "gone_id" in form.errors:
        return redirect("patient-merges")
    kept, gone = (merging.record_by_id(actor, form.cleaned_data[name]) for name in ("kept_id", "gone_id"))
    context = _comparison(merging.compare(actor, kept, gone), form)
    return render(request, "records/compare.html", context, status=422)


def _comparison(compared: merging.Comparison, form: MergeForm) -> dict[str, Any]:
    sides = [compared.kept, compared.gone]
    return {"nav": "patient-merges", "compared": compared, "sides": sides, "form": form}


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
@done_once
def merge(request: HttpRequest, merge_id: uuid.UUID) -> HttpResponse:
    """One merge, and a form to take it back."""
    actor = actor_of(request)
    found = merging.open_merge(actor, merge_id)
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            merging.undo(actor, merge_id, form.cleaned_data["reason"])
        except PlatformError as problem:
            form.refuse(problem)
        else:
            messages.success(request, _("The merge is taken back."))
            return redirect("patient-merge", merge_id)
    context = {
        "nav": "patient-merges",
        "merge": found,
        "studies": selectors.studies_of(actor, found),
        "came_since": selectors.came_since(actor, found),
        "form": form,
    }
    return render(request, "records/merge.html", context, status=422 if form.errors else 200)

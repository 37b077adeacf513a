"""Pages of the learning loop: consent, and versions of a site's data sets."""

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

from cad_platform.accounts.rules import allowed
from cad_platform.core.actor import actor_of
from cad_platform.core.errors import PlatformError
from cad_platform.core.request_keys import done_once
from cad_platform.learning import consent, pages, trainings, versions
from cad_platform.learning.forms import ConsentForm, DatasetForm, TrainingForm
from cad_platform.learning.models import DatasetVersion

PAGE_SIZE = 25


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
@done_once
def consents(request: HttpRequest) -> HttpResponse:
    """What patients said, and a form for what one says now."""
    actor = actor_of(request)
    form = ConsentForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            consent.say(actor, **form.cleaned_data)
        except PlatformError as problem:
            form.refuse(problem)
        else:
            messages.success(request, _("The consent is recorded."))
            return redirect("consents")
    page = consent.open_consents(actor, page=request.GET.get("page"), size=PAGE_SIZE)
    context = {"nav": "consents", "page": page, "form": form, "query": ""}
    return render(request, "learning/consents.html", context, status=422 if form.errors else 200)


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
@done_once
def datasets(request: HttpRequest) -> HttpResponse:
    """The versions, the latest first, and a form to make the next."""
    actor = actor_of(request)
    page = Paginator(versions.versions(actor), PAGE_SIZE).get_page(request.GET.get("page"))
    makes = allowed(actor, "dataset.make")
    form = DatasetForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            made = versions.make(actor, versions.site_of(actor), form.cleaned_data["modality"])
        except PlatformError as problem:
            form.refuse(problem)
        else:
            messages.success(request, _("The version is made."))
            return redirect("dataset", made.pk)
    context = {"nav": "datasets", "page": page, "form": form, "makes": makes, "query": ""}
    return render(request, "learning/datasets.html", context, status=422 if form.errors else 200)


@login_required
@never_cache
@require_GET
def dataset(request: HttpRequest, version_id: uuid.UUID) -> HttpResponse:
    """One version: how much of what, from whom, what is not known of it, and what learned from it."""
    actor = actor_of(request)
    return _page(request, versions.version_by_id(actor, version_id), TrainingForm())


@login_required
@require_POST
@done_once
def train(request: HttpRequest, version_id: uuid.UUID) -> HttpResponse:
    """Have a recipe learn from a version."""
    actor = actor_of(request)
    found = versions.version_by_id(actor, version_id)
    form = TrainingForm(request.POST)
    if form.is_valid():
        try:
            trainings.ask(actor, found, **form.cleaned_data)
        except PlatformError as problem:
            form.refuse(problem)
        else:
            messages.success(request, _("The training waits for a worker."))
            return redirect("dataset", found.pk)
    return _page(request, found, form)


@login_required
@require_POST
@done_once
def change_training(request: HttpRequest, training_id: uuid.UUID) -> HttpResponse:
    """Cancel a training, or go on with it."""
    actor = actor_of(request)
    change = trainings.go_on if request.POST.get("change") == "go_on" else trainings.cancel
    found = change(actor, training_id)
    return redirect("dataset", found.dataset_id)


def _page(request: HttpRequest, found: DatasetVersion, form: TrainingForm) -> HttpResponse:
    actor = actor_of(request)
    context = {
        "nav": "datasets",
        "told": pages.told_of(found),
        "trainings": trainings.trainings(actor).filter(dataset=found),
        "trains": allowed(actor, "model.manage"),
        "form": form,
    }
    return render(request, "learning/dataset.html", context, status=422 if form.errors else 200)

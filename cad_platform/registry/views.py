"""The models as administrators see them: versions, figures, cards and whether they answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from cad_platform.accounts.rules import allowed
from cad_platform.core.actor import actor_of
from cad_platform.registry import pages, selectors, services, switching
from cad_platform.registry.cards import card_html
from cad_platform.registry.life_pages import life_of
from cad_platform.registry.manifest_words import manifest_words
from cad_platform.registry.models import ModelVersion
from cad_platform.registry.serving import serving_of
from cad_platform.registry.stored import is_in_store, plot_of


def flat_metrics(metrics: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Figures of any depth as (dotted name, value), numbers to four digits; long lists are left out."""
    rows: list[tuple[str, str]] = []
    for name, value in metrics.items():
        if isinstance(value, dict):
            rows += flat_metrics(value, f"{prefix}{name}.")
        elif isinstance(value, bool) or not isinstance(value, int | float | list):
            rows.append((prefix + name, str(value)))
        elif isinstance(value, list):
            if len(value) <= 4 and all(isinstance(item, int | float) for item in value):
                rows.append((prefix + name, " – ".join(f"{item:.4g}" for item in value)))
        else:
            rows.append((prefix + name, f"{value:.4g}"))
    return rows


@login_required
@never_cache
@require_GET
def models(request: HttpRequest) -> HttpResponse:
    actor = actor_of(request)
    return render(
        request,
        "registry/models.html",
        {"nav": "models", "groups": pages.groups(actor), "manages": allowed(actor, "model.manage")},
    )


@login_required
@never_cache
@require_GET
def model(request: HttpRequest, version_id: int) -> HttpResponse:
    actor = actor_of(request)
    version = selectors.version_by_id(actor, version_id)
    manifest = selectors.manifest_of(version)
    serving, in_store = serving_of(actor, [version])[version.pk], is_in_store(version)
    context = {
        "nav": "models",
        "version": version,
        "manifest": manifest,
        "title": manifest_words(manifest.title),
        "intended_use": manifest_words(manifest.intended_use),
        "licence": manifest_words(manifest.licence),
        "thresholds": sorted(manifest.thresholds.items()),
        "metrics": flat_metrics(version.metrics),
        "card": card_html(version.card, _plot_url(version) if in_store else None),
        "in_store": in_store,
        "serving": serving,
        "warning": pages.warning_about(version, serving),
        "why_not_default": pages.why_not_default(version, serving),
        "life": life_of(actor, version),
    }
    return render(request, "registry/model.html", context)


@login_required
@require_GET
def plot(request: HttpRequest, version_id: int, name: str) -> HttpResponse:
    version = selectors.version_by_id(actor_of(request), version_id)
    response = HttpResponse(plot_of(version, name), content_type="image/svg+xml")
    response["Cache-Control"] = "private, max-age=300"
    return response


def _plot_url(version: ModelVersion) -> Callable[[str], str]:
    return lambda name: reverse("model-plot", args=[version.pk, name])


@login_required
@require_POST
def make_default(request: HttpRequest, version_id: int) -> HttpResponse:
    actor = actor_of(request)
    version = selectors.version_by_id(actor, version_id)
    switch = switching.make_default(actor, version, request.POST.get("reason", ""))
    messages.success(request, pages.after_switch(switch))
    return redirect("model", version.pk)


@login_required
@require_POST
def register(request: HttpRequest) -> HttpResponse:
    """Read the model store; what is new there becomes known and stands by."""
    outcome = services.register_from_store(actor_of(request))
    for sentence in outcome.refused:
        messages.warning(request, sentence)
    messages.success(request, pages.after_registration(outcome))
    return redirect("models")

"""The models as administrators see them: versions, figures, cards and whether they answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from cad_platform.core.request import actor_of
from cad_platform.registry import selectors, services
from cad_platform.registry.cards import card_html
from cad_platform.registry.models import ModelVersion


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
    probes = selectors.serving_health(actor)
    versions = [
        {"version": version, "probe": probes.get(version.name)} for version in selectors.versions(actor)
    ]
    return render(request, "registry/models.html", {"nav": "models", "versions": versions})


@login_required
@never_cache
@require_GET
def model(request: HttpRequest, version_id: int) -> HttpResponse:
    actor = actor_of(request)
    version = selectors.version_by_id(actor, version_id)
    manifest = selectors.manifest_of(version)
    context = {
        "nav": "models",
        "version": version,
        "manifest": manifest,
        "thresholds": sorted(manifest.thresholds.items()),
        "metrics": flat_metrics(version.metrics),
        "card": card_html(version.card, _plot_url(version) if selectors.is_in_store(version) else None),
        "probe": selectors.serving_health(actor).get(version.name),
    }
    return render(request, "registry/model.html", context)


@login_required
@require_GET
def plot(request: HttpRequest, version_id: int, name: str) -> HttpResponse:
    version = selectors.version_by_id(actor_of(request), version_id)
    response = HttpResponse(selectors.plot_of(version, name), content_type="image/svg+xml")
    response["Cache-Control"] = "private, max-age=300"
    return response


def _plot_url(version: ModelVersion) -> Callable[[str], str]:
    return lambda name: reverse("model-plot", args=[version.pk, name])


@login_required
@require_POST
def make_default(request: HttpRequest, version_id: int) -> HttpResponse:
    actor = actor_of(request)
    version = services.make_default(actor, selectors.version_by_id(actor, version_id))
    messages.success(request, _("New studies are analysed with %(version)s.") % {"version": version})
    return redirect("model", version.pk)

"""What a monitoring system scrapes: every app's figures (`PlatformApp.metrics`) in Prometheus' text format. No patient,
study or user stands in them."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from cad_platform.accounts.rules import require
from cad_platform.core.actor import actor_of
from cad_platform.core.declarations import Metric, Sample, platform_apps
from cad_platform.operations import readiness

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """For who brings the token `CAD_METRICS_TOKEN`, and for administrators."""
    if not _has_token(request):
        if not request.user.is_authenticated:
            return HttpResponse(_("A token is needed."), status=401, headers={"WWW-Authenticate": "Bearer"})
        require(actor_of(request), "job.view_all")
    return HttpResponse(text_of(everything()), content_type=CONTENT_TYPE)


def everything() -> Iterator[Metric]:
    """The figures of every app, and whether each component works."""
    for app in platform_apps():
        yield from app.metrics()
    states = readiness.readiness()
    yield Metric(
        "cad_component_up",
        "Whether a component has lately proven itself",
        tuple(Sample(float(state.ok), {"component": state.name}) for state in states),
    )


def text_of(found: Iterable[Metric]) -> str:
    """The text format."""
    lines = []
    for metric in found:
        lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.kind}"]
        for sample in metric.samples:
            labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in sample.labels.items())
            # All digits: a moment in seconds has ten before the point.
            value = str(sample.value).removesuffix(".0")
            lines.append(f"{metric.name}{{{labels}}} {value}" if labels else f"{metric.name} {value}")
    return "\n".join(lines) + "\n"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _has_token(request: HttpRequest) -> bool:
    wanted, given = settings.METRICS_TOKEN, request.headers.get("Authorization", "")
    return bool(wanted) and hmac.compare_digest(given.encode(), f"Bearer {wanted}".encode())

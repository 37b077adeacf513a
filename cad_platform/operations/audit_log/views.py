"""The audit log for administrators: filtered, paged by the log's own order, exported as CSV."""

from __future__ import annotations

import csv
import json
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from cad_platform.audit.selectors import AuditFilter
from cad_platform.audit.words import OUTCOMES, action_words
from cad_platform.core.actor import actor_of
from cad_platform.core.days import asked_day
from cad_platform.core.numbers import LONG_DIGITS, whole_number
from cad_platform.operations.audit_log import services

PAGE_SIZE = 100
EXPORT_LIMIT = 50_000
COLUMNS = (
    "id",
    "at",
    "actor",
    "token",
    "site",
    "action",
    "object_type",
    "object_id",
    "outcome",
    "request_id",
    "address",
    "detail",
    "seal",
)


def _filter(request: HttpRequest) -> AuditFilter:
    asked = request.GET
    names = ("action", "actor", "object_type", "object_id", "outcome")
    return AuditFilter(
        **{name: asked.get(name, "").strip()[:100].replace("\x00", "") for name in names},
        since=asked_day(asked, "since"),
        until=asked_day(asked, "until"),
    )


@login_required
@never_cache
@require_GET
def log(request: HttpRequest) -> HttpResponse:
    """The newest hundred events, or those before the one that a page ended with."""
    wanted = _filter(request)
    asked = {name: value for name, value in vars(wanted).items() if value}
    before = whole_number(request.GET.get("before", ""), digits=LONG_DIGITS)
    page = services.open_log(actor_of(request), wanted, before=before, size=PAGE_SIZE)
    context: dict[str, Any] = {
        "nav": "audit",
        "events": page.events,
        "wanted": wanted,
        "actions": [(action, action_words(action)) for action in page.actions],
        "outcomes": OUTCOMES.items(),
        "query": urlencode(asked),
        "older": urlencode({**asked, "before": page.events[-1].pk}) if page.more else "",
        "is_older": before is not None,
    }
    return render(request, "operations/audit_log.html", context)


def plain_cell(value: object) -> str:
    """A CSV cell that no spreadsheet takes for a formula (OWASP, CSV injection)."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else text


@login_required
@never_cache
@require_GET
def export(request: HttpRequest) -> HttpResponse:
    """The newest of the filtered log as CSV. The limit bounds the memory of an answer (some 15 MB)."""
    found = services.export_log(actor_of(request), _filter(request))[:EXPORT_LIMIT]
    response = HttpResponse("\ufeff", content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="audit.csv"'
    writer = csv.writer(response)  # type: ignore[arg-type]
    writer.writerow(COLUMNS)
    for event in found.iterator(chunk_size=1000):
        seal = getattr(event, "seal", None)
        cells = (
            event.pk,
            event.at.isoformat(),
            event.actor_label,
            event.token_id,
            event.site.code if event.site else "",
            event.action,
            event.object_type,
            event.object_id,
            event.outcome,
            event.request_id,
            event.address,
            json.dumps(event.detail, ensure_ascii=False, sort_keys=True),
            seal.hash if seal else "",
        )
        writer.writerow([plain_cell(cell) for cell in cells])
    return response

"""Where studies said something else of a patient than is stored: a person decides which is right."""

from __future__ import annotations

import uuid
from datetime import date

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from cad_platform.core.actor import actor_of
from cad_platform.core.request_keys import done_once
from cad_platform.patients import services
from cad_platform.patients.models import DemographicsReview, Sex
from cad_platform.patients.person_name import person_name

PAGE_SIZE = 25


def _differences(review: DemographicsReview) -> list[tuple[str, str, str]]:
    """(field, stored, reported) of a review, in words."""
    labels = {"name": _("Patient name"), "birth_date": _("Date of birth"), "sex": _("Sex")}
    rows = []
    for field, reported in sorted(review.reported.items()):
        stored = review.patient.full_name if field == "name" else getattr(review.patient, field)
        if isinstance(stored, date):
            stored = stored.isoformat()
        if field == "name":
            stored, reported = person_name(stored), person_name(reported)
        elif field == "sex":
            stored, reported = (str(Sex(v).label) if v in Sex.values else v for v in (stored, reported))
        rows.append((labels.get(field, field), stored or "—", reported or "—"))
    return rows


@login_required
@never_cache
@require_GET
def reviews(request: HttpRequest) -> HttpResponse:
    actor = actor_of(request)
    everything = request.GET.get("show") == "all"
    page = services.open_reviews(
        actor, only_open=not everything, page=request.GET.get("page"), size=PAGE_SIZE
    )
    entries = [
        {
            "review": review,
            "differences": _differences(review),
            "issuer": review.patient.other_issuer(review.patient.site),
        }
        for review in page
    ]
    context = {
        "nav": "demographics-reviews",
        "page": page,
        "entries": entries,
        "everything": everything,
        "query": "show=all" if everything else "",
    }
    return render(request, "patients/reviews.html", context)


@login_required
@require_POST
@done_once
def decide(request: HttpRequest, review_id: uuid.UUID) -> HttpResponse:
    take_over = request.POST.get("decision") == "take_over"
    services.decide_review(actor_of(request), review_id, take_over=take_over)
    messages.success(
        request, _("The reported data are taken over.") if take_over else _("The stored data are kept.")
    )
    return redirect("demographics-reviews")

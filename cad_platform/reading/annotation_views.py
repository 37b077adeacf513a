"""Where the viewers send how images are left and what is measured in them: thin edges, answered as JSON."""

from __future__ import annotations

import uuid

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_POST

from cad_platform.core.actor import actor_of
from cad_platform.reading import view_keeping
from cad_platform.reading.annotation_presenter import annotation_answer
from cad_platform.reading.annotations import keep, parsed, report
from cad_platform.reading.view_answers import ViewKept
from cad_platform.studies.selectors import image as image_of
from cad_platform.studies.selectors import study_by_uid


@login_required
@require_POST
def keep_stage_view(request: HttpRequest, uid: str) -> HttpResponse:
    """Layout, tool and what is shown: the reader's own."""
    actor = actor_of(request)
    view_keeping.keep_stage(actor, study_by_uid(actor, uid), request.POST.get("state", ""))
    return JsonResponse(ViewKept().as_json())


@login_required
@require_POST
def keep_image_view(request: HttpRequest, uid: str, image_id: uuid.UUID) -> HttpResponse:
    """Window, zoom, place and frame of one image: the reader's own."""
    actor = actor_of(request)
    study = study_by_uid(actor, uid)
    view_keeping.keep_image(actor, study, image_of(actor, image_id), request.POST.get("state", ""))
    return JsonResponse(ViewKept().as_json())


@login_required
@require_POST
def keep_annotation(request: HttpRequest, uid: str, annotation_id: uuid.UUID) -> HttpResponse:
    """A length or an arrow, as it is now; answered as it stands."""
    actor = actor_of(request)
    drawn = parsed(request.POST.get("state", ""))
    kept = keep(actor, study_by_uid(actor, uid), annotation_id, drawn)
    return JsonResponse(annotation_answer(kept, actor.user).as_json())


@login_required
@require_POST
def report_annotation(request: HttpRequest, uid: str, annotation_id: uuid.UUID) -> HttpResponse:
    """Into the report, or out of it."""
    actor = actor_of(request)
    wanted = request.POST.get("in_report", "") == "1"
    kept = report(actor, study_by_uid(actor, uid), annotation_id, in_report=wanted)
    return JsonResponse(annotation_answer(kept, actor.user).as_json())

"""The page that a version is uploaded on: its script sends the file in pieces, which go on where they ended; without it
the browser sends the whole."""

from __future__ import annotations

import hashlib
import uuid

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from cad_platform.accounts.rules import require
from cad_platform.core.actor import Actor, actor_of
from cad_platform.core.errors import Conflict, FieldError, Invalid
from cad_platform.core.numbers import whole_number
from cad_platform.registry import importing
from cad_platform.registry.models import ModelUpload
from cad_platform.registry.page_answers import upload_page, upload_step


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def upload(request: HttpRequest) -> HttpResponse:
    """The page; and a packed version sent at once."""
    actor = actor_of(request)
    require(actor, "model.manage")
    packed = request.FILES.get("file")
    if request.method == "POST" and packed is not None:
        try:
            row = _received(actor, packed)
        except (Conflict, Invalid) as refused:
            messages.error(request, refused.detail)
            return redirect("model-upload")
        if row.version is not None:
            messages.success(request, _("%(version)s is uploaded.") % {"version": row.version})
            return redirect("model", row.version.pk)
        messages.error(request, row.said)
        return redirect("model-upload")
    context = {"nav": "models", "upload": upload_page().as_json()}
    return render(request, "registry/upload.html", context)


@login_required
@require_POST
def begin(request: HttpRequest) -> JsonResponse:
    """Say what will come; the answer tells from which byte on."""
    said = request.POST
    row = importing.begin(
        actor_of(request),
        file_name=said.get("file_name", ""),
        size=_number(said.get("size", ""), "size"),
        sha256=said.get("sha256", ""),
    )
    return JsonResponse(upload_step(row).as_json())


@login_required
@require_POST
def piece(request: HttpRequest, upload_id: uuid.UUID) -> JsonResponse:
    """The next piece."""
    actor = actor_of(request)
    sent = request.FILES.get("piece")
    content = sent.read(importing.MOST_PIECE + 1) if sent is not None else b""
    row = importing.add(actor, upload_id, _number(request.POST.get("offset", ""), "offset"), content)
    return JsonResponse(upload_step(row).as_json())


@login_required
@require_POST
def finish(request: HttpRequest, upload_id: uuid.UUID) -> JsonResponse:
    """Unpack what was sent."""
    row = importing.finish(actor_of(request), upload_id)
    if row.version is not None:
        messages.success(request, _("%(version)s is uploaded.") % {"version": row.version})
    return JsonResponse(upload_step(row).as_json())


def _received(actor: Actor, packed: UploadedFile) -> ModelUpload:
    digest = hashlib.sha256()
    for block in packed.chunks():
        digest.update(block)
    begun = importing.begin(
        actor, file_name=str(packed.name), size=int(packed.size or 0), sha256=digest.hexdigest()
    )
    packed.seek(begun.received)
    while begun.received < begun.size:
        begun = importing.add(actor, begun.pk, begun.received, packed.read(importing.MOST_PIECE))
    return importing.finish(actor, begun.pk)


def _number(text: str, field: str) -> int:
    number = whole_number(text, digits=15)
    if number is None:
        raise Invalid(_("The upload was not begun."), errors=(FieldError(_("unknown value"), field),))
    return number

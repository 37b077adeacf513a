"""The report section of a case: opening, writing, signing and reading.

The section loads itself into the case page and stands alone as a page. What the script asks for with
`Accept: application/json` is answered as JSON, refusals included.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import patch_cache_control, patch_vary_headers
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from cad_platform.core.actor import actor_of
from cad_platform.core.answers import Answer
from cad_platform.core.days import moment_from
from cad_platform.core.errors import Invalid, PlatformError
from cad_platform.core.numbers import whole_number
from cad_platform.core.problem_details import MEDIA_TYPE, problem_fields
from cad_platform.core.punctuation import listed
from cad_platform.core.request_keys import request_key_of
from cad_platform.reporting import answers, notices, selectors, services, signed_pictures, signing
from cad_platform.reporting.ai_summary import headings_of, summary_of
from cad_platform.reporting.amendments import amendments_of, before
from cad_platform.reporting.content import dump, field_label
from cad_platform.reporting.document import document_of
from cad_platform.reporting.editor import form_groups
from cad_platform.reporting.forms import content_of
from cad_platform.reporting.meanings import meaning_of
from cad_platform.reporting.models import Report
from cad_platform.reporting.record import hash_matches
from cad_platform.studies.models import Study
from cad_platform.studies.selectors import study_by_uid

View = Callable[..., HttpResponseBase]


def answers_json(view: View) -> View:
    """Refusals as problem details with the fields at fault, for the editor to show at their place."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(request, *args, **kwargs)
        except PlatformError as problem:
            body = answers.refusal(problem, getattr(request, "request_id", None))
            return JsonResponse(body, status=problem.status, content_type=MEDIA_TYPE)

    return wrapped


def _json(answer: Answer) -> JsonResponse:
    return JsonResponse(answer.as_json())


def _signed(report: Report) -> dict[str, Any]:
    """A signed report or addendum as its article shows it, with what happened to it since."""
    document = document_of(report, report.signature)
    return {
        "report": report,
        "document": document,
        "key_images": [
            {"cell": cell, "pictures": signed_pictures.shown(report, cell)}
            for cell in document["key_images"]["cells"]
        ],
        "hash_matches": hash_matches(report, report.signature),
        "amendments": [
            {"addendum": each.addendum, "words": notices.amended_words(each)}
            for each in reversed(amendments_of(report))
        ],
        "corrections": notices.corrected_words(report),
    }


def _show(request: HttpRequest, study: Study) -> HttpResponse:
    """The section for this study, as a fragment for the case page or as a page of its own."""
    actor = actor_of(request)
    folder = services.open_folder(actor, study)
    context: dict[str, Any] = {"folder": folder, "study": study, "nav": "worklist"}
    # The page with everything of the case that stands now: what comes later is told (`consistency.case_rules`).
    context["looked_at"] = timezone.now().isoformat()
    context["words"] = answers.report_words().as_json()
    context["documents"] = [_signed(report) for report in reversed(folder.signed)]
    if folder.draft is not None and folder.may_draft:
        content = selectors.draft_content(folder.draft)
        context |= {
            "groups": form_groups(
                content,
                study.modality,
                headings_of(summary_of(study)),
                before(folder.draft) if folder.draft.amends else None,
            ),
            "kind": content.kind,
            "unsaved_lines": dump(content) != folder.draft.content,
            "writers": selectors.other_writers(actor, folder.draft),
            "meaning": meaning_of(folder.draft),
        }
    fragment = request.headers.get("HX-Request") == "true"
    template = "reporting/section.html" if fragment else "reporting/page.html"
    return render(request, template, context)


@login_required
@never_cache
@require_GET
def editor(request: HttpRequest, uid: str) -> HttpResponse:
    """The report section of a study."""
    return _show(request, study_by_uid(actor_of(request), uid))


def _after(request: HttpRequest, study: Study) -> HttpResponse:
    """After a change: the section anew for the script, a redirect for a plain form."""
    if request.headers.get("HX-Request") == "true":
        return _show(request, study)
    return redirect(reverse("report-editor", args=[study.study_instance_uid]))


@login_required
@require_POST
def start(request: HttpRequest, uid: str) -> HttpResponse:
    """Begin the report, or open the draft that was begun."""
    study = study_by_uid(actor_of(request), uid)
    services.open_draft(actor_of(request), study)
    return _after(request, study)


@login_required
@require_POST
def start_addendum(request: HttpRequest, uid: str) -> HttpResponse:
    """Begin an addendum to the signed report."""
    study = study_by_uid(actor_of(request), uid)
    services.open_addendum(actor_of(request), study)
    return _after(request, study)


@login_required
@require_POST
def discard(request: HttpRequest, uid: str, report_id: uuid.UUID) -> HttpResponse:
    """Throw the draft away."""
    study = study_by_uid(actor_of(request), uid)
    services.discard_draft(actor_of(request), report_id)
    return _after(request, study)


def _revision(request: HttpRequest) -> int:
    revision = whole_number(request.POST.get("revision", ""))
    if revision is None:
        raise Invalid(_("The form does not say which revision it started from."))
    return revision


def _looked_at(form: QueryDict) -> datetime | None:
    """When the page, with everything of the case that stood then, was last looked at."""
    try:
        return moment_from(form.get("looked_at", ""))
    except ValueError:
        return None


@login_required
@require_POST
@answers_json
def save(request: HttpRequest, report_id: uuid.UUID) -> HttpResponseBase:
    """Autosave. 409 `stale_revision` names the other writer; with `keep_both` the versions are joined."""
    saved = services.save_draft(
        actor_of(request),
        report_id,
        content_of(request.POST),
        _revision(request),
        keep_both="keep_both" in request.POST,
        request_key=request_key_of(request.POST.get("request_key", "")),
        follows=[key for text in request.POST.getlist("follows")[-50:] if (key := request_key_of(text))],
        looked_at=_looked_at(request.POST),
    )
    return _json(
        answers.DraftSaved(
            revision=saved.report.revision,
            saved_at=saved.report.updated_at,
            lines=[line["finding"] for line in saved.report.content.get("findings", [])],
            chosen_theirs=[field_label(saved.report.content["kind"], name) for name in saved.chosen_theirs],
            contradictions=answers.contradictions_as_told(
                saved.contradictions, saved.case, saved.report.content["kind"]
            ),
            looked_at=saved.at,
        )
    )


@login_required
@require_POST
@answers_json
def presence(request: HttpRequest, report_id: uuid.UUID) -> HttpResponseBase:
    """A sign of life every few seconds; the answer names the other writers and the newest revision."""
    actor = actor_of(request)
    if "leave" in request.POST:
        services.leave_draft(actor, report_id)
        return HttpResponse(status=204)
    report, writers = services.update_presence(actor, report_id)
    notice = _("%(names)s is writing too.") if len(writers) == 1 else _("%(names)s are writing too.")
    return _json(
        answers.DraftPresence(
            revision=report.revision,
            saved_key=report.saved_key,
            saved_at=report.updated_at,
            saved_by=report.updated_by.printed_name if report.updated_by else "",
            notice=notice % {"names": listed(writers)} if writers else "",
        )
    )


@login_required
@never_cache
@require_GET
@answers_json
def readiness(request: HttpRequest, report_id: uuid.UUID) -> HttpResponseBase:
    """What is missing for a signature, and what the signer should know before it."""
    ready = selectors.readiness(actor_of(request), report_id, _looked_at(request.GET))
    return _json(
        answers.SigningReadiness(
            revision=ready.report.revision,
            errors=problem_fields(ready.problems),
            contradictions=answers.contradictions_as_told(
                ready.contradictions, ready.case, ready.report.content["kind"]
            ),
            shown=answers.shown_to_signer(ready.shown),
            digest=ready.digest,
            looked_at=ready.at,
        )
    )


@login_required
@require_POST
@answers_json
def sign(request: HttpRequest, report_id: uuid.UUID) -> HttpResponseBase:
    """Sign with the password, asked once more, what the dialog showed; refusals name what is missing or contradicts.
    `reason_KEY` says why the contradiction of that key is right nonetheless."""
    shown = request.POST.get("shown", "")
    if not shown:
        raise Invalid(_("The form does not say what the signer was shown."))
    before = False
    try:
        signature = signing.sign(
            actor_of(request),
            report_id,
            password=request.POST.get("password", ""),
            revision=_revision(request),
            shown=shown,
            reasons={
                name.removeprefix("reason_"): str(value)
                for name, value in request.POST.items()
                if name.startswith("reason_")
            },
            looked_at=_looked_at(request.POST),
            request_key=request_key_of(request.POST.get("request_key", "")),
        )
    except signing.SignedBefore as known:
        signature, before = known.signature, True
    return _json(
        answers.ReportSigned(
            content_hash=signature.content_hash, signed_at=signature.signed_at, before=before
        )
    )


@login_required
@never_cache
@require_GET
def pdf(request: HttpRequest, report_id: uuid.UUID) -> HttpResponse:
    """The PDF that was made at signing; where something was added since, with a notice on each page (`?as=signed`:
    without)."""
    opened = services.open_pdf(actor_of(request), report_id, as_signed=request.GET.get("as") == "signed")
    with opened.handle as handle:
        response = HttpResponse(handle.read(), content_type="application/pdf")
    name = "addendum" if opened.report.kind == Report.Kind.ADDENDUM else "report"
    response["Content-Disposition"] = f'inline; filename="{name}-{opened.report.content_hash[:12]}.pdf"'
    return response


@login_required
@require_GET
def key_image(request: HttpRequest, report_id: uuid.UUID, sha256: str) -> HttpResponse:
    """One picture of a signed report. Its name is its content, so that a browser need not ask again; only one person's
    may keep it."""
    with signed_pictures.open_picture(actor_of(request), report_id, sha256) as handle:
        response = HttpResponse(handle.read(), content_type="image/jpeg")
    patch_cache_control(response, private=True, max_age=3600, immutable=True)
    patch_vary_headers(response, ["Cookie"])
    return response


@login_required
@never_cache
@require_GET
def trail(request: HttpRequest, uid: str) -> HttpResponse:
    """Who viewed, decided and signed."""
    actor = actor_of(request)
    entries = services.open_trail(actor, study_by_uid(actor, uid))
    return render(request, "reporting/trail.html", {"entries": entries, "nav": "worklist"})

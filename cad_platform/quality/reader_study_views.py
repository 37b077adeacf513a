"""The administrators' pages of reader studies: a table, or what readers signed, is analysed, looked at, and taken along
as a report."""

from __future__ import annotations

import json
import uuid

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.forms import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from cad_platform.core.actor import actor_of
from cad_platform.core.errors import NotFound, PlatformError
from cad_platform.core.request_keys import done_once
from cad_platform.quality import acceptance, picking, reader_studies, reader_study_pages
from cad_platform.quality.forms import ReaderStudyForm, SignedReadingsForm

PAGE_SIZE = 50


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
@done_once
def studies(request: HttpRequest) -> HttpResponse:
    """What was analysed, and a form for another table."""
    actor = actor_of(request)
    found = Paginator(reader_studies.studies(actor), PAGE_SIZE).get_page(request.GET.get("page"))
    form = ReaderStudyForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        try:
            made = reader_studies.analyse(
                actor,
                form.cleaned_data["name"],
                form.text(),
                is_nested=form.cleaned_data["design"] == "nested",
            )
        except ValidationError as wrong:
            form.add_error("table", wrong)
        except PlatformError as problem:
            form.refuse(problem)
        else:
            return redirect("reader-study", made.pk)
    context = {"nav": "reader-studies", "page": found, "form": form}
    return render(request, "quality/reader_studies.html", context, status=422 if form.errors else 200)


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
@done_once
def of_signed_reports(request: HttpRequest) -> HttpResponse:
    """A form: what readers signed of known studies is compared with a version's scores."""
    actor = actor_of(request)
    form = SignedReadingsForm(
        request.POST or None, versions=reader_studies.versions(actor), sites=acceptance.sites(actor)
    )
    if request.method == "POST" and form.is_valid():
        told = form.cleaned_data
        try:
            made = reader_studies.analyse_signed(
                actor, told["name"], told["version"], told["site"], picking.choice_from(told), told["answer"]
            )
        except PlatformError as problem:
            form.refuse(problem)
        else:
            return redirect("reader-study", made.pk)
    context = {"nav": "reader-studies", "form": form}
    return render(request, "quality/reader_study_signed.html", context, status=422 if form.errors else 200)


@login_required
@never_cache
@require_GET
def one(request: HttpRequest, study_id: uuid.UUID) -> HttpResponse:
    """One study: differences, every reader's areas and curves."""
    found = reader_studies.study(actor_of(request), study_id)
    context = {"nav": "reader-studies", "page": reader_study_pages.page_of(found)}
    return render(request, "quality/reader_study.html", context)


@login_required
@never_cache
@require_GET
def report(request: HttpRequest, study_id: uuid.UUID, kind: str) -> HttpResponse:
    """The report as a file: `md` for people, `json` for machines; `csv` is the table, where the platform made it."""
    if kind not in ("md", "json", "csv"):
        raise NotFound(_("There is no such report."))
    found = reader_studies.downloaded(actor_of(request), study_id, kind)
    if kind == "csv":
        answer = HttpResponse(found.table, content_type="text/csv; charset=utf-8")
    elif kind == "json":
        content = json.dumps(found.report, ensure_ascii=False, indent=1) + "\n"
        answer = HttpResponse(content, content_type="application/json")
    else:
        answer = HttpResponse(found.text, content_type="text/markdown; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="reader-study-{found.pk}.{kind}"'
    return answer

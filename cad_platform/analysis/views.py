"""The jobs as administrators see them: what waits, what failed and why, and the button that tries again."""

from __future__ import annotations

import uuid
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from cad_platform.analysis import again, backlog, bulk, choosing, presenter, selectors
from cad_platform.analysis.models import AnalysisJob
from cad_platform.core.actor import actor_of
from cad_platform.core.punctuation import listed
from cad_platform.core.request_keys import done_once

PAGE_SIZE = 50


@login_required
@never_cache
@require_GET
def jobs(request: HttpRequest) -> HttpResponse:
    actor = actor_of(request)
    choice = choosing.choice_from({name: str(value) for name, value in request.GET.items()})
    context = {
        "nav": "jobs",
        "page": Paginator(choosing.chosen(actor, choice), PAGE_SIZE).get_page(request.GET.get("page")),
        "choice": choice,
        "states": [("", _("All")), ("open", _("Waiting or running")), *AnalysisJob.State.choices],
        "queue_options": [("", _("All")), *AnalysisJob.Queue.choices],
        "query": urlencode(choice.query()),
        "queues": presenter.queue_lines(backlog.lines()),
        "at_work": backlog.at_work(),
        "actions": bulk.latest(actor),
        **choosing.options(actor),
    }
    return render(request, "analysis/jobs.html", context)


@login_required
@never_cache
@require_GET
def job(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """One job with every attempt."""
    found = selectors.job_by_id(actor_of(request), job_id)
    in_use = selectors.versions_in_use_for(found)
    context = {
        "nav": "jobs",
        "job": found,
        "in_use": in_use,
        "instead": "" if found.model_version in in_use else listed(in_use),
    }
    return render(request, "analysis/job.html", context)


@login_required
@require_POST
@done_once
def retry(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    actor = actor_of(request)
    tried = again.retry(actor, selectors.job_by_id(actor, job_id))
    messages.success(request, _("%(version)s tries again.") % {"version": tried.model_version})
    return redirect("job", tried.pk)


@login_required
@require_POST
@done_once
def cancel(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    actor = actor_of(request)
    cancelled = again.cancel(actor, selectors.job_by_id(actor, job_id))
    messages.success(request, _("%(version)s was cancelled.") % {"version": cancelled.model_version})
    return redirect("job", cancelled.pk)


@login_required
@require_POST
@done_once
def analyse_again(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """The study of a job whose version is not in use any more, with those that are."""
    actor = actor_of(request)
    asked = again.reanalyse(actor, selectors.job_by_id(actor, job_id).study)
    versions = listed(each.model_version for each in asked)
    messages.success(request, _("%(versions)s looks at this study.") % {"versions": versions})
    return redirect("job", asked[0].pk)

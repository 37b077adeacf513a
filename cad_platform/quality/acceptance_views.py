"""The pages of local acceptance: ask for a measurement, see what came of it, sign its verdict."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.forms import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from cad_platform.accounts.models import Site
from cad_platform.accounts.rules import allowed
from cad_platform.core.actor import Actor, actor_of
from cad_platform.core.errors import Conflict, Invalid, NotFound, PlatformError
from cad_platform.core.request_keys import done_once
from cad_platform.quality import acceptance, acceptance_pages, picking
from cad_platform.quality.acceptance_cases import FEWEST, MOST
from cad_platform.quality.forms import AcceptanceForm, PickForm, SignatureForm
from cad_platform.quality.models import Acceptance
from cad_platform.registry import thresholds
from cad_platform.registry.models import ModelVersion

PAGE_SIZE = 50


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
@done_once
def acceptances(request: HttpRequest) -> HttpResponse:
    """What was measured; and a form to have a version measured, for who manages models."""
    actor = actor_of(request)
    found = Paginator(acceptance.acceptances(actor), PAGE_SIZE).get_page(request.GET.get("page"))
    form = None
    if allowed(actor, "model.manage") or request.method == "POST":
        form = AcceptanceForm(
            request.POST or None,
            request.FILES or None,
            versions=acceptance.measurable(actor),
            sites=acceptance.sites(actor),
            initial={"version": request.GET.get("version", "")},
        )
    if request.method == "POST" and form is not None and form.is_valid():
        try:
            made = acceptance.ask(actor, form.cleaned_data["version"], form.cleaned_data["site"], form.text())
        except ValidationError as wrong:
            form.add_error("table", wrong)
        except PlatformError as problem:
            form.refuse(problem)
        else:
            return redirect("acceptance", made.pk)
    context = {"nav": "acceptances", "page": found, "form": form}
    return render(
        request, "quality/acceptances.html", context, status=422 if form is not None and form.errors else 200
    )


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def pick(request: HttpRequest) -> HttpResponse:
    """The known studies of a site, to tick the cases of a measurement. The choice comes in the body: an accession
    number stands in no address. What is asked for twice is begun once (`acceptance.ask`)."""
    actor = actor_of(request)
    asked = request.POST if request.method == "POST" else request.GET
    form = PickForm(
        asked if asked.get("site") else None,
        versions=acceptance.measurable(actor),
        sites=acceptance.sites(actor),
        initial={"version": asked.get("version", "")},
    )
    found, ticked = None, set(request.POST.getlist("study"))
    if form.is_valid():
        version, site = form.cleaned_data["version"], form.cleaned_data["site"]
        try:
            found = picking.open_known(actor, version, site, picking.choice_from(form.cleaned_data))
            if made := _asked_for(actor, request.POST.get("step", ""), version, site, found, ticked):
                return redirect("acceptance", made.pk)
        except PlatformError as problem:
            form.refuse(problem)
    context = {
        "nav": "acceptances", "form": form, "found": found, "ticked": ticked,
        "fewest": FEWEST, "most": MOST,
    }  # fmt: skip
    return render(request, "quality/pick.html", context, status=422 if form.errors else 200)


def _asked_for(
    actor: Actor, step: str, version: ModelVersion, site: Site, found: picking.Found, ticked: set[str]
) -> Acceptance | None:
    """The measurement, where one is asked for: of what is ticked, or of all that was found."""
    if step == "ticked":
        return acceptance.ask(actor, version, site, studies=sorted(ticked))
    if step != "all":
        return None
    if found.count > len(found.studies):
        raise Invalid(
            _("%(count)d studies fit, and a measurement takes at most %(most)d: narrow the choice.")
            % {"count": found.count, "most": MOST}
        )
    return acceptance.ask(actor, version, site, studies=found.usable)


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
@done_once
def one(request: HttpRequest, acceptance_id: uuid.UUID) -> HttpResponse:
    """A measurement, and the form of the second person's signature."""
    actor = actor_of(request)
    found = acceptance.acceptance(actor, acceptance_id)
    form = SignatureForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            acceptance.sign(actor, found.pk, form.cleaned_data["note"])
        except PlatformError as problem:
            form.refuse(problem)
        else:
            messages.success(request, _("The verdict is signed."))
            return redirect("acceptance", found.pk)
    context = {
        "nav": "acceptances",
        "page": acceptance_pages.page_of(found),
        "why_not_signed": acceptance_pages.why_not_signed(actor, found),
        "of_thresholds": acceptance_pages.what_of_thresholds(actor, found),
        "approves": allowed(actor, "model.approve"),
        "form": form,
    }
    return render(request, "quality/acceptance.html", context, status=422 if form.errors else 200)


@login_required
@never_cache
@require_GET
def progress(request: HttpRequest, acceptance_id: uuid.UUID) -> HttpResponse:
    """How far it is, polled while it is measured; then the page is shown anew."""
    found = acceptance.acceptance(actor_of(request), acceptance_id)
    answer = render(request, "quality/acceptance_progress.html", {"page": acceptance_pages.page_of(found)})
    if not acceptance_pages.is_open(found):
        answer["HX-Refresh"] = "true"
    return answer


@login_required
@require_POST
@done_once
def site_thresholds(request: HttpRequest, acceptance_id: uuid.UUID, step: str) -> HttpResponse:
    """Propose the site's own thresholds of a measurement, put them in force, or withdraw them."""
    actor = actor_of(request)
    found = acceptance.acceptance(actor, acceptance_id)
    made = thresholds.proposed_by(found.pk)
    try:
        if step == "propose":
            acceptance.propose_thresholds(actor, found.pk)
            messages.success(request, _("The thresholds are proposed. Another person puts them in force."))
        elif step == "sign" and made is not None:
            thresholds.sign(actor, made.pk)
            messages.success(request, _("The thresholds are in force for results from now on."))
        elif step == "withdraw" and made is not None:
            thresholds.withdraw(actor, made.pk, request.POST.get("reason", ""))
            messages.success(request, _("The thresholds are withdrawn."))
        else:
            raise NotFound(_("There are no such thresholds."))
    except (Conflict, Invalid) as refused:
        messages.error(request, refused.detail)
    return redirect("acceptance", found.pk)

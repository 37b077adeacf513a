"""The worklist and the case page: thin edges over services, selectors and presenters."""

from __future__ import annotations

import hashlib
import json
import re
import time
import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from cad_platform import modalities
from cad_platform.accounts.rules import allowed
from cad_platform.analysis.again import reanalyse as analyse_again
from cad_platform.core.actor import actor_of
from cad_platform.core.errors import FieldError, Invalid
from cad_platform.core.numbers import whole_number
from cad_platform.core.request_keys import done_once, request_key_of
from cad_platform.reading import selectors, services
from cad_platform.reading.annotation_presenter import annotation_views
from cad_platform.reading.annotations import annotations_of, may_draw
from cad_platform.reading.case_news import correction_rows, news, opened_with, who_and_which
from cad_platform.reading.case_presenter import CasePage, case_page
from cad_platform.reading.case_revision import revision_of
from cad_platform.reading.page_answers import CaseChanged, FormSent
from cad_platform.reading.presenters import worklist_rows
from cad_platform.reading.reanalysis import STATES
from cad_platform.reading.selectors import CaseRecord
from cad_platform.reading.states import ReadingState
from cad_platform.reading.view_keeping import views_of
from cad_platform.reading.worklist import (
    WorklistFilters,
    WorklistOrder,
    WorklistPage,
    page_asked_for,
    revision_of_list,
)
from cad_platform.reading.worklist import worklist as page_of_worklist
from cad_platform.studies.models import Study
from cad_platform.studies.selectors import corrections_of, kept_aside_of, study_by_uid
from cad_platform.studies.selectors import image as image_of
from cad_platform.studies.services import bring_back, withdraw
from cad_platform.studies.side_confirmation import confirm_side


def fingerprint_of(text: str) -> str:
    """Of what a poll would show, so that an unchanged page is answered with 204 and not touched."""
    return hashlib.sha256(f"{get_language()}{text}".encode()).hexdigest()[:32]


#: So long a list may stand without being looked at again: it says for how many minutes a study waits.
_STANDS_SECONDS = 60


@dataclass(frozen=True)
class _Seen:
    """What a list that polls has: which revision it shows, what that came out as, and when."""

    revision: str
    content: str
    at: int

    @classmethod
    def of(cls, request: HttpRequest) -> _Seen | None:
        """None where nothing is shown yet, or other filters were chosen."""
        text = request.POST.get("seen", "")
        if not request.htmx or not re.fullmatch("[0-9a-f]{65,80}", text):  # type: ignore[attr-defined]
            return None
        return cls(text[:32], text[32:64], int(text[64:], 16))

    def __str__(self) -> str:
        return f"{self.revision}{self.content}{self.at:x}"

    @property
    def is_fresh(self) -> bool:
        return 0 <= time.time() - self.at < _STANDS_SECONDS


# --- worklist -------------------------------------------------------------------------------------------


def _filters(request: HttpRequest) -> WorklistFilters:
    """From the query, or from the body where a search may be among them."""
    asked = request.POST if request.method == "POST" else request.GET
    return WorklistFilters(
        state=asked.get("state", "unread"),
        modality=asked.get("modality", ""),
        priority=asked.get("priority", ""),
        order=asked.get("order", WorklistOrder.SUGGESTED),
        search=request.POST.get("search", ""),
        **page_asked_for(asked.get("page", "1")),
    ).cleaned()


def _address(page: WorklistPage) -> str:
    """The worklist's address with these filters; the search stays out of it."""
    plain, filters = WorklistFilters(), page.filters
    names = ("state", "modality", "priority", "order")
    query = {name: getattr(filters, name) for name in names if getattr(filters, name) != getattr(plain, name)}
    query |= {"page": page.place} if page.place != "1" else {}
    return reverse("worklist") + (f"?{urlencode(query)}" if query else "")


def _again(filters: WorklistFilters) -> str:
    """Where the studies of this list are analysed again; nowhere for a state in which none can be."""
    if filters.state not in STATES:
        return ""
    query = {name: getattr(filters, name) for name in ("state", "modality", "priority")}
    return f"{reverse('reanalyses')}?{urlencode({name: value for name, value in query.items() if value})}"


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def worklist(request: HttpRequest) -> HttpResponse:
    """The list of studies. A POST carries the search by patient, so that no patient stands in a URL; a poll
    (`seen`) is answered with 204 while nothing changed, mostly without composing the page."""
    actor = actor_of(request)
    filters = _filters(request)
    seen = _Seen.of(request)
    # First: what changes meanwhile is seen by the next poll.
    revision = fingerprint_of(revision_of_list(actor, filters))
    if seen is not None and seen.revision == revision and seen.is_fresh:
        return HttpResponse(status=204)
    page = page_of_worklist(actor, filters)
    context: dict[str, Any] = {
        "nav": "worklist",
        "page": page,
        "filters": page.filters,
        "rows": worklist_rows(page, timezone.now()),
        "states": [("unread", _("Not signed yet")), *ReadingState.choices, ("all", _("All"))],
        "modalities": [("", _("All")), *modalities.choices()],
        "priorities": [("", _("All")), *Study.Priority.choices],
        "orders": WorklistOrder.choices,
        "is_filtered": page.filters.narrows,
        "again": _again(page.filters) if allowed(actor, "study.reanalyse") else "",
    }
    rows = render_to_string("reading/worklist_rows.html", context, request)
    content = fingerprint_of(rows)
    if page.filters != filters:
        revision = fingerprint_of(revision_of_list(actor, page.filters))
    context["fingerprint"] = str(_Seen(revision, content, int(time.time())))
    if seen is not None and seen.content == content:
        if seen.revision == revision and seen.is_fresh:
            return HttpResponse(status=204)
        # The same, as of now: only what the next poll says is new.
        answer = render(request, "reading/worklist_poll.html", {**context, "out_of_band": True})
        answer["HX-Reswap"] = "none"
        return answer
    services.show_worklist(actor, page)
    if not request.htmx:  # type: ignore[attr-defined]
        return render(request, "reading/worklist.html", context)
    response = render(request, "reading/worklist_results.html", {**context, "out_of_band": True})
    response["HX-Replace-Url"] = _address(page)
    return response


# --- case -----------------------------------------------------------------------------------------------


def _live(request: HttpRequest, record: CaseRecord, page: CasePage, opened: str) -> dict[str, Any]:
    """What the fragment shows that changes while the case is open. `opened`: the version that the page shows."""
    actor = actor_of(request)
    drawn = annotation_views(annotations_of(actor, record.study), actor.user, page.image_names)
    complete = record.study.state == Study.State.COMPLETE and record.study.withdrawn_at is None
    return {
        "page": page,
        "study": record.study,
        "can_decide": not record.is_locked and allowed(actor, "finding.decide", record.study),
        "can_reanalyse": complete and allowed(actor, "study.reanalyse", record.study),
        "is_locked": record.is_locked,
        "news": news(record, opened),
        "drawn": drawn,
        "drawn_json": [each.answer.as_json() for each in drawn],
        "may_draw": may_draw(actor, record.study),
        "may_report": not record.is_locked and allowed(actor, "report.draft", record.study),
    }


@login_required
@never_cache
@require_GET
def case(request: HttpRequest, uid: str) -> HttpResponse:
    """The case page: images, what the models say, the findings and the report."""
    actor = actor_of(request)
    revision = fingerprint_of(
        revision_of(actor, uid)
    )  # first: what changes meanwhile is seen by the next poll
    record = services.open_case(actor, uid)
    page = case_page(record)
    context = _live(request, record, page, opened_with(record))
    live = render_to_string("reading/case_live.html", context, request)
    context |= {
        "nav": "worklist",
        "live": live,
        "fingerprint": revision + fingerprint_of(record.reading_state + live),
        "viewer": page.description(views_of(actor, record.study), may_annotate=may_draw(actor, record.study)),
        "has_images": bool(page.images),
        "opened": opened_with(record),
        "kept_aside": kept_aside_of(actor, record.study),
        "corrections": correction_rows(corrections_of(actor, record.study)),
        "differences": who_and_which(record.study),
        "can_bring_back": record.study.withdrawn_at is not None
        and allowed(actor, "study.withdraw", record.study),
        "can_confirm_sides": record.study.withdrawn_at is None
        and allowed(actor, "study.confirm_side", record.study),
        "can_withdraw": record.study.withdrawn_at is None and allowed(actor, "study.withdraw", record.study),
    }
    return render(request, "reading/case.html", context)


def _fragment(request: HttpRequest, uid: str, seen: str = "") -> HttpResponse:
    live = _live_html(request, uid, seen)
    return HttpResponse(live) if live else HttpResponse(status=204)


def _after(request: HttpRequest, uid: str) -> HttpResponse:
    """After a decision: what the case page shows now; as JSON for the script, which sends until it has an answer."""
    live = _live_html(request, uid)
    if request.headers.get("Accept") == "application/json":
        return JsonResponse(CaseChanged(live=live).as_json())
    return HttpResponse(live)


def _live_html(request: HttpRequest, uid: str, seen: str = "") -> str:
    """What changes while the case is open; empty where the page has `seen` it."""
    actor = actor_of(request)
    revision = fingerprint_of(revision_of(actor, uid))
    if seen.startswith(revision):
        return ""
    record = selectors.case(actor, uid)
    opened = request.GET.get("opened", "") or request.POST.get("opened", "")
    context = _live(request, record, case_page(record), opened)
    live = render_to_string("reading/case_live.html", context, request)
    content = fingerprint_of(record.reading_state + live)
    if seen.endswith(content):
        return ""
    services.show_results(actor, record)
    context |= {"live": live, "fingerprint": revision + content, "out_of_band": True}
    return render_to_string("reading/case_fragment.html", context, request)


@login_required
@never_cache
@require_GET
def case_live(request: HttpRequest, uid: str) -> HttpResponse:
    """What the open page asks for every few seconds; 204, without composing it, while nothing changed."""
    return _fragment(request, uid, request.GET.get("seen", ""))


def _box(text: str) -> list[float] | None:
    """Four numbers as the viewer writes them. Raises `Invalid`."""
    if not text.strip():
        return None
    try:
        box = [float(value) for value in json.loads(text)]
    except (ValueError, TypeError, RecursionError):
        box = []
    if len(box) != 4:
        raise Invalid(_("The box needs four numbers."), errors=(FieldError(_("not a box"), field="box"),))
    return box


@login_required
@require_POST
def decide(request: HttpRequest, uid: str, finding_id: uuid.UUID) -> HttpResponse:
    """Accept, edit, reject or undo."""
    actor = actor_of(request)
    services.decide(
        actor,
        selectors.finding(actor, uid, finding_id),
        request.POST.get("verdict", ""),
        reason=request.POST.get("reason", ""),
        box=_box(request.POST.get("box", "")),
        label=request.POST.get("label", ""),
        request_key=request_key_of(request.POST.get("request_key", "")),
        seen=request.POST.get("seen"),
    )
    return _after(request, uid)


@login_required
@require_POST
def reanalyse(request: HttpRequest, uid: str) -> HttpResponse:
    """Analyse the study with the versions in use now."""
    actor = actor_of(request)
    analyse_again(actor, study_by_uid(actor, uid))
    return _fragment(request, uid)


@login_required
@require_POST
def add_finding(request: HttpRequest, uid: str) -> HttpResponse:
    """A place that the reader marks."""
    actor = actor_of(request)
    services.add_finding(
        actor,
        study_by_uid(actor, uid),
        image_of(actor, _uuid(request.POST.get("image", ""))),
        _box(request.POST.get("box", "")) or (),
        request.POST.get("label", ""),
        _frame(request.POST.get("frame", "")),
        request_key=request_key_of(request.POST.get("request_key", "")),
    )
    return _after(request, uid)


def _frame(text: str) -> int | None:
    """Of a clip, from 0; none where nothing was given."""
    if not text:
        return None
    frame = whole_number(text)
    if frame is None:
        raise Invalid(_("The image has no such frame."))
    return frame


def _uuid(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise Invalid(_("There is no such image.")) from None


def _led_to(request: HttpRequest, page: str, *arguments: str) -> HttpResponse:
    """The page that follows a form; its script, which keeps what was typed until it was taken, is told where it is."""
    if request.headers.get("Accept") == "application/json":
        return JsonResponse(FormSent(location=reverse(page, args=arguments)).as_json())
    return redirect(page, *arguments)


@login_required
@require_POST
@done_once
def confirm_image_side(request: HttpRequest, uid: str, image_id: uuid.UUID) -> HttpResponse:
    """Which breast an image shows, where that was not sure or is wrong."""
    actor = actor_of(request)
    confirm_side(
        actor, image_of(actor, image_id), request.POST.get("side", ""), request.POST.get("reason", "")
    )
    messages.success(request, _("The side is confirmed."))
    return _led_to(request, "case", uid)


@login_required
@require_POST
@done_once
def withdraw_study(request: HttpRequest, uid: str) -> HttpResponse:
    """A study posted for the wrong patient: withdrawn with a reason, never deleted."""
    actor = actor_of(request)
    withdraw(actor, study_by_uid(actor, uid), request.POST.get("reason", ""))
    messages.success(request, _("The study is withdrawn. It stays on record, under “Withdrawn”."))
    return _led_to(request, "worklist")


@login_required
@require_POST
@done_once
def bring_back_study(request: HttpRequest, uid: str) -> HttpResponse:
    """A study that was withdrawn counts again, with a reason and as a new version."""
    actor = actor_of(request)
    bring_back(actor, study_by_uid(actor, uid), request.POST.get("reason", ""))
    messages.success(request, _("The study is back, as a new version."))
    return _led_to(request, "case", uid)

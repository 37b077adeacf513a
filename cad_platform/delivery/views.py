"""The administrators' pages about webhooks: where sites are told, what was sent, and sending it again."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from cad_platform.core.actor import actor_of
from cad_platform.core.errors import Invalid, PlatformError
from cad_platform.core.request_keys import done_once
from cad_platform.delivery import selectors, services
from cad_platform.delivery.destination import allowed_hosts
from cad_platform.delivery.forms import WebhookForm

PAGE_SIZE = 50


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
@done_once
def webhooks(request: HttpRequest) -> HttpResponse:
    """The webhooks, and a form for a new one. Its secret is shown in this answer and never again."""
    actor = actor_of(request)
    form = WebhookForm(request.POST or None, sites=selectors.sites(actor))
    secret = ""
    if request.method == "POST" and form.is_valid():
        try:
            _webhook, secret = services.add_webhook(actor, **form.cleaned_data)
        except PlatformError as problem:
            form.refuse(problem)
        else:
            form = WebhookForm(sites=selectors.sites(actor))
            messages.success(request, _("The webhook is added."))
    context = {
        "nav": "webhooks",
        "webhooks": selectors.webhooks(actor),
        "form": form,
        "secret": secret,
        "any_host": bool(allowed_hosts()),
    }
    status = 422 if form.is_bound and form.errors else 200
    return render(request, "delivery/webhooks.html", context, status=status)


@login_required
@never_cache
@require_GET
def webhook(request: HttpRequest, webhook_id: uuid.UUID) -> HttpResponse:
    """What was sent to one, what waits and what was given up."""
    actor = actor_of(request)
    found = selectors.webhook(actor, webhook_id)
    page = Paginator(selectors.deliveries(actor, found), PAGE_SIZE).get_page(request.GET.get("page"))
    return render(request, "delivery/webhook.html", {"nav": "webhooks", "webhook": found, "page": page})


@login_required
@require_POST
@done_once
def access(request: HttpRequest, webhook_id: uuid.UUID) -> HttpResponse:
    """Pause or resume."""
    paused = request.POST.get("access") == "pause"
    services.set_paused(actor_of(request), webhook_id, paused=paused)
    messages.success(
        request, _("Paused: what happens waits.") if paused else _("Resumed: what waited is sent.")
    )
    return redirect("webhook", webhook_id)


@login_required
@require_POST
@done_once
def remove(request: HttpRequest, webhook_id: uuid.UUID) -> HttpResponse:
    services.remove(actor_of(request), webhook_id)
    messages.success(request, _("The webhook is removed."))
    return redirect("webhooks")


@login_required
@require_POST
@done_once
def replay(request: HttpRequest, webhook_id: uuid.UUID) -> HttpResponse:
    """Send one event again, or all that were given up."""
    try:
        delivery = uuid.UUID(request.POST["delivery"]) if request.POST.get("delivery") else None
    except ValueError:
        raise Invalid(_("There is no such event.")) from None
    count = services.send_again(actor_of(request), webhook_id, delivery)
    messages.success(
        request,
        ngettext("%(count)d event is sent again.", "%(count)d events are sent again.", count)
        % {"count": count},
    )
    return redirect("webhook", webhook_id)

"""The page that compares two versions of a model: how far they agree, and where they disagree the most."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from cad_platform.accounts.rules import allowed
from cad_platform.analysis import comparing, known_studies
from cad_platform.core.actor import actor_of
from cad_platform.core.errors import Invalid
from cad_platform.core.punctuation import listed
from cad_platform.registry import selectors
from cad_platform.registry.evidence import MARGIN


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def agreement(request: HttpRequest, version_id: int, against_id: int) -> HttpResponse:
    """Figures for who approves; the gallery only for who may see the images of their site."""
    actor = actor_of(request)
    version, against = (selectors.version_by_id(actor, key) for key in (version_id, against_id))
    if request.method == "POST":
        table = request.FILES.get("table")
        try:
            if table is not None:
                known = known_studies.record_file(actor, table)
                messages.success(request, _("Known studies: %(count)d.") % {"count": known})
            comparing.ask(actor, version, against)
        except Invalid as refused:
            reasons = listed(error.reason for error in refused.errors)
            messages.error(request, f"{refused.detail} {reasons}")
        else:
            messages.success(request, _("The two are being compared. Reload this page in a minute."))
        return redirect("model-agreement", version.pk, against.pk)
    sees = allowed(actor, "image.view")
    context = {
        "nav": "models",
        "version": version,
        "against": against,
        "rows": comparing.agreement(actor, version, against),
        "margin": MARGIN,
        "enough": comparing.ENOUGH,
        "manages": allowed(actor, "model.manage"),
        "gallery": comparing.pictured(version, comparing.disagreements(actor, version, against))
        if sees
        else None,
    }
    return render(request, "analysis/agreement.html", context)

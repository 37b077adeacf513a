"""The page where a person changes their own keys."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from cad_platform.accounts.commands import COMMANDS, GROUPS
from cad_platform.accounts.keyboard import Keyboard, change_keyboard, keyboard_of
from cad_platform.core.actor import actor_of
from cad_platform.core.errors import Invalid

#: Of a command's field in the form.
_PREFIX = "key-"


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def keyboard(request: HttpRequest) -> HttpResponse:
    """Single keys on or off, and each command's key. One's own only."""
    if request.method == "GET":
        return _page(request, keyboard_of(request.user))
    single_keys = request.POST.get("single_keys") == "on"
    keys = {
        name.removeprefix(_PREFIX): str(value).strip()
        for name, value in request.POST.items()
        if name.startswith(_PREFIX)
    }
    is_reset = "reset" in request.POST
    try:
        change_keyboard(actor_of(request), single_keys=is_reset or single_keys, keys={} if is_reset else keys)
    except Invalid as problem:
        errors = {error.field: error.reason for error in problem.errors}
        return _page(request, Keyboard(single_keys, keys), errors=errors, status=422)
    messages.success(request, _("Every key is as it was at first.") if is_reset else _("Saved."))
    return redirect("keyboard")


def _page(
    request: HttpRequest, shown: Keyboard, *, errors: dict[str, str] | None = None, status: int = 200
) -> HttpResponse:
    errors = errors or {}
    groups = [
        {
            "title": group.title,
            "rows": [
                {
                    "command": command,
                    "name": _PREFIX + command.id,
                    "key": shown.chosen(command),
                    "error": errors.get(command.id, ""),
                }
                for command in group.commands
            ],
        }
        for group in GROUPS
    ]
    unknown = [reason for field, reason in errors.items() if field not in COMMANDS]
    context: dict[str, Any] = {
        "groups": groups,
        "single_keys": shown.single_keys,
        "errors": unknown,
        "is_refused": bool(errors),
    }
    return render(request, "accounts/keyboard.html", context, status=status)

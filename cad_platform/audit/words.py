"""The log in words: each app declares what its actions are called (`PlatformApp.audit_actions`). An unknown code is
shown as it is."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from cad_platform.core.declarations import platform_apps

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as LazyText

OUTCOMES = {
    "success": _("done"),
    "failure": _("failed"),
    "refused": _("refused"),
    "wrong_password": _("wrong password"),
    "locked": _("locked after wrong passwords"),
}


def action_words(action: str, outcome: str = "success") -> str:
    """What was only tried has not happened, and does not read as if it had."""
    if outcome != "success" and action in _attempts():
        return str(_attempts()[action])
    return str(_actions().get(action, action))


def outcome_words(outcome: str) -> str:
    return str(OUTCOMES.get(outcome, outcome))


def actor_words(label: str) -> str:
    """A person's name as it is; a process of the platform by what it does."""
    if not label.startswith("system:"):
        return label
    return str(_("The platform (%(process)s)") % {"process": label.removeprefix("system:")})


@cache
def _actions() -> Mapping[str, str | LazyText]:
    return {action: words for app in platform_apps() for action, words in app.audit_actions.items()}


@cache
def _attempts() -> Mapping[str, str | LazyText]:
    return {action: words for app in platform_apps() for action, words in app.audit_attempts.items()}

"""What every page knows."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from cad_platform.accounts.keyboard import keyboard_of
from cad_platform.web.page_answers import page_settings


def page(request: HttpRequest) -> dict[str, Any]:
    # Asked for by whole pages, seldom by fragments: each is found when a template names it, and once.
    keyboard = cache(lambda: keyboard_of(request.user))
    return {
        "languages": settings.LANGUAGES,
        "keyboard": keyboard,
        "page_settings": cache(lambda: page_settings(request, keyboard()).as_json()),
    }

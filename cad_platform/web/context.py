"""What every page knows."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest

from cad_platform.web.page_answers import page_settings


def page(request: HttpRequest) -> dict[str, Any]:
    return {"languages": settings.LANGUAGES, "page_settings": page_settings().as_json()}

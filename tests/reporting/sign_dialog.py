"""What the sign dialog does, without a browser: asks what the signer is to be shown, then signs under its digest."""

from __future__ import annotations

from typing import Any

from django.test import Client
from django.urls import reverse

from cad_platform.reporting.models import Report
from tests.factories import PASSWORD


def readiness(browser: Client, draft: Report, **asked: str) -> dict[str, Any]:
    """As the page asks for it before it opens the dialog."""
    answer: dict[str, Any] = browser.get(reverse("report-readiness", args=[draft.pk]), asked).json()
    return answer


def sign(browser: Client, draft: Report, password: str = PASSWORD, **fields: str) -> Any:
    """The answer to a signature under what the dialog would show now; `fields` override what it sends."""
    ready = readiness(browser, draft)
    form = {"revision": ready["revision"], "shown": ready["digest"], "password": password, **fields}
    return browser.post(reverse("report-sign", args=[draft.pk]), form)

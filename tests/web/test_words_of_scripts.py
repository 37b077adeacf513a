"""Scripts have one way to their words: JSON in the page, made by a pydantic model (`*/page_answers.py`,
`reporting/answers.py`) and typed in `frontend/src/api_types.ts`."""

from __future__ import annotations

import json
import re

from django.test import Client
from django.utils import translation

from embedded.state import REPOSITORY

_WORDED = re.compile(r"\bdata-[\w-]+=[\"']\{%\s*(?:block)?trans")


def worded_attributes(template: str) -> list[str]:
    """Attributes through which a template hands words to a script."""
    return _WORDED.findall(template)


def test_no_template_hands_words_to_a_script_in_an_attribute() -> None:
    templates = sorted((REPOSITORY / "cad_platform").rglob("templates/**/*.html"))
    assert templates
    assert [str(path) for path in templates if worded_attributes(path.read_text())] == []


def test_a_planted_attribute_is_seen() -> None:
    assert worded_attributes("""<form data-word-saved="{% translate 'Saved' %}">""")
    assert not worded_attributes(
        """<form data-save="{% url 'report-save' 1 %}" title="{% translate 'Save' %}">"""
    )


def test_a_page_holds_its_settings_in_the_readers_language(client: Client, db: None) -> None:
    with translation.override("zh-hans"):
        client.cookies["django_language"] = "zh-hans"
        html = client.get("/accounts/login/").content.decode()
    found = re.search(r'<script id="page-settings" type="application/json">(.*?)</script>', html)
    assert found is not None
    settings = json.loads(found[1])
    assert settings["csrf_cookie"] in client.cookies
    assert "服务器" in settings["words"]["no_answer"]

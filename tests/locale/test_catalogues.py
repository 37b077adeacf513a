"""Every sentence of the interface is translated, and the translations fit their places."""

from __future__ import annotations

from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import override, to_locale

from embedded import messages
from embedded.state import REPOSITORY

LANGUAGES = [code for code, _name in settings.LANGUAGES if code != settings.LANGUAGE_CODE]


@pytest.fixture(scope="module")
def template() -> Catalog:
    return messages.collect(REPOSITORY)


def path_of(language: str) -> Path:
    return settings.LOCALE_PATHS[0] / to_locale(language) / "LC_MESSAGES" / "django.po"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_message_is_translated(language: str, template: Catalog) -> None:
    """On a failure: run `python -m embedded.messages`, translate, and run it again."""
    catalogue = messages.read(path_of(language), to_locale(language))
    assert messages.faults(catalogue, template) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_message_is_kept_that_nobody_uses(language: str, template: Catalog) -> None:
    catalogue = messages.read(path_of(language), to_locale(language))
    used = {(message.id, message.context) for message in template}
    assert [message.id for message in catalogue if (message.id, message.context) not in used] == []


def test_messages_come_from_code_and_from_templates(template: Catalog) -> None:
    for message, place in (
        ("Whole exam", "cad_platform/reporting/kinds/imaging.py"),
        ("Start the report", "cad_platform/reporting/templates/reporting/section.html"),
        (
            ("%(names)s is writing too.", "%(names)s are writing too."),
            "cad_platform/reporting/templates/reporting/draft.html",
        ),
    ):
        found = template.get(message[0] if isinstance(message, tuple) else message)
        assert found is not None and found.id == message
        assert (place, None) in found.locations
    assert template.get("Clear", context="margins") is not None


@pytest.mark.parametrize(
    ("translation", "fault"),
    [("", "not translated: %(name)s left"), ("%(other)s 离开", "placeholders differ: %(name)s left")],
)
def test_a_fault_is_seen(translation: str, fault: str) -> None:
    template, catalogue = Catalog(), Catalog(locale="zh_Hans")
    template.add("%(name)s left")
    assert messages.faults(catalogue, template) == ["missing: %(name)s left"]
    catalogue.add("%(name)s left", translation)
    assert messages.faults(catalogue, template) == [fault]


def test_the_interface_speaks_chinese() -> None:
    """Compiled by the set-up (`python -m embedded.translations`)."""
    with override("zh-hans"):
        assert _("Start the report") == "开始书写报告"

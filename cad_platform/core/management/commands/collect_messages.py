"""`manage.py collect_messages`: bring the translations' catalogues up to date with the code."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils.translation import to_locale

from cad_platform.core import message_catalogue


class Command(BaseCommand):
    help = "Brings locale/*/LC_MESSAGES/django.po up to date with the code and lists what is untranslated."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        template = message_catalogue.collect(settings.BASE_DIR)
        for language, _name in settings.LANGUAGES:
            if language == settings.LANGUAGE_CODE:
                continue
            locale = to_locale(language)
            path = settings.LOCALE_PATHS[0] / locale / "LC_MESSAGES" / "django.po"
            catalogue = message_catalogue.update(path, locale, template)
            for fault in message_catalogue.faults(catalogue, template):
                self.stdout.write(f"{locale}: {fault}")
            self.stdout.write(f"{locale}: {len(catalogue)} messages")

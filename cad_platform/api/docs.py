"""Swagger UI over the schema. Its scripts and styles are files, as the content security policy wants."""

from __future__ import annotations

from django.views.generic import TemplateView


class Docs(TemplateView):
    """Public, like the schema: it says what may be asked, not what is stored."""

    template_name = "api/docs.html"

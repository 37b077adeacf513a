"""The OpenAPI file that the front end's types are made from: the API's, and the JSON that only our own pages read.

`python -m embedded.api_types` has it made by `manage.py spectacular --custom-settings`; the file that hospitals get is
without the pages' part."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

from cad_platform.accounts import session_views as accounts
from cad_platform.reading import page_answers as reading
from cad_platform.reading import view_answers as views
from cad_platform.registry import page_answers as registry
from cad_platform.reporting import answers as reporting
from cad_platform.web import page_answers as web

_OF_PAGES = (
    reading.CaseChanged,
    reading.CaseDescription,
    reading.CaseFinding,
    reading.FormSent,
    views.AnnotationDrawn,
    views.CaseAnnotation,
    views.ViewKept,
    accounts.SessionState,
    web.PageSettings,
    registry.UploadPage,
    registry.UploadStep,
    reporting.DraftPresence,
    reporting.DraftSaved,
    reporting.ReportSigned,
    reporting.ReportWords,
    reporting.SigningReadiness,
    reporting.StaleDraft,
)


def add_answers_of_pages(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """For `POSTPROCESSING_HOOKS`: the schemas of what our pages read beside the API."""
    _models, made = models_json_schema(
        [(model, "serialization") for model in _OF_PAGES], ref_template="#/components/schemas/{model}"
    )
    known = result["components"]["schemas"]
    known.update({name: schema for name, schema in made["$defs"].items() if name not in known})
    return result


SETTINGS = {"POSTPROCESSING_HOOKS": [f"{__name__}.add_answers_of_pages"]}

"""From the editor's form to content: names are those of the content class, empty means not said."""

from __future__ import annotations

from typing import Any

from django.http import QueryDict

from cad_platform.reporting.content import kinds
from cad_platform.reporting.fields import FindingLines, declared


def content_of(form: QueryDict) -> dict[str, Any]:
    """The content that a form describes, still to be validated by `content.parse`. Fields that the form does
    not have keep their defaults; fields that the content does not have are left out (tokens, revision)."""
    kind = form.get("kind", "")
    content: dict[str, Any] = {"kind": kind}
    model = kinds().get(kind)
    for item in declared(model) if model else ():
        if isinstance(item.declaration, FindingLines):
            content[item.name] = _lines(form)
        elif item.name in form:
            text = str(form[item.name])
            content[item.name] = _number(text) if item.is_number else text
    return content


def _lines(form: QueryDict) -> list[dict[str, Any]]:
    pairs = zip(form.getlist("line_finding"), form.getlist("line_text"), strict=False)
    lines = [{"finding": finding or None, "text": text} for finding, text in pairs]
    return [line for line in lines if line["finding"] or str(line["text"]).strip()]


def _number(text: str) -> int | float | str | None:
    """The number that a text is; what is none stays text and is refused with its field."""
    text = text.strip().replace(",", ".")
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if number.is_integer() else number

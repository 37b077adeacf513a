"""From the editor's form to content: names are those of `reporting.content`, empty means not said."""

from __future__ import annotations

from typing import Any

from django.http import QueryDict

from cad_platform.reporting import content as contents

_KINDS: dict[
    str, type[contents.ImagingContent | contents.HistopathologyContent | contents.AddendumContent]
] = {
    "imaging": contents.ImagingContent,
    "histopathology": contents.HistopathologyContent,
    "addendum": contents.AddendumContent,
}
_NUMBERS = frozenset(
    {
        "tubules",
        "nuclei",
        "mitoses",
        "tumour_size_mm",
        "closest_margin_mm",
        "er_percent",
        "pr_percent",
        "ki67_percent",
    }
)


def content_of(form: QueryDict) -> dict[str, Any]:
    """The content that a form describes, still to be validated by `content.parse`. Fields that the form does
    not have keep their defaults; fields that the content does not have are left out (tokens, revision)."""
    kind = form.get("kind", "")
    model = _KINDS.get(kind)
    if model is None:
        return {"kind": kind}
    content: dict[str, Any] = {"kind": kind}
    for name in model.model_fields:
        if name == "findings":
            content[name] = _lines(form)
        elif name != "kind" and name in form:
            text = str(form[name])
            content[name] = _number(text) if name in _NUMBERS else text
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

"""A DICOM person name as people write it."""

from __future__ import annotations

import re

#: Kana, Han and Hangul.
_EAST_ASIAN = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


def person_name(value: str) -> str:
    """A DICOM person name (PS3.5 6.2) as people write it: `Family^Given^Middle^Prefix^Suffix` as
    "Family, Given Middle", a Chinese, Japanese or Korean one without anything between. Of several
    representations the first that says something is taken."""
    group = next((part for part in value.split("=") if part.strip("^ ")), "")
    family, *rest = (part.strip() for part in group.split("^"))
    given = " ".join(part for part in rest[:2] if part)
    separator = "" if _EAST_ASIAN.search(family) and _EAST_ASIAN.search(given) else ", "
    return separator.join(part for part in (family, given) if part)

"""What a study's files say of who and which, where it was not used as it was sent: kept with the study, both values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from imaging.description import DicomHeader

Difference = dict[str, str]
"""`file`, `field`, `header` (the value as sent), `used` and, where there is more to say, `note`."""


def sent_otherwise(file: str, header: DicomHeader, minted: Mapping[str, str]) -> list[Difference]:
    """What one header says of who and which, where it is malformed: `used` is the same where it was kept all the same,
    the UID that stands in its place where it is unusable, and empty where nothing does."""
    return [
        {
            "file": file,
            "field": each.field,
            "header": each.sent,
            "used": each.used if each.used is not None else minted.get(each.field, ""),
            "note": each.note,
        }
        for each in header.as_sent
    ]


def without_repeats(differences: Iterable[Difference]) -> list[Difference]:
    """Each once: what is said of a whole study, or kept as it was sent, is not said again for every file."""
    seen: set[tuple[str, ...]] = set()
    kept = []
    for each in differences:
        same = each["header"] == each["used"]
        key = (
            each["field"],
            each.get("note", ""),
            "" if same else each["header"],
            "" if same else each["used"],
        )
        if "note" not in each or key not in seen:
            kept.append(each)
        seen.add(key)
    return kept


def changed_fields(differences: Iterable[Difference]) -> list[str]:
    """The fields in which something else is used than a header says."""
    return sorted({each["field"] for each in differences if each["header"] != each["used"]})

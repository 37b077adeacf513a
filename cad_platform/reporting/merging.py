"""Two writers changed the same draft: join both versions over the one that they started from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

#: Free text of which both versions can be kept, one under the other.
_TEXTS = {
    "indication",
    "comparison",
    "recommendation_text",
    "impression",
    "clinical",
    "site",
    "diagnosis_text",
    "comment",
    "text",
}


@dataclass(frozen=True)
class Merged:
    """`content` joined; `chosen_theirs` names coded fields that both changed, where the saved value stays."""

    content: dict[str, Any]
    chosen_theirs: tuple[str, ...]


def merge(base: dict[str, Any], theirs: dict[str, Any], mine: dict[str, Any]) -> Merged:
    """A field that one writer changed takes that change. A text that both changed keeps both; of a coded
    field that both changed the saved value stays and is named, for a person to look at."""
    joined, chosen = dict(theirs), []
    for field, own in mine.items():
        other, before = theirs.get(field), base.get(field)
        if own in (other, before):
            continue
        if field == "findings":
            joined[field] = _merge_lines(before or [], other or [], own)
        elif other == before:
            joined[field] = own
        elif field in _TEXTS:
            joined[field] = _both(str(other or ""), str(own or ""))
        else:
            chosen.append(field)
    return Merged(joined, tuple(chosen))


def _both(theirs: str, mine: str) -> str:
    if mine in theirs:
        return theirs
    return mine if theirs in mine else f"{theirs}\n\n{mine}"


def _merge_lines(
    base: list[dict[str, Any]], theirs: list[dict[str, Any]], mine: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Lines of the same finding are joined; the reader's own lines of both are kept."""
    before = {line["finding"]: line["text"] for line in base if line["finding"]}
    own = {line["finding"]: line for line in mine if line["finding"]}
    joined = []
    for line in theirs:
        other = own.pop(line["finding"], None) if line["finding"] else None
        text = line["text"]
        if other is not None and other["text"] not in (text, before.get(line["finding"], "")):
            unchanged = text == before.get(line["finding"], "")
            text = other["text"] if unchanged else _both(text, other["text"])
        joined.append({**line, "text": text})
    joined += own.values()
    present = {line["text"] for line in joined if not line["finding"]}
    joined += [line for line in mine if not line["finding"] and line["text"] not in present]
    return joined

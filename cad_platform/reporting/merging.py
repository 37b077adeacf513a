"""Two writers changed the same draft: join both versions over the one that they started from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cad_platform.reporting.content import ReportContent
from cad_platform.reporting.fields import FindingLines, declared


@dataclass(frozen=True)
class Merged:
    """`content` joined; `chosen_theirs` names coded fields that both changed, where the saved value stays."""

    content: dict[str, Any]
    chosen_theirs: tuple[str, ...]


def merge(
    kind: type[ReportContent], base: dict[str, Any], theirs: dict[str, Any], mine: dict[str, Any]
) -> Merged:
    """Join two writers' versions of a draft.

    A field that one writer changed takes that change. A text that both changed keeps both; of a coded field that both
    changed the saved value stays and is named, for a person to look at.

    Parameters
    ----------
    kind
        The content class of the draft.
    base, theirs, mine
        Stored contents: what both started from, what was saved since, and what is to be saved.
    """
    joined, chosen = dict(theirs), []
    for field in declared(kind):
        name = field.name
        if name not in mine:
            continue
        own, other, before = mine[name], theirs.get(name), base.get(name)
        if own in (other, before):
            continue
        if isinstance(field.declaration, FindingLines):
            joined[name] = _merge_lines(before or [], other or [], own)
        elif other == before:
            joined[name] = own
        elif field.is_text:
            joined[name] = _both(str(other or ""), str(own or ""))
        else:
            chosen.append(name)
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

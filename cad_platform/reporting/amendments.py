"""What a signed report says after its addenda: which of its fields an addendum changes, what counts now, and how the
two are told apart in words.

An addendum names the fields that it changes as the report does, and leaves the others empty. A recommendation and its
details go together, as do a diagnosis and its words: who changes the first says the second anew.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from cad_platform.core.errors import FieldError
from cad_platform.core.punctuation import clauses
from cad_platform.reporting import content as contents
from cad_platform.reporting.content import ReportContent
from cad_platform.reporting.fields import Choice, DeclaredField, declared
from cad_platform.reporting.kinds.addendum import AddendumContent
from cad_platform.reporting.models import Report

#: A field → the one in words that is said anew with it.
_TOGETHER = {"recommendation": "recommendation_text", "diagnosis": "diagnosis_text"}
#: Beyond this many comparisons texts are told apart by lines instead of words.
_MOST_COMPARISONS = 4_000_000
_TOKENS = re.compile(r"\s+|[\u3040-\u30ff\u3400-\u9fff]|[A-Za-z0-9À-ɏ.%-]+|.", re.DOTALL)

Part = tuple[str, str]
"""`same`, `removed` or `added`, and the words."""


@dataclass(frozen=True)
class Change:
    """One field of a report, before an addendum and after it, in words."""

    field: str
    label: str
    before: str
    after: str
    code_before: str = ""
    code_after: str = ""
    parts: tuple[Part, ...] = ()
    """Of a text: its words, told apart."""

    @property
    def words(self) -> str:
        """ "BI-RADS 4C → 2"; of a text only that it changed."""
        if self.parts:
            return _("%(field)s reworded") % {"field": self.label}
        if self.field == "assessment":
            return _("BI-RADS %(before)s → %(after)s") % {
                "before": self.code_before or "—",
                "after": self.code_after,
            }
        is_category = self.field in ("right", "left")
        return _("%(field)s: %(before)s → %(after)s") % {
            "field": self.label,
            "before": (self.code_before if is_category else self.before) or "—",
            "after": self.code_after if is_category else self.after,
        }


@dataclass(frozen=True)
class Amendment:
    """A signed addendum, as its original tells of it."""

    addendum: Report
    changes: tuple[Change, ...]

    @property
    def at(self) -> datetime:
        return self.addendum.signature.signed_at

    @property
    def by(self) -> str:
        return self.addendum.signature.printed_name

    @property
    def words(self) -> str:
        """What it changes, in short."""
        return clauses(change.words for change in self.changes) or _("something was added")


def addenda_of(report: Report) -> list[Report]:
    """The signed addenda of a report, in the order of their signing."""
    signed = report.addenda.filter(state=Report.State.SIGNED)
    return list(signed.select_related("signature__signer").order_by("signature__signed_at", "pk"))


def amendments_of(report: Report, addenda: Sequence[Report] | None = None) -> list[Amendment]:
    """The addenda of a report with what each changed, in the order of their signing."""
    found, content = [], contents.parse(report.content)
    for addendum in addenda_of(report) if addenda is None else addenda:
        added = _added(addendum)
        found.append(Amendment(addendum, tuple(changes(content, added))))
        content = amended(content, added)
    return found


def counting(report: Report, addenda: Iterable[Report] | None = None) -> ReportContent:
    """What a signed report says now: as it was signed, with what its addenda changed."""
    content = contents.parse(report.content)
    for addendum in addenda_of(report) if addenda is None else addenda:
        content = amended(content, _added(addendum))
    return content


def conclusion(content: ReportContent) -> str:
    """The code that a report comes down to: the BI-RADS assessment of the exam, or the diagnosis of the specimen."""
    return str(getattr(content, "assessment", "") or getattr(content, "diagnosis", "") or "")


def conclusion_with(report: Report) -> str:
    """What the report, or the one that this addendum amends, comes down to once this is signed."""
    content = contents.parse(report.content)
    return conclusion(amended(before(report), content) if isinstance(content, AddendumContent) else content)


def before(addendum: Report) -> ReportContent:
    """What counted when an addendum was written: the report that it amends, with the addenda signed before it."""
    assert addendum.amends is not None
    earlier = addenda_of(addendum.amends)
    pks = [each.pk for each in earlier]
    return counting(addendum.amends, earlier[: pks.index(addendum.pk)] if addendum.pk in pks else earlier)


def amended(content: ReportContent, addendum: AddendumContent) -> ReportContent:
    """The content with what an addendum gives anew."""
    given = {
        item.name: value
        for item in _changeable(content)
        if (value := getattr(addendum, item.name)) not in ("", None)
    }
    for name, in_words in _TOGETHER.items():
        if name in given and given[name] != getattr(content, name):
            given.setdefault(in_words, "")
    return content.model_copy(update=given)


def changes(content: ReportContent, addendum: AddendumContent) -> list[Change]:
    """What an addendum changes of a content, field by field, in the order of the form."""
    after = amended(content, addendum)
    return [
        _change(item, getattr(content, item.name), getattr(after, item.name))
        for item in _changeable(content)
        if getattr(content, item.name) != getattr(after, item.name)
    ]


def problems(report: Report, content: ReportContent) -> tuple[FieldError, ...]:
    """What stands between a draft and a signature; of an addendum also what would be wrong with the report as amended
    that was not wrong before."""
    modality = report.study.modality
    found = list(contents.problems(content, modality))
    if isinstance(content, AddendumContent) and report.amends is not None:
        standing = before(report)
        known = set(contents.problems(standing, modality))
        names = {item.name for item in declared(AddendumContent)}
        found += [
            problem
            for problem in contents.problems(amended(standing, content), modality)
            if problem not in known and problem.field in names
        ]
    return tuple(found)


def told_apart(old: str, new: str) -> tuple[Part, ...]:
    """The words of two texts: those that stayed, were struck or added. Chinese is told apart by character."""
    mine, theirs = _TOKENS.findall(old), _TOKENS.findall(new)
    if len(mine) * len(theirs) > _MOST_COMPARISONS:
        mine, theirs = old.splitlines(keepends=True), new.splitlines(keepends=True)
    parts: list[Part] = []
    matcher = difflib.SequenceMatcher(None, mine, theirs, autojunk=False)
    for kind, first, last, other_first, other_last in matcher.get_opcodes():
        if kind == "equal":
            parts.append(("same", "".join(mine[first:last])))
            continue
        if first < last:
            parts.append(("removed", "".join(mine[first:last])))
        if other_first < other_last:
            parts.append(("added", "".join(theirs[other_first:other_last])))
    return tuple(parts)


def _added(addendum: Report) -> AddendumContent:
    content = contents.parse(addendum.content)
    assert isinstance(content, AddendumContent)
    return content


def _changeable(content: ReportContent) -> list[DeclaredField]:
    """The fields of a content that an addendum may change, declared as the content has them."""
    return [item for item in declared(type(content)) if item.name in AddendumContent.model_fields]


def _change(item: DeclaredField, old: object, new: object) -> Change:
    words = item.declaration.words
    if isinstance(item.declaration, Choice):
        labels = dict(item.choices)
        code_before, code_after = str(old or ""), str(new or "")
        return Change(
            item.name,
            str(item.declaration.label),
            str(labels.get(code_before, code_before)),
            str(labels.get(code_after, code_after)),
            code_before,
            code_after,
        )
    old_words, new_words = words(old), words(new)
    return Change(
        item.name,
        str(item.declaration.label),
        old_words,
        new_words,
        parts=told_apart(old_words, new_words),
    )

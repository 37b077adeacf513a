"""Which breast an image shows, and whether that is sure: from what the sender said, the header, the orientation and,
only to doubt the others, the picture. A person resolves what they contradict each other in (`SideConfirmation`).

Pure: it reads no rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from cad_platform.core.punctuation import clauses, named
from imaging import orientation
from imaging.description import ImageFacts, SideClaim

#: The source of what the study part of a post says; every other is an attribute's keyword.
POST = "post"
_ORIENTATION = "PatientOrientation"

#: As the standard writes the attributes that name a side.
_SOURCES = {
    "ImageLaterality": gettext_lazy("Image Laterality"),
    "FrameLaterality": gettext_lazy("Frame Laterality"),
    "Laterality": gettext_lazy("Laterality"),
    "AnatomicRegionSequence": gettext_lazy("Anatomic Region"),
    "ViewPosition": gettext_lazy("View Position"),
    "ViewCodeSequence": gettext_lazy("View Code"),
}
_SIDES = {"L": pgettext_lazy("side", "L"), "R": pgettext_lazy("side", "R")}


class Confirmation(Protocol):
    """A person's word on a side (`studies.models.SideConfirmation`)."""

    side: str
    said: str
    reason: str

    @property
    def by_whom(self) -> str: ...


@dataclass(frozen=True)
class Side:
    """The side that counts.

    Attributes
    ----------
    laterality
        L, R, or empty where nobody says.
    stop
        Why it is not sure, a sentence in the language in use; empty where nothing contradicts.
    confirmed
        Whether a person said so.
    said
        What was said by whom, as one line: a confirmation holds as long as this is the same.
    confirmed_by
        Who said so, and why.
    """

    laterality: str
    stop: str
    confirmed: bool
    said: str
    confirmed_by: str = ""


def with_post_claim(facts: ImageFacts, side: str | None) -> ImageFacts:
    """The facts with the sender's word on the side before all others, or without one."""
    claims = tuple(claim for claim in facts.side_claims if claim.source != POST)
    if side in ("L", "R"):
        claims = (SideClaim(source=POST, side="L" if side == "L" else "R"), *claims)
    return facts.model_copy(update={"side_claims": claims})


def side_of(
    laterality: str,
    view: str,
    facts: ImageFacts,
    *,
    has_chest_wall: bool,
    confirmation: Confirmation | None = None,
) -> Side:
    """Weigh what is said of an image's side.

    Parameters
    ----------
    laterality
        As it is stored: the sender's word, else the header's first.
    view
        The plain abbreviation that counts.
    has_chest_wall
        Whether the picture is a whole view of a breast, whose orientation and chest wall tell something.
    confirmation
        The newest of the image.
    """
    claims = _claims(laterality, view, facts, has_chest_wall=has_chest_wall)
    used = laterality or (claims[0].side if claims else "")
    walls = _walls(facts, used) if has_chest_wall else None
    said = _line(claims, facts if has_chest_wall else ImageFacts(), used)
    if confirmation is not None and confirmation.said == said:
        by = named(confirmation.by_whom, confirmation.reason)
        return Side(confirmation.side, "", True, said, confirmed_by=by)
    against = [claim for claim in claims if claim.side != used]
    only_hint = bool(claims) and all(claim.by_convention for claim in claims)
    if not (against or only_hint or walls):
        return Side(used, "", False, said)
    sentences = [_words(claim, facts) for claim in _one_each(claims, used)]
    if walls:
        sentences.append(walls)
    return Side(used, _("Side unconfirmed: %(reasons)s.") % {"reasons": clauses(sentences)}, False, said)


def _claims(laterality: str, view: str, facts: ImageFacts, *, has_chest_wall: bool) -> list[SideClaim]:
    """Who names a side, the most trusted first. What the orientation says depends on the view, which the sender may
    have put right."""
    claims = [
        claim for claim in facts.side_claims if claim.side in ("L", "R") and claim.source != _ORIENTATION
    ]
    oriented = orientation.side_of(facts.patient_orientation, view) if has_chest_wall else None
    if oriented is not None:
        side, certain = oriented
        claims.append(SideClaim(source=_ORIENTATION, side=side, by_convention=not certain))
    if laterality in ("L", "R") and (not claims or claims[0].side != laterality):
        claims.insert(0, SideClaim(source=POST, side="L" if laterality == "L" else "R"))
    return claims


def _walls(facts: ImageFacts, used: str) -> str:
    """What speaks against the chest wall that can be seen in the picture; empty where nothing does, or it cannot."""
    seen = facts.chest_wall
    if seen is None:
        return ""
    expected = orientation.chest_wall_of(facts.patient_orientation)
    if expected is not None:
        if expected == seen:
            return ""
        return _(
            "the orientation %(letters)s puts the chest wall %(expected)s, the picture shows it %(seen)s"
        ) % {
            "letters": "\\".join(facts.patient_orientation),
            "expected": _border(expected),
            "seen": _border(seen),
        }
    if orientation.from_picture(seen, used):
        return _("the picture shows the chest wall %(seen)s, as of %(breast)s") % {
            "seen": _border(seen),
            "breast": _("a left breast") if seen == "left" else _("a right breast"),
        }
    return ""


def _border(border: str) -> str:
    return {
        "left": _("on the left"),
        "right": _("on the right"),
        "top": _("at the top"),
        "bottom": _("at the bottom"),
    }[border]


def _one_each(claims: Sequence[SideClaim], used: str) -> list[SideClaim]:
    """The first that says what is used, and everyone who says otherwise."""
    first = next((claim for claim in claims if claim.side == used), None)
    return [*([first] if first else []), *(claim for claim in claims if claim.side != used)]


def _words(claim: SideClaim, facts: ImageFacts) -> str:
    if claim.source == POST:
        return _("the post says %(side)s") % {"side": _SIDES[claim.side]}
    if claim.source == _ORIENTATION:
        return _("the orientation %(letters)s is that of %(breast)s") % {
            "letters": "\\".join(facts.patient_orientation),
            "breast": _("a left breast") if claim.side == "L" else _("a right breast"),
        }
    return _("the header says %(side)s (%(source)s)") % {
        "side": _SIDES[claim.side],
        "source": _SOURCES.get(claim.source, claim.source),
    }


def _line(claims: Sequence[SideClaim], facts: ImageFacts, used: str) -> str:
    """What was said, in one line that changes when any of it does."""
    parts = [used, *(f"{claim.source}={claim.side}" for claim in claims)]
    if facts.patient_orientation:
        parts.append("orientation=" + "/".join(facts.patient_orientation))
    if facts.chest_wall:
        parts.append(f"picture={facts.chest_wall}")
    return " ".join(parts)


Source = Literal["", "header", "picture"]


@dataclass(frozen=True)
class Turned:
    """How the stored picture hangs: turned clockwise, then mirrored left to right; and who says so."""

    turn: orientation.Turn = 0
    mirror: bool = False
    source: Source = ""


def turned(side: Side, facts: ImageFacts, *, has_chest_wall: bool) -> Turned:
    """By the header's orientation; by the picture where the header has none; not at all while the side is not sure."""
    if side.stop or not has_chest_wall:
        return Turned()
    if facts.patient_orientation:
        found = orientation.to_hang(facts.patient_orientation, side.laterality)
        return Turned(found[0], found[1], "header") if found and found != (0, False) else Turned()
    if orientation.from_picture(facts.chest_wall, side.laterality):
        return Turned(0, True, "picture")
    return Turned()

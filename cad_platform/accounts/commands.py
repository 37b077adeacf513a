"""What single keys do, as data. The keyboard, the toolbar's words, the sheet of shortcuts and the page where a person
changes them all read this table (ADR 35); a command that is not in it has no key."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as LazyText


class Place(StrEnum):
    """What must have the focus for a command's key to act (WCAG 2.1.4)."""

    IMAGE = "image"
    LIST = "list"
    IMAGE_OR_LIST = "image or list"
    #: Anywhere but in a field; only for keys that are no characters.
    PAGE = "page"

    def overlaps(self, other: Place) -> bool:
        """Whether both may act at once, so that one key cannot do both."""
        if Place.PAGE in (self, other):
            return True
        return self == other or Place.IMAGE_OR_LIST in (self, other)


@dataclass(frozen=True)
class Command:
    """One thing that a key does.

    Attributes
    ----------
    id
        What the scripts register their action under.
    words
        What it does, for the sheet and the preferences.
    key
        As `KeyboardEvent.key` says it, letters small: `a`, `Shift+b`, `?`, `Space`, `PageUp`, `Ctrl+z`; `Arrows` is any
        of the four; two keys with a space between follow each other.
    also
        Other keys that do the same until the command has another key.
    changes_record
        It decides, or opens what decides. Its key waits a moment and is not taken within other characters: they are
        dictated text.
    repeats
        A held key goes on. Of all others a held key acts once.
    """

    id: str
    words: LazyText
    key: str
    place: Place = Place.IMAGE
    also: tuple[str, ...] = ()
    changes_record: bool = False
    repeats: bool = False

    @property
    def is_single_key(self) -> bool:
        """Whether the default is a character: such keys can be changed and switched off."""
        return is_character(self.key)


def is_character(key: str) -> bool:
    """Whether a key, or the first of several, types a character; Ctrl, Alt, Page Up and the like do not."""
    return all(part == "Space" or len(part.removeprefix("Shift+")) == 1 for part in key.split(" ") if part)


@dataclass(frozen=True)
class CommandGroup:
    """Commands under one heading of the sheet."""

    id: str
    title: LazyText
    commands: tuple[Command, ...]


GROUPS = (
    CommandGroup(
        "findings",
        _("Findings"),
        (
            Command("next-finding", _("Next finding"), "n", repeats=True),
            Command("previous-finding", _("Previous finding"), "p", repeats=True),
            Command("accept", _("Accept"), "a", changes_record=True),
            Command("edit", _("Edit: box and label"), "e", changes_record=True),
            Command("reject", _("Reject with a reason"), "r", changes_record=True),
            Command("undo", _("Undo the decision"), "u", changes_record=True),
            Command("draw", _("Mark a finding of your own"), "d", changes_record=True),
            Command("tab-findings", _("Show the findings"), "1"),
            Command("tab-report", _("Show the report"), "2"),
            Command("tab-study", _("Show the study"), "3"),
        ),
    ),
    CommandGroup(
        "image",
        _("Image"),
        (
            Command("window", _("Drag: window and level"), "w"),
            Command("pan", _("Drag: pan"), "h"),
            Command("zoom", _("Drag: zoom"), "z"),
            Command("length", _("Drag: measure a length"), "m"),
            Command("arrow", _("Drag: draw an arrow with a note"), "q"),
            Command("next-drawn", _("Next measurement"), "k", repeats=True),
            Command("move-drawn", _("Move the chosen measurement"), "Ctrl+Arrows", repeats=True),
            Command(
                "resize-drawn",
                _("Move the second end of the chosen measurement"),
                "Ctrl+Shift+Arrows",
                repeats=True,
            ),
            Command("remove-drawn", _("Delete the chosen measurement"), "Delete"),
            Command("undo-drawing", _("Undo measuring"), "Ctrl+z", Place.PAGE, repeats=True),
            Command(
                "redo-drawing",
                _("Redo measuring"),
                "Ctrl+Shift+z",
                Place.PAGE,
                also=("Ctrl+y",),
                repeats=True,
            ),
            Command("move", _("Pan the image, or move the box that is edited"), "Arrows", repeats=True),
            Command(
                "resize", _("Make the box that is edited larger or smaller"), "Shift+Arrows", repeats=True
            ),
            Command("zoom-in", _("Zoom in"), "+", also=("=",), repeats=True),
            Command("zoom-out", _("Zoom out"), "-", also=("_",), repeats=True),
            Command("fit", _("Fit to the window"), "f"),
            Command("actual", _("Full resolution"), "9"),
            Command("reset", _("Reset the view"), "0"),
            Command("flip", _("Flip left and right"), "x"),
            Command("invert", _("Invert"), "i"),
            Command("layout", _("All views, or one"), "v"),
            Command("link", _("Zoom and pan views together"), "l"),
            Command("marks", _("Findings on or off"), "b"),
            Command("faint", _("Fainter marks on or off"), "Shift+b"),
            Command("heatmap", _("Heat map on or off"), "o"),
            Command("heat-fainter", _("Heat map fainter"), "[", repeats=True),
            Command("heat-stronger", _("Heat map stronger"), "]", repeats=True),
            Command("previous-of-view", _("Previous image of the view"), "PageUp"),
            Command("next-of-view", _("Next image of the view"), "PageDown"),
            Command("previous-image", _("Previous image or frame"), ",", repeats=True),
            Command("next-image", _("Next image or frame"), ".", repeats=True),
            Command("play", _("Play or pause frames"), "Space"),
        ),
    ),
    CommandGroup(
        "list",
        _("Worklist"),
        (
            Command("next-study", _("Next study"), "j", Place.LIST, also=("ArrowDown",), repeats=True),
            Command("previous-study", _("Previous study"), "k", Place.LIST, also=("ArrowUp",), repeats=True),
            Command("search", _("Search by patient or accession number"), "/", Place.LIST),
        ),
    ),
    CommandGroup(
        "everywhere",
        _("Everywhere"),
        (
            Command("sheet", _("Show this sheet"), "?", Place.IMAGE_OR_LIST),
            Command("worklist", _("Go to the worklist"), "g w", Place.IMAGE_OR_LIST),
            Command("switch-focus", _("From the image to the panel beside it, and back"), "F6", Place.PAGE),
            Command("cancel", _("Close a dialog, give up an edit"), "Escape", Place.PAGE),
        ),
    ),
)

COMMANDS = {command.id: command for group in GROUPS for command in group.commands}

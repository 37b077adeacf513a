"""A DICOM person name (PS3.5 6.2): as people write it, whether two are the same, and how one is looked for.

A name comes in up to three groups joined by `=`: alphabetic, ideographic and phonetic, each
`Family^Given^Middle^Prefix^Suffix`. Many senders write a Chinese name into the first group, and nothing else.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

#: Kana, Han and Hangul.
_EAST_ASIAN = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\U00020000-\U0003ffff]")
_KANA = re.compile("[\u3040-\u30ff]")
_HAN = re.compile("[\u3400-\u9fff\U00020000-\U0003ffff]")
#: Letters that no decomposition takes apart.
_PLAIN = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "æ": "ae", "œ": "oe", "þ": "th", "ı": "i", "ħ": "h", "ŀ": "l"}
)
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})
_NO_WORD = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class NameGroups:
    """One person's name in up to three scripts; empty where a sender did not give it."""

    alphabetic: str = ""
    ideographic: str = ""
    phonetic: str = ""

    def __bool__(self) -> bool:
        return bool(self.alphabetic or self.ideographic or self.phonetic)

    def same_as(self, other: NameGroups) -> bool:
        """Whether both may be one person's: every script that both are given in says the same, and there is one.
        Two women whose names sound alike differ in their characters."""
        shared = [
            (mine, theirs)
            for mine, theirs in zip(self._values(), other._values(), strict=True)
            if mine and theirs
        ]
        return bool(shared) and all(_compared(mine) == _compared(theirs) for mine, theirs in shared)

    def completed_by(self, other: NameGroups) -> NameGroups:
        """With what only `other` says."""
        return NameGroups(
            *(mine or theirs for mine, theirs in zip(self._values(), other._values(), strict=True))
        )

    def joined(self) -> str:
        """As DICOM writes it, with an ideographic name alone in the first group, as it is sent."""
        if not self.alphabetic:
            return "=".join(group for group in (self.ideographic, self.phonetic) if group)
        return "=".join(self._values()).rstrip("=")

    def columns(self) -> dict[str, str]:
        """As a patient's row has it: `name` is the alphabetic group, or the only one."""
        name = self.alphabetic or self.ideographic or self.phonetic
        return {
            "name": name,
            "name_ideographic": self.ideographic if self.ideographic != name else "",
            "name_phonetic": self.phonetic if self.phonetic != name else "",
        }

    def _values(self) -> tuple[str, str, str]:
        return self.alphabetic, self.ideographic, self.phonetic


def groups_of(value: str) -> NameGroups:
    """The groups of a DICOM person name, each by its script rather than by its place: the first may hold any."""
    if value.startswith("=") and not _EAST_ASIAN.search(value):
        # No group of another script: somebody's plain text.
        return NameGroups(alphabetic=value)
    found = {"alphabetic": "", "ideographic": "", "phonetic": ""}
    for place, part in zip(found, value.split("="), strict=False):
        group = part.strip("^ ") and part.rstrip("^ ").strip()
        script = place
        if group and place != "phonetic":
            script = "ideographic" if _HAN.search(group) or (place == "ideographic") else "alphabetic"
            if place == "ideographic" and _KANA.search(group) and not _HAN.search(group):
                script = "phonetic"
        if group and not found[script]:
            found[script] = group
    return NameGroups(**found)


def person_name(value: str) -> str:
    """A DICOM person name as people write it: `Family^Given^Middle^Prefix^Suffix` as "Family, Given Middle", a Chinese,
    Japanese or Korean one without anything between; what is given in other scripts in brackets after it."""
    first, *others = dict.fromkeys(written for group in value.split("=") if (written := _written(group))) or [
        ""
    ]
    return f"{first} ({', '.join(others)})" if others else first


def _written(group: str) -> str:
    family, *rest = (part.strip() for part in group.split("^"))
    given = " ".join(part for part in rest[:2] if part)
    separator = "" if _EAST_ASIAN.search(family) and _EAST_ASIAN.search(given) else ", "
    return separator.join(part for part in (family, given) if part)


def same_name(one: str, other: str) -> bool:
    """Whether two person names are the same but for case, spacing, trailing components and scripts that only one of
    them is given in."""
    return groups_of(one).same_as(groups_of(other))


def _compared(group: str) -> str:
    separator = "" if _EAST_ASIAN.search(group) else " "
    return re.sub(r"[\s^]+", separator, unicodedata.normalize("NFKC", group)).strip().casefold()


# --- looking for one -------------------------------------------------------------------------------------


def search_text(value: str) -> str:
    """What a search looks through for this name: every word of every group without accents, and the words joined, so
    that one finds it with and without spaces, in either order."""
    found: dict[str, None] = {}
    for group in value.split("="):
        components = [part for part in group.split("^") if part.strip()]
        words = [word for part in components for word in search_words(part)]
        found |= dict.fromkeys(words)
        found |= dict.fromkeys("".join(search_words(part)) for part in components)
        if _EAST_ASIAN.search(group):
            found["".join(words)] = found["".join(reversed(words))] = None
        spelt_out = [
            word for part in components for word in search_words(part.casefold().translate(_UMLAUTS))
        ]
        found |= dict.fromkeys(spelt_out)
    return " ".join(word for word in found if word)


def search_words(query: str) -> list[str]:
    """The words that somebody looks for, folded as `search_text` folds: without case, accents and what stands between
    ("Müller-Lund, Jörg" is `muller`, `lund`, `jorg`)."""
    return [word for word in _NO_WORD.split(_folded(query)) if word]


def _folded(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(character for character in decomposed if not unicodedata.combining(character))
    return unicodedata.normalize("NFC", bare).translate(_PLAIN)

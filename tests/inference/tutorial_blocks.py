"""The fenced blocks of a document, in order: what follows three backquotes, and the text."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FENCE = re.compile(r"^```([^\n]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """`words` after the fence: a language, and a file, `check`, or `not run here`."""

    language: str
    words: str
    text: str


def blocks_of(document: str) -> list[Block]:
    found = []
    for told, text in _FENCE.findall(document):
        language, _, words = told.partition(" ")
        found.append(Block(language, words.strip(), text))
    return found

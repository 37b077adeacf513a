"""What a reader of a page sees, hears or is told by its scripts: the texts of its elements, their titles and labels,
and the words in its JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

_SPOKEN = ("title", "aria-label", "placeholder", "alt", "aria-valuetext", "content")
_VOID = frozenset({"input", "br", "hr", "img", "meta", "link", "path", "rect", "circle", "option", "source"})
_UNSEEN = frozenset({"script", "style", "kbd", "code"})
#: Of the JSON of a page, what is said to people.
_SAID = frozenset({"words", "name", "side_stop", "kept_aside_reason", "warnings", "reason"})


class _Reader(HTMLParser):
    """Codes (`class="code"`), keys and what is marked as another language are no words of ours."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.read: list[str] = []
        """Those that are no title or label."""
        self._open: list[tuple[str, bool]] = []
        self._json: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        hidden = (
            tag in _UNSEEN
            or "code" in (found.get("class") or "").split()
            or ("lang" in found and tag != "html")
        )
        is_seen = not hidden and all(seen for _tag, seen in self._open)
        if is_seen and tag not in {"meta", "link"}:
            self.texts += [found[name] or "" for name in _SPOKEN if found.get(name) and name != "content"]
            if tag == "input" and found.get("type") in {"submit", "button"}:
                self.texts.append(found.get("value") or "")
        if tag == "script" and found.get("type") == "application/json":
            self._json.append("")
        if tag not in _VOID or tag == "option":
            self._open.append((tag, not hidden))

    def handle_endtag(self, tag: str) -> None:
        while self._open and any(each == tag for each, _seen in self._open):
            if self._open.pop()[0] == tag:
                break

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1][0] == "script" and self._json:
            self._json[-1] += data
        elif data.strip() and all(seen for _tag, seen in self._open):
            self.texts.append(" ".join(data.split()))
            self.read.append(self.texts[-1])

    def said(self) -> list[str]:
        found = list(self.texts)
        for text in self._json:
            if text.strip():
                found += _words(json.loads(text), False)
        return found


def _words(value: Any, is_said: bool) -> Iterator[str]:
    if isinstance(value, str):
        if is_said:
            yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _words(each, is_said or key in _SAID)
    elif isinstance(value, list):
        for each in value:
            yield from _words(each, is_said)


def shown(html: str) -> list[str]:
    """Every text that a page shows, says or hands to its scripts."""
    reader = _Reader()
    reader.feed(html)
    return reader.said()


def repeated(html: str) -> list[str]:
    """Sentences and names that stand back to back with themselves."""
    bare = re.sub(r"<(script|template|svg|datalist|select)\b.*?</\1>", " ", html, flags=re.S)
    reader = _Reader()
    reader.feed(re.sub(r'<span class="when-open">.*?</span>', "", bare, flags=re.S))
    texts = [text.strip(" .:：。") for text in reader.read]
    doubled = [
        one for one, two in pairwise(texts) if one == two and len(one) > 3 and re.search(r"[^\W\d]", one)
    ]
    whole = " ".join(texts)
    return doubled + [
        match[1] for match in re.finditer(r"\b([^\W\d]\w*(?: \w+)+)[.:。：]? \1\b", whole, re.I)
    ]

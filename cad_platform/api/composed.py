"""Answers as they were composed last, by their entity tags: a study that somebody polls is not composed anew each time.

A tag names one revision of one study for one kind of reader (`api.entity_tags`), so what it names never changes.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

#: In each web process; the oldest go first.
MOST_BYTES = 8 * 2**20


@dataclass(frozen=True)
class Composed:
    """The body, and what the audit log is told of it."""

    body: bytes
    jobs: Mapping[str, str]
    findings: int


class ComposedAnswers:
    """The latest of them, as many as fit into `most_bytes`."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._kept: OrderedDict[str, Composed] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, tag: str, compose: Callable[[], Composed]) -> Composed:
        """That of a tag; composed where it is not kept."""
        with self._lock:
            if tag in self._kept:
                self._kept.move_to_end(tag)
                return self._kept[tag]
        made = compose()
        if len(made.body) <= self._most_bytes:
            with self._lock:
                if tag not in self._kept:
                    self._bytes += len(made.body)
                    self._kept[tag] = made
                while self._bytes > self._most_bytes:
                    self._bytes -= len(self._kept.popitem(last=False)[1].body)
        return made


ANSWERS = ComposedAnswers()

"""From the frames of one image to the image's answer: that of its most suspicious frame.

A frame that is unlike the training images has no say, unless most of the image's frames are so: then the image is out
of distribution, and its answer, no verdict, is of all of them. Of a lesion that goes through several frames the mark on
its most suspicious one stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from inference.contract import Box, Finding, Flag

F = TypeVar("F")

#: Two marks on successive frames are of one lesion when the smaller lies in the other at least by so much …
_OVERLAP = 0.5
#: … and no more than so many of the frames that were read lie between them without it.
_LONGEST_GAP = 2


@dataclass(frozen=True, slots=True, eq=False)
class _Read(Generic[F]):
    number: int
    suspicion: tuple[float, ...]
    flags: tuple[Flag, ...]
    frame: F


class Frames(Generic[F]):
    """What was read of one image. Of all frames but the most suspicious only the marks are kept.

    Parameters
    ----------
    is_clip
        Whether the image has several frames: then each finding says its own.
    """

    def __init__(self, *, is_clip: bool) -> None:
        self.read: list[int] = []
        self._is_clip = is_clip
        self._most: _Read[F] | None = None
        self._most_like: _Read[F] | None = None
        self._outside = 0
        self._findings: list[tuple[int, Finding]] = []
        self._findings_like: list[tuple[int, Finding]] = []

    def add(
        self,
        number: int,
        suspicion: tuple[float, ...],
        flags: Iterable[Flag],
        findings: Iterable[Finding],
        frame: F,
    ) -> None:
        """The next frame that was read. `suspicion` orders the frames; `frame` is whatever else the pipeline needs
        of the one that is chosen."""
        one = _Read(number, suspicion, tuple(flags), frame)
        marks = [(len(self.read), self._numbered(number, each)) for each in findings]
        self._most = _higher(self._most, one)
        self._findings += marks
        if Flag.OUT_OF_DISTRIBUTION in one.flags:
            self._outside += 1
        else:
            self._most_like = _higher(self._most_like, one)
            self._findings_like += marks
        self.read.append(number)

    @property
    def has_no_verdict(self) -> bool:
        """Whether the image is out of distribution: more than half of its frames are."""
        return 2 * self._outside > len(self.read)

    @property
    def chosen(self) -> F:
        """The frame that the image's answer is of."""
        return self._chosen().frame

    @property
    def number(self) -> int:
        """Its number, from 0."""
        return self._chosen().number

    @property
    def flags(self) -> tuple[Flag, ...]:
        """Of the image."""
        flags = self._chosen().flags
        if self.has_no_verdict and Flag.OUT_OF_DISTRIBUTION not in flags:
            return (Flag.OUT_OF_DISTRIBUTION, *flags)
        return flags

    def findings(self, most: int) -> tuple[Finding, ...]:
        """The marks of the image, at most `most`, most certain first."""
        found = self._findings if self.has_no_verdict else self._findings_like
        ordered = sorted(one_a_lesion(found), key=lambda finding: -finding.score)
        return tuple(ordered[:most])

    def _numbered(self, number: int, finding: Finding) -> Finding:
        return finding.model_copy(update={"frame": number}) if self._is_clip else finding

    def _chosen(self) -> _Read[F]:
        chosen = self._most if self.has_no_verdict else self._most_like
        if chosen is None:
            raise ValueError("no frame was read")
        return chosen


def one_a_lesion(found: Sequence[tuple[int, Finding]]) -> list[Finding]:
    """Of each lesion the mark with the highest score.

    Parameters
    ----------
    found
        Marks with the place of their frame among those that were read, in that order.
    """
    tracks: list[_Track] = []
    for place, finding in found:
        fitting = [track for track in tracks if track.goes_on_in(place, finding)]
        if fitting:
            max(fitting, key=lambda track: _share(track.box, finding.box)).follow(place, finding)
        else:
            tracks.append(_Track(place, finding.box, finding))
    return [track.best for track in tracks]


@dataclass(slots=True, eq=False)
class _Track:
    """A lesion seen last at `box` on the frame at `place`."""

    place: int
    box: Box
    best: Finding

    def goes_on_in(self, place: int, finding: Finding) -> bool:
        # two marks of one frame are two lesions
        near = self.place < place <= self.place + 1 + _LONGEST_GAP
        return near and finding.label == self.best.label and _share(self.box, finding.box) >= _OVERLAP

    def follow(self, place: int, finding: Finding) -> None:
        self.place, self.box = place, finding.box
        if finding.score > self.best.score:
            self.best = finding


def _share(one: Box, other: Box) -> float:
    """How much of the smaller box lies in the other, 0–1."""
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    if across <= 0 or down <= 0:
        return 0.0
    smaller = min((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return across * down / smaller


def _higher(one: _Read[F] | None, other: _Read[F]) -> _Read[F]:
    return other if one is None or other.suspicion > one.suspicion else one

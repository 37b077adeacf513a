"""Pairs of like pictures among very many, without comparing every pair: banded signatures (locality-sensitive hashing
by random hyperplanes, Charikar 2002).

A picture's detail is brought to its low frequencies, which hardly move where up to 5 % are cut off its sides. Each band
is a handful of hyperplanes: the sides on which a picture lies are its code, and pictures of one code are compared.
Pictures that agree meet in some band; how many bands that takes follows from how many bits a code has, and that from
how many pictures there are, so that a bucket holds a few. In frequencies a mirror image is a change of signs: in each
band two more hyperplanes, which a mirror image lies on the other side of, say how a picture is to be turned before its
code is made, so that a picture and its mirror image have one code.

Most that meet are strangers. They are told apart by a sketch, 128 more sides in two machine words, whose differing bits
are counted; only of those that differ in few are the frequencies compared. No bucket is cut: where thousands of
pictures are alike the time grows with their square, the memory does not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Indices = NDArray[np.int64]
Codes = NDArray[np.int32]
Places = NDArray[np.int32]
Turns = NDArray[np.uint8]
Sketches = NDArray[np.uint64]

#: Pairs that are looked at together: what is kept in memory beside the signatures, some 100 MB.
_TOGETHER = 2_000_000
#: Rows that are worked on together, so that they stay in the processor's cache.
_ROWS = 8_192
_MOST_BITS = 24
#: Pairs of this correlation are to meet with a chance of 0.99.
_MISSED = 0.01
#: Sides that say how a picture is turned: about its middle row, about its middle column.
_TURNING = 2
#: A sketch is two words of 64 sides. Pairs differ in fewer than pairs of `Bands.alike` do but once in thirty thousand.
_WORDS, _SIDES, _SPREADS = 2, 64, 4.0


@dataclass(frozen=True)
class Bands:
    """`alike`: the correlation of low frequencies from which on pairs are to be found; `least`: below it a pair that
    met is let go. `radius` of the frequencies that are kept; `more_bits` a code, where most pictures are alike."""

    alike: float = 0.85
    least: float = 0.60
    radius: float = 7.0
    more_bits: int = 0
    seed: int = 0

    def shape(self, count: int) -> tuple[int, int]:
        """Bits of a code and number of bands for so many pictures."""
        bits = min(_MOST_BITS, max(12, math.ceil(math.log2(max(2, count))) + self.more_bits))
        same_side = 1 - math.acos(self.alike) / math.pi
        meet = same_side ** (bits + _TURNING)
        return bits, math.ceil(math.log(_MISSED) / math.log1p(-meet))


def low_frequencies(
    squares: Sequence[NDArray[Any]] | NDArray[Any], radius: float
) -> tuple[Field, NDArray[np.int64], NDArray[np.int64]]:
    """n×(side·side) → n×d of norm 1, the cosine transform within `radius` without the mean; and each entry's row and
    column frequency."""
    from scipy.fft import dct

    side = round(squares[0].size ** 0.5)
    within = min(side, math.floor(radius) + 1)
    down, across = np.mgrid[:within, :within]
    kept = (down + across > 0) & (down**2 + across**2 <= radius**2)
    found = np.empty((len(squares), int(kept.sum())), np.float32)
    for start in range(0, len(squares), _ROWS):
        part = np.asarray(squares[start : start + _ROWS], np.float32).reshape(-1, side, side)
        part = dct(dct(part, axis=1, norm="ortho")[:, :within], axis=2, norm="ortho")[:, :, :within]
        found[start : start + _ROWS] = part[:, kept]
    found /= np.linalg.norm(found, axis=1, keepdims=True) + 1e-6
    return found, down[kept], across[kept]


def meetings(
    plain: Sequence[NDArray[Any]] | NDArray[Any],
    cropped: Sequence[NDArray[Any]] | NDArray[Any] | None,
    mirrorings: dict[str, tuple[int, int]],
    bands: Bands,
) -> Iterator[tuple[str, Indices, Indices]]:
    """Of each mirroring, indices of pictures that met (first < second), where their low frequencies correlate above
    `bands.least`; some thousands at a time, a pair perhaps several times.

    Parameters
    ----------
    plain, cropped
        n×(side·side): the pictures, and the same with something cut off. They are read in parts.
    mirrorings
        Row and column step by name.
    """
    low, down, across = low_frequencies(plain, bands.radius)
    rows = low if cropped is None else np.concatenate([low, low_frequencies(cropped, bands.radius)[0]])
    count, width = low.shape
    del low
    odd = np.stack([down % 2 == 1, across % 2 == 1])
    # What each of four turns (1: upside down, 2: left-right, 3: both) makes of each frequency's sign.
    turns = np.stack(
        [np.where(odd[0] & bool(t & 1), -1, 1) * np.where(odd[1] & bool(t & 2), -1, 1) for t in range(4)]
    )
    turns = turns.astype(np.float32)
    names = {(steps[0] < 0) + 2 * (steps[1] < 0): name for name, steps in mirrorings.items()}
    bits, number = bands.shape(count)
    chance = np.random.default_rng(bands.seed)
    sides = chance.standard_normal((width, _WORDS * _SIDES)).astype(np.float32)
    sketches = np.stack([_sketches(rows, sides * turn[:, None]) for turn in turns])
    for _ in range(number):
        planes = chance.standard_normal((width, bits)).astype(np.float32)
        turning = chance.standard_normal((width, _TURNING)).astype(np.float32)
        turning *= np.stack([odd[0] & ~odd[1], odd[1] & ~odd[0]], axis=1)
        codes, turned = _codes(rows, planes, turning, turns)
        for first, second in _met(codes):
            # Two that were cut are not compared, nor a picture with itself.
            useful = ((first < count) | (second < count)) & (first % count != second % count)
            first, second = first[useful], second[useful]
            turn = turned[first] ^ turned[second]
            near = _near(sketches, turn, first, second, bands.alike)
            first, second, turn = first[near], second[near], turn[near]
            like = np.einsum("ij,ij->i", rows[first], rows[second] * turns[turn]) > bands.least
            pair = np.sort(np.stack([first[like] % count, second[like] % count]), axis=0).astype(np.int64)
            for kind, name in names.items():
                if (some := pair[:, turn[like] == kind]).size:
                    some = np.unique(some, axis=1)
                    for start in range(0, some.shape[1], _ROWS):
                        yield name, some[0, start : start + _ROWS], some[1, start : start + _ROWS]


def _codes(rows: Field, planes: Field, turning: Field, turns: Field) -> tuple[Codes, Turns]:
    """Of each row how it is turned, and the sides on which it lies then, as one number."""
    codes, turned = np.empty(len(rows), np.int32), np.empty(len(rows), np.uint8)
    wide = np.zeros((_ROWS, 32), np.bool_)
    for start in range(0, len(rows), _ROWS):
        some = rows[start : start + _ROWS]
        lies = some @ turning > 0
        turn = lies[:, 0] + 2 * lies[:, 1].astype(np.uint8)
        wide[: len(some), : planes.shape[1]] = (some * turns[turn]) @ planes > 0
        codes[start : start + _ROWS] = np.packbits(wide[: len(some)], axis=1, bitorder="little").view("<i4")[
            :, 0
        ]
        turned[start : start + _ROWS] = turn
    return codes, turned


def _sketches(rows: Field, planes: Field) -> Sketches:
    """Words×n."""
    found = np.empty((_WORDS, len(rows)), np.uint64)
    for start in range(0, len(rows), _ROWS):
        sides = rows[start : start + _ROWS] @ planes > 0
        found[:, start : start + _ROWS] = np.packbits(sides, axis=1).view(np.uint64).T
    return found


def _near(sketches: Sketches, turn: Turns, first: Places, second: Places, alike: float) -> Indices:
    """Which pairs' sketches differ in as few sides as those of pictures of that correlation may."""
    differ = math.acos(alike) / math.pi
    near, counted = np.arange(len(first)), np.zeros(len(first), np.uint8)
    for word in range(_WORDS):
        sides = (word + 1) * _SIDES
        most = differ * sides + _SPREADS * math.sqrt(sides * differ * (1 - differ))
        counted = counted + np.bitwise_count(
            sketches[0, word, first[near]] ^ sketches[turn[near], word, second[near]]
        )
        few = counted <= most
        near, counted = near[few], counted[few]
    return near


def _met(codes: Codes) -> Iterator[tuple[Places, Places]]:
    """Each pair of places that share a code once, a bounded number at a time."""
    order = np.argsort(codes).astype(np.int32)
    ordered = codes[order]
    place = np.arange(len(order), dtype=np.int32)
    begins = np.maximum.accumulate(np.where(np.diff(ordered, prepend=-1) != 0, place, 0))
    before = place - begins  # how many of its code each one meets
    meeting = np.flatnonzero(before)
    begins, before, second = begins[meeting], before[meeting], order[meeting]
    total = np.cumsum(before, dtype=np.int64)
    at = 0
    while at < len(meeting):
        done = int(total[at - 1]) if at else 0
        to = max(at + 1, int(np.searchsorted(total, done + _TOGETHER, side="right")))
        own = before[at:to]
        whole = int(total[to - 1]) - done
        # Where each one's code begins, less how many pairs there are before it.
        starts = begins[at:to] - (np.cumsum(own, dtype=np.int32) - own)
        yield order[np.repeat(starts, own) + np.arange(whole, dtype=np.int32)], np.repeat(second[at:to], own)
        at = to

"""Pairs of like pictures among very many, without comparing every pair: banded signatures (locality-sensitive hashing
by random hyperplanes, Charikar 2002).

A picture's detail is brought to its low frequencies, which hardly move where up to 5 % are cut off its sides. Each band
is a handful of hyperplanes: the sides on which a picture lies are its code, and pictures of one code are compared.
Pictures that agree meet in some band; how many bands that takes follows from how many bits a code has, and that from
how many pictures there are, so that a bucket holds a few. In frequencies a mirror image is a change of signs, so that
four mirrorings cost four lookups and no memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Indices = NDArray[np.int64]

#: Pairs that are looked at together: what is kept in memory beside the signatures, some 300 MB.
_TOGETHER = 2_000_000
_MOST_BITS = 24
#: Pairs of this correlation are to meet with a chance of 0.99.
_MISSED = 0.01


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
        return bits, math.ceil(math.log(_MISSED) / math.log1p(-(same_side**bits)))


def low_frequencies(squares: Field, radius: float) -> tuple[Field, NDArray[np.int64], NDArray[np.int64]]:
    """n×(side·side) → n×d of norm 1, the cosine transform within `radius` without the mean; and each entry's row and
    column frequency."""
    from scipy.fft import dct

    side = round(squares.shape[1] ** 0.5)
    within = min(side, math.floor(radius) + 1)
    down, across = np.mgrid[:within, :within]
    kept = (down + across > 0) & (down**2 + across**2 <= radius**2)
    found = np.empty((len(squares), int(kept.sum())), np.float32)
    for start in range(0, len(squares), 65_536):
        part = squares[start : start + 65_536].astype(np.float32).reshape(-1, side, side)
        part = dct(dct(part, axis=1, norm="ortho")[:, :within], axis=2, norm="ortho")[:, :, :within]
        found[start : start + 65_536] = part[:, kept]
    found /= np.linalg.norm(found, axis=1, keepdims=True) + 1e-6
    return found, down[kept], across[kept]


def meetings(
    plain: Field, cropped: Field | None, mirrorings: dict[str, tuple[int, int]], bands: Bands
) -> Iterator[tuple[str, Indices, Indices]]:
    """Of each mirroring, indices of pictures that met (first < second), where their low frequencies correlate above
    `bands.least`. A pair may come several times.

    Parameters
    ----------
    plain, cropped
        n×(side·side): the pictures, and the same with something cut off.
    mirrorings
        Row and column step by name.
    """
    low, down, across = low_frequencies(plain, bands.radius)
    kept = [low] if cropped is None else [low, low_frequencies(cropped, bands.radius)[0]]
    count = len(low)
    bits, number = bands.shape(count)
    chance = np.random.default_rng(bands.seed)
    signs = {
        name: np.where((down % 2 == 1) & (steps[0] < 0), -1, 1)
        * np.where((across % 2 == 1) & (steps[1] < 0), -1, 1)
        for name, steps in mirrorings.items()
    }
    for _ in range(number):
        planes = chance.standard_normal((low.shape[1], bits)).astype(np.float32)
        codes = np.concatenate([_codes(rows, planes) for rows in kept])
        order = np.argsort(codes, kind="stable")
        ends = np.cumsum(np.bincount(codes, minlength=2**bits))
        for name, sign in signs.items():
            asked = _codes(low, planes * sign[:, None].astype(np.float32))
            for first, second in _met(order, ends, asked, count):
                one, other = kept[0][second] * sign.astype(np.float32), first
                yield from _like(kept, other, one, second, count, name, bands.least)


def _codes(rows: Field, planes: Field) -> Indices:
    weights = (1 << np.arange(planes.shape[1], dtype=np.int64)).astype(np.float64)
    codes = np.empty(len(rows), np.int64)
    for start in range(0, len(rows), 262_144):
        codes[start : start + 262_144] = ((rows[start : start + 262_144] @ planes) > 0) @ weights
    return codes


def _met(order: Indices, ends: Indices, asked: Indices, count: int) -> Iterator[tuple[Indices, Indices]]:
    """Places in the table and pictures that share a code, a bounded number at a time; of a pair that is found from both
    sides without a crop, one."""
    begins = np.where(asked > 0, ends[asked - 1], 0)
    sizes = ends[asked] - begins
    total = np.cumsum(sizes)
    at = 0
    while at < count:
        before = int(total[at - 1]) if at else 0
        to = max(at + 1, int(np.searchsorted(total, before + _TOGETHER, side="right")))
        own = sizes[at:to]
        whole = int(total[to - 1]) - before
        second = np.repeat(np.arange(at, to), own)
        within = np.arange(whole) - np.repeat(np.cumsum(own) - own, own)
        first = order[np.repeat(begins[at:to], own) + within]
        picture = first % count
        useful = (picture != second) & ((first >= count) | (picture < second))
        yield first[useful], second[useful]
        at = to


def _like(
    kept: list[Field], first: Indices, one: Field, second: Indices, count: int, name: str, least: float
) -> Iterator[tuple[str, Indices, Indices]]:
    other = np.empty_like(one)
    for layer, rows in enumerate(kept):
        own = first // count == layer
        other[own] = rows[first[own] % count]
    near = np.einsum("ij,ij->i", one, other) > least
    pair = np.sort(np.stack([first[near] % count, second[near]]), axis=0)
    if pair.size:
        pair = np.unique(pair, axis=1)
        yield name, pair[0], pair[1]

"""The search for near-duplicates among very many pictures, on made-up signatures: time, peak memory, and which of the
planted copies were found.

A signature is smooth noise on 16×16 places; one in a hundred is a copy of another, mirrored, moved by up to half a
place and with noise of its own. Nothing is read and nothing confirmed: this is the part that grows with the square.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
from numpy.typing import NDArray

from inference.datasets.audit import near_duplicates
from inference.datasets.audit.bands import meetings

Field = NDArray[np.float32]
_SIDE = 16


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--signatures", type=int, nargs="+", default=[100_000], metavar="N")
    command.add_argument("--seed", type=int, default=0)


def run(options: argparse.Namespace) -> int:
    for count in options.signatures:
        print(measured(count, options.seed), flush=True)
    return 0


def measured(count: int, seed: int) -> str:
    """One line: how long the search took and what it found of what was planted."""
    squares, copies = made_up(count, seed)
    bits, number = near_duplicates.BANDS.shape(count)
    begun = time.monotonic()
    planted = {(min(pair), max(pair)) for pair in copies}
    wanted = np.array(sorted(one * count + other for one, other in planted), np.int64)
    found = np.zeros(len(wanted), bool)
    compared = 0
    for _, first, second in meetings(squares, None, near_duplicates.MIRRORINGS, near_duplicates.BANDS):
        compared += len(first)
        found |= np.isin(wanted, first * count + second)
    took = time.monotonic() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return (
        f"{count:,} signatures: {took:.0f} s, {bits} bits by {number} bands, {compared:,} like meetings, "
        f"{int(found.sum()):,} of {len(planted):,} planted copies found, {peak:.1f} GB at most"
    )


def made_up(count: int, seed: int) -> tuple[Field, list[tuple[int, int]]]:
    """n×256 of norm 1, and the pairs that are copies."""
    chance = np.random.default_rng(seed)
    copies = max(1, count // 100)
    own = count - copies
    squares = np.empty((count, _SIDE * _SIDE), np.float32)
    for start in range(0, own, 50_000):
        squares[start : min(own, start + 50_000)] = _smooth(chance, min(50_000, own - start))
    origins = chance.permutation(own)[:copies]
    steps = list(near_duplicates.MIRRORINGS.values())
    turned = squares[origins].reshape(-1, _SIDE, _SIDE)
    for number, (down, across) in enumerate(steps):
        turned[number :: len(steps)] = turned[number :: len(steps), ::down, ::across]
    share = chance.uniform(0, 0.5, (copies, 1, 1)).astype(np.float32)
    moved = (1 - share) * turned + share * np.roll(turned, 1, axis=2)
    squares[own:] = _unit(
        moved.reshape(copies, -1) + 0.02 * chance.standard_normal((copies, _SIDE**2), np.float32)
    )
    return squares, [(int(origin), own + place) for place, origin in enumerate(origins)]


def _smooth(chance: np.random.Generator, count: int) -> Field:
    import cv2

    noise = chance.standard_normal((count, _SIDE, _SIDE), np.float32)
    return _unit(np.stack([cv2.GaussianBlur(one, (0, 0), 1.0) for one in noise]).reshape(count, -1))


def _unit(rows: Field) -> Field:
    rows = rows - rows.mean(axis=1, keepdims=True)
    return np.asarray(rows / (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-6), np.float32)

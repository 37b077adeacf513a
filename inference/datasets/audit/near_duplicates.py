"""Near-duplicates among the pictures of a data set: copies, mirror images, crops, other brightness.

Three steps, each on what the one before has left:

1. *Candidates.* Every pair, in its four mirrorings, is compared on 16×16 pixels of detail (each picture less
   its blur, over its local contrast), once as it is and once with 2.5 % cut off one of the two on every side. Of
   more than 20,000 pictures only those are compared that meet in a band (`inference.datasets.audit.bands`).
2. *Shape.* For mammograms, whose outlines are all alike, 24×24 pixels of detail under sixteen crops of either.
3. *Confirmation.* An affine alignment (ECC, Evangelidis and Psarakis 2008) on 64 and 128 pixels, refused where
   it is more than a crop of some 5 % a side and a change of aspect could ask for; then the correlation of the
   high-pass at 256 pixels in windows of 17, inside tissue alone. Its median over the windows is the agreement:
   an outline, a label or a ruler fills few windows, so that films of different women do not agree.

Measured on the real sets (a mirror image, up to 5 % off each side, brightness 0.8 to 1.25 and contrast 0.85 to
1.15, all at once, of 100 pictures a set): such a copy agrees at 0.92 or more in BUSI (all found) and at 0.78 or
more for 95 of 100 films of mini-MIAS and CBIS (98 and 97 found; the rest cannot be aligned). Of the candidates,
different pictures agree at most at 0.13 in BUSI (frames of one sweep from 0.30), 0.41 in mini-MIAS, 0.20 in CBIS.

In ultrasound, frames of one sweep show the same lesion without being the same picture; pictures whose plain
32×32 thumbnails correlate above 0.90, mirrored or not, are `look_alike`. On BUSI these pairs join every group of
`split.csv`, and some 10 more cross two groups (64×64: 191 pairs, none across groups, but 7 groups fall apart).
`RULES` holds the limits, `docs/laboratory.md` what they were measured on.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, product
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from inference.datasets.audit.alignment import FINE, Field, Gray, agreement_of, levelled
from inference.datasets.audit.bands import Bands, meetings
from inference.datasets.sample import HISTOPATHOLOGY, MAMMOGRAPHY, ULTRASOUND
from inference.progress import StepProgress

Kind = Literal["identical", "same_picture", "look_alike"]

_COARSE, _SHAPE, _THUMBNAIL = 16, 24, 32
_CROPS = ((0.0, 0.0), (0.05, 0.0), (0.0, 0.05), (0.05, 0.05))
_HALF_CROP = 0.025
_BLANK = 2.0
_KEPT_PICTURES, _KEPT_SHAPES = 512, 4096
_ROWS = 512
#: row step and column step that turn a picture, by what a person would call it
MIRRORINGS = {"": (1, 1), "left-right": (1, -1), "upside down": (-1, 1), "half a turn": (-1, -1)}


#: More pictures than this are compared where they meet in a band, not each with each other.
MOST_PAIRWISE = 20_000
BANDS = Bands()
#: Films are alike as films are: a copy correlates at 0.93 or more, and longer codes keep others apart.
FILM_BANDS = Bands(alike=0.93, least=0.80, more_bits=4)
#: Thumbnails that correlate above 0.90 do so in their low frequencies; many others come near.
ALIKE_BANDS = Bands(alike=0.90, least=0.85, radius=8.0, more_bits=4)


@dataclass(frozen=True)
class Rules:
    """Limits of one kind of picture: correlations that make a candidate, pass its shape, confirm it, and (None
    where it does not apply) make two pictures look alike."""

    coarse: float
    shape: float
    agreement: float
    alike: float | None = None
    bands: Bands = BANDS


RULES = {
    ULTRASOUND: Rules(coarse=0.45, shape=0.0, agreement=0.25, alike=0.90),
    MAMMOGRAPHY: Rules(coarse=0.68, shape=0.84, agreement=0.50, bands=FILM_BANDS),
    HISTOPATHOLOGY: Rules(coarse=0.45, shape=0.0, agreement=0.30),
}


@dataclass(frozen=True)
class Pair:
    """`first` < `second` are indices of pictures. `agreement` is 1 for equal pixels, the median correlation of
    windows for `same_picture`, that of thumbnails for `look_alike`."""

    first: int
    second: int
    kind: Kind
    agreement: float
    mirrored: str = ""


@dataclass(frozen=True)
class Signature:
    """What is kept of a picture while all are read: about 3 KB, 4 with a thumbnail."""

    digest: bytes
    blank: bool
    plain: Field
    cropped: Field
    thumbnail: Gray | None


def fine(gray: Gray) -> Gray:
    """The picture on 256×256 pixels, whatever its shape was."""
    import cv2

    shrinks = gray.shape[0] >= FINE and gray.shape[1] >= FINE
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(gray, (FINE, FINE), interpolation=how), dtype=np.uint8)


def sign(gray: Gray, rules: Rules) -> Signature:
    """The signature of an 8-bit picture (H×W). Equal pixels give equal digests, whatever the file's format."""
    import cv2

    small = fine(gray)
    thumbnail = None
    if rules.alike is not None:
        size = (_THUMBNAIL, _THUMBNAIL)
        thumbnail = np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    digest = hashlib.blake2b(repr(gray.shape).encode() + np.ascontiguousarray(gray).tobytes(), digest_size=16)
    return Signature(
        digest=digest.digest(),
        blank=bool(small.std() < _BLANK),
        plain=_detail(small, _COARSE, 1.0),
        cropped=_detail(_cut(small, *(_HALF_CROP,) * 4), _COARSE, 1.0),
        thumbnail=thumbnail,
    )


def find(
    signatures: Sequence[Signature], load: Callable[[int], Gray], rules: Rules, progress: StepProgress,
    most_pairwise: int = MOST_PAIRWISE,
) -> list[Pair]:  # fmt: skip
    """All pairs of near-duplicates, in order. `load` gives `fine` of the picture with that index; at most 512
    of them are kept at a time. Blank pictures are nobody's duplicates.

    Of more than `most_pairwise` pictures, those are compared that meet in a band (`inference.datasets.audit.bands`)."""
    copies: dict[bytes, list[int]] = defaultdict(list)
    for index, signature in enumerate(signatures):
        if not signature.blank:
            copies[signature.digest].append(index)
    single = [members[0] for members in copies.values()]
    alike_by_first = {members[0]: members for members in copies.values()}
    kept = lru_cache(_KEPT_PICTURES)(load)
    shapes = lru_cache(_KEPT_SHAPES)(lambda index: _crops(kept(index)))

    pairs = [
        Pair(first, second, "identical", 1.0)
        for members in copies.values()
        for first, second in combinations(members, 2)
    ]
    near: dict[tuple[int, int], Pair] = {}
    banded = len(single) > most_pairwise
    distinct = [signatures[i] for i in single]
    candidates = _candidates(distinct, rules.coarse, rules.bands if banded else None)
    for done, ((a, b), mirrored) in enumerate(sorted(candidates.items())):
        first, second = single[a], single[b]
        progress("comparing", done + 1, len(candidates))
        if rules.shape and _shape_agreement(shapes(first), shapes(second), mirrored) < rules.shape:
            continue
        agreement = agreement_of(kept(first), _turned(kept(second), mirrored))
        if agreement >= rules.agreement:
            near[first, second] = Pair(first, second, "same_picture", round(agreement, 3), mirrored)
    if rules.alike is not None:
        for a, b, score, mirrored in _alike(distinct, rules.alike, ALIKE_BANDS if banded else None):
            first, second = single[a], single[b]
            near.setdefault((first, second), Pair(first, second, "look_alike", round(score, 3), mirrored))
    for pair in near.values():
        for first, second in product(alike_by_first[pair.first], alike_by_first[pair.second]):
            low, high = sorted((first, second))
            pairs.append(Pair(low, high, pair.kind, pair.agreement, pair.mirrored))
    return sorted(pairs, key=lambda pair: (pair.first, pair.second))


# --- candidates -----------------------------------------------------------------------------------------


def _candidates(
    signatures: Sequence[Signature], limit: float, bands: Bands | None = None
) -> dict[tuple[int, int], str]:
    """Pairs of indices whose coarse detail correlates above `limit`, with the best mirroring; of all pairs, or of those
    that meet in one of the `bands`."""
    best: dict[tuple[int, int], tuple[float, str]] = {}
    if len(signatures) < 2:
        return {}

    def keep(first: int, second: int, value: float, name: str) -> None:
        if value > best.get((first, second), (limit, ""))[0]:
            best[first, second] = (value, name)

    whole = [signature.plain for signature in signatures]
    cut = [signature.cropped for signature in signatures]
    if bands is not None:
        for name, first, second in meetings(whole, cut, MIRRORINGS, bands):
            one, other = _of(whole, first), _turned_rows(_of(whole, second), name)
            score = _each(one, other)
            np.maximum(score, _each(_of(cut, first), other), out=score)
            np.maximum(score, _each(one, _turned_rows(_of(cut, second), name)), out=score)
            for place in np.flatnonzero(score > limit):
                keep(int(first[place]), int(second[place]), float(score[place]), name)
        return {key: name for key, (_, name) in best.items()}
    plain, cropped = np.stack(whole), np.stack(cut)
    for name in MIRRORINGS:
        turned, turned_cropped = _turned_rows(plain, name), _turned_rows(cropped, name)
        for start in range(0, len(plain), _ROWS):
            rows = slice(start, start + _ROWS)
            score = plain[rows] @ turned[start:].T
            np.maximum(score, cropped[rows] @ turned[start:].T, out=score)
            np.maximum(score, plain[rows] @ turned_cropped[start:].T, out=score)
            for row, column in np.argwhere(np.triu(score, 1) > limit):
                keep(start + int(row), start + int(column), float(score[row, column]), name)
    return {key: name for key, (_, name) in best.items()}


def _alike(
    signatures: Sequence[Signature], limit: float, bands: Bands | None = None
) -> list[tuple[int, int, float, str]]:
    """Pairs whose thumbnails correlate above `limit`, with the correlation and the best mirroring; of all pairs, or of
    those that meet in one of the `bands`."""
    if len(signatures) < 2:
        return []
    thumbnails = [np.ravel(s.thumbnail) for s in signatures if s.thumbnail is not None]
    best: dict[tuple[int, int], tuple[float, str]] = {}
    if bands is not None:
        for name, first, second in meetings(thumbnails, None, MIRRORINGS, bands):
            one, other = _unit(_of(thumbnails, first)), _unit(_of(thumbnails, second))
            score = _each(one, _turned_rows(other, name))
            for place in np.flatnonzero(score > limit):
                key, value = (int(first[place]), int(second[place])), float(score[place])
                best[key] = max(best.get(key, (limit, "")), (value, name))
        return [(a, b, score, name) for (a, b), (score, name) in best.items()]
    rows_of = _unit(np.stack(thumbnails).astype(np.float32))
    for name in MIRRORINGS:
        turned = _turned_rows(rows_of, name)
        for start in range(0, len(rows_of), _ROWS):
            score = rows_of[start : start + _ROWS] @ turned[start:].T
            for row, column in np.argwhere(np.triu(score, 1) > limit):
                key, value = (start + int(row), start + int(column)), float(score[row, column])
                best[key] = max(best.get(key, (limit, "")), (value, name))
    return [(a, b, score, name) for (a, b), (score, name) in best.items()]


def _of(pictures: Sequence[NDArray[Any]], places: NDArray[np.int64]) -> Field:
    """Those pictures as rows."""
    return np.stack([pictures[place] for place in places]).astype(np.float32, copy=False)


def _each(first: Field, second: Field) -> Field:
    """The correlation of each row with its own partner."""
    found: Field = np.einsum("ij,ij->i", first, second)
    return found


def _crops(picture: Gray) -> NDArray[np.float16]:
    """16×576: the detail of a fine picture under each of sixteen crops; the first is the whole. Half precision:
    thousands of them are kept (18 KB each)."""
    cut = (_cut(picture, *rows, *columns) for rows, columns in product(_CROPS, _CROPS))
    return np.stack([_detail(part, _SHAPE, 1.5) for part in cut]).astype(np.float16)


def _shape_agreement(whole: NDArray[np.float16], other: NDArray[np.float16], mirrored: str) -> float:
    first, turned = whole.astype(np.float32), _turned_rows(other.astype(np.float32), mirrored)
    return float(max((first @ turned[0]).max(), (turned @ first[0]).max()))


def _cut(picture: Gray, top: float, bottom: float, left: float, right: float) -> Gray:
    rows, columns = picture.shape
    return picture[
        round(top * rows) : rows - round(bottom * rows),
        round(left * columns) : columns - round(right * columns),
    ]


def _detail(picture: Gray, side: int, sigma: float) -> Field:
    """The picture on side×side pixels, less its blur, over its local contrast; a vector of mean 0, norm 1."""
    import cv2

    small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    return np.ravel(_unit(levelled(np.asarray(small, dtype=np.float32), sigma).reshape(1, -1)))


def _unit(rows: Field) -> Field:
    centred = rows - rows.mean(axis=1, keepdims=True)
    return np.asarray(centred / (np.linalg.norm(centred, axis=1, keepdims=True) + 1e-6), dtype=np.float32)


def _turned(picture: Gray, mirrored: str) -> Gray:
    down, across = MIRRORINGS[mirrored]
    return np.ascontiguousarray(picture[::down, ::across])


def _turned_rows(rows: Field, mirrored: str) -> Field:
    """Each row is a square picture: turned."""
    down, across = MIRRORINGS[mirrored]
    side = round(rows.shape[1] ** 0.5)
    squares = rows.reshape(len(rows), side, side)
    return np.ascontiguousarray(squares[:, ::down, ::across]).reshape(rows.shape)

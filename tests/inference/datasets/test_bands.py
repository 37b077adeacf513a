"""Near-duplicates among very many pictures are found in bands as they are among few in all pairs."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.duplicates import made_up
from inference.datasets import busi
from inference.datasets.audit import bands as banded
from inference.datasets.audit import near_duplicates
from inference.datasets.audit.alignment import Gray
from inference.datasets.audit.bands import Bands, meetings
from inference.datasets.audit.near_duplicates import ALIKE_BANDS, BANDS, FILM_BANDS, MIRRORINGS, RULES
from inference.datasets.generated import duplicates
from inference.datasets.pixels import read_gray
from inference.datasets.sample import ULTRASOUND


def as_of(pictures: int, bands: Bands, here: int) -> Bands:
    """The bands that so many pictures would have, for the few that a test has."""
    more = math.ceil(math.log2(pictures)) - math.ceil(math.log2(here))
    return replace(bands, more_bits=bands.more_bits + more)


def met(squares: np.ndarray, bands: Bands) -> set[tuple[int, int]]:
    return {
        (int(a), int(b))
        for _, first, second in meetings(squares, None, MIRRORINGS, bands)
        for a, b in zip(first, second, strict=True)
    }


@pytest.mark.parametrize("pictures", [20_000, pytest.param(1_000_000, marks=pytest.mark.long)])
def test_planted_copies_meet_however_many_pictures_there_are(pictures: int) -> None:
    squares, copies = made_up(1_500, 3)
    found = met(squares, as_of(pictures, BANDS, len(squares)))
    planted = {(min(pair), max(pair)) for pair in copies}
    assert len(planted & found) >= 0.95 * len(planted)
    assert all(a < b for a, b in found)


@pytest.mark.parametrize("bands", [BANDS, FILM_BANDS, ALIKE_BANDS])
def test_codes_grow_with_the_pictures_and_bands_with_the_codes(bands: Bands) -> None:
    shapes = [bands.shape(count) for count in (20_000, 100_000, 1_000_000, 10**9)]
    assert shapes == sorted(shapes) and shapes[-1][0] == 24
    for bits, number in shapes:
        same_side = 1 - math.acos(bands.alike) / math.pi
        assert 1 - (1 - same_side**bits) ** number >= 0.99


def test_a_crowd_of_one_code_is_looked_at_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    crowd = np.repeat(made_up(10, 1)[0][:1], 40, axis=0) + 1e-4 * made_up(40, 2)[0]
    whole = met(crowd, Bands(seed=1))
    monkeypatch.setattr(banded, "_TOGETHER", 100)
    seen = []
    near = banded._near

    def watched(sketches, turn, first, second, alike):  # type: ignore[no-untyped-def]
        seen.append(len(first))
        return near(sketches, turn, first, second, alike)

    monkeypatch.setattr(banded, "_near", watched)
    assert met(crowd, Bands(seed=1)) == whole == {(a, b) for b in range(40) for a in range(b)}
    assert 40 < max(seen) <= 100


def test_each_pair_of_a_code_is_met_once(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = np.random.default_rng(3).integers(0, 40, 500).astype(np.int32)
    wanted = sorted((a, b) for b in range(500) for a in range(b) if codes[a] == codes[b])
    for together in (1, 7, 10**6):
        monkeypatch.setattr(banded, "_TOGETHER", together)
        parts = list(banded._met(codes))
        pairs = [
            (min(a, b), max(a, b))
            for one, two in parts
            for a, b in zip(one.tolist(), two.tolist(), strict=True)
        ]
        assert sorted(pairs) == wanted
        assert max(len(one) for one, _ in parts) <= max(together, 500)
    assert list(banded._met(np.arange(5, dtype=np.int32))) == []


@pytest.mark.parametrize("name", MIRRORINGS)
def test_a_mirror_image_is_met_as_what_it_is(name: str) -> None:
    squares, _ = made_up(300, 5)
    down, across = MIRRORINGS[name]
    turned = squares.reshape(-1, 16, 16)[:, ::down, ::across].reshape(squares.shape)
    both = np.concatenate([squares, turned])
    cut = np.zeros_like(both)  # meets nothing
    for cropped in (None, cut):
        found = {
            (kind, int(a), int(b))
            for kind, first, second in meetings(both, cropped, MIRRORINGS, BANDS)
            for a, b in zip(first, second, strict=True)
        }
        assert all((name, place, place + 300) in found for place in range(300))


def test_a_picture_and_another_that_was_cut_meet_though_whole_they_do_not() -> None:
    squares, _ = made_up(200, 6)
    others, _ = made_up(200, 7)
    for name, (down, across) in MIRRORINGS.items():
        turned = squares.reshape(-1, 16, 16)[:, ::down, ::across].reshape(squares.shape)
        plain, cropped = np.concatenate([squares, others]), np.concatenate([others, turned])
        found = {
            (kind, int(a), int(b))
            for kind, first, second in meetings(plain, cropped, MIRRORINGS, BANDS)
            for a, b in zip(first, second, strict=True)
        }
        assert sum((name, place, place + 200) in found for place in range(200)) >= 198


def _found(pictures: list[Gray], most_pairwise: int) -> set[tuple[int, int, str]]:
    rules = RULES[ULTRASOUND]
    signatures = [near_duplicates.sign(picture, rules) for picture in pictures]
    pairs = near_duplicates.find(
        signatures, lambda index: near_duplicates.fine(pictures[index]), rules, lambda *_: None, most_pairwise
    )
    return {(pair.first, pair.second, pair.kind) for pair in pairs}


def test_bands_find_what_all_pairs_find_in_a_generated_tree(tmp_path: Path) -> None:
    duplicates.busi(tmp_path, each=1)
    pictures = [read_gray(sample.path) for sample in busi.read(tmp_path).samples]
    everything, some = _found(pictures, len(pictures)), _found(pictures, 0)
    assert everything and some <= everything and len(some) >= 0.99 * len(everything)


@pytest.mark.long
def test_bands_find_what_all_pairs_find_in_busi(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real look-alikes and copies, with the codes that 100,000 pictures would have."""
    samples = busi.read(shared_data / "busi").samples[:220]
    pictures = [read_gray(sample.path) for sample in samples]
    pictures += [
        np.ascontiguousarray(p[p.shape[0] // 30 :, p.shape[1] // 25 :][:, ::-1]) for p in pictures[::4]
    ]
    everything = _found(pictures, len(pictures))
    rules = RULES[ULTRASOUND]
    monkeypatch.setitem(RULES, ULTRASOUND, replace(rules, bands=as_of(100_000, rules.bands, len(pictures))))
    monkeypatch.setattr(near_duplicates, "ALIKE_BANDS", as_of(100_000, ALIKE_BANDS, len(pictures)))
    some = _found(pictures, 0)
    assert len(everything) > 60 and len(everything & some) >= 0.99 * len(everything)

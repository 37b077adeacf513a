"""The film reader's recipe: mini-MIAS → linear layers over frozen features, taught place by place.

Two hundred films of a hundred women are too few to judge whole films by, but every finding is circled: the layer
learns which places are abnormal, and the film is as abnormal as its most abnormal places. Normal films give the
other places; abnormal films give none, since nobody says that the rest of them is normal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from imaging.digest import sha256_of
from inference.champions.mammography.network import DENSITIES, LIMIT, PLACE_FEATURES, FilmReader
from inference.champions.recipe import ChampionRecipe
from inference.datasets import mini_mias
from inference.datasets.pixels import read_gray
from inference.datasets.sample import Manifest, Sample
from inference.runtime.geometry import lay_out
from inference.runtime.mammography.preprocessing import HEIGHT, PLACE_PX, WIDTH, working_canvas


@dataclass(frozen=True, eq=False)
class Places:
    """What the layers learn from. `features` N×2×C×36×24 float16, the film and the film upside down (turned back);
    `circled` and `breast` N×36×24, the share of each place; `abnormal` N bool; `density` N indices."""

    features: NDArray[np.float16]
    circled: NDArray[np.float32]
    breast: NDArray[np.float32]
    abnormal: NDArray[np.bool_]
    density: NDArray[np.int64]

    def part(self, indices: Sequence[int]) -> Places:
        """The films of `indices`."""
        chosen = np.asarray(indices)
        return Places(
            self.features[chosen], self.circled[chosen], self.breast[chosen], self.abnormal[chosen],
            self.density[chosen],
        )  # fmt: skip


def read(root: Path) -> Manifest:
    """The data set, from the folder that holds all sets."""
    return mini_mias.read(root / "mini_mias")


@torch.no_grad()
def places(reader: FilmReader, samples: Sequence[Sample], cache: Path) -> Places:
    """Frozen features of all films; kept in `cache`, since folds share them. What is kept is used for the same files as
    long as `reader` says the same of the first of them."""
    files = np.array(
        [f"{one.id} {sha256_of(one.path)} {one.boxes} {one.label_binary} {one.density}" for one in samples]
    )
    if cache.is_file():
        with np.load(cache) as stored:
            if "files" in stored and np.array_equal(files, stored["files"]):
                known = Places(
                    *(stored[name] for name in ("features", "circled", "breast", "abnormal", "density"))
                )
                now = _both_ways(reader, working_canvas(read_gray(samples[0].path))[0])
                if np.allclose(known.features[0].astype(np.float32), now, rtol=0.01, atol=0.01):
                    return known
    grid = (WIDTH // PLACE_PX, HEIGHT // PLACE_PX)
    features, circled, breast = [], [], []
    for sample in samples:
        gray = read_gray(sample.path)
        canvas, _, placement = working_canvas(gray)
        drawn = np.zeros(gray.shape, np.uint8)
        for x0, y0, x1, y1 in sample.boxes:
            centre = (round((x0 + x1) / 2), round((y0 + y1) / 2))
            cv2.circle(drawn, centre, max(3, round((x1 - x0) / 2)), 255, thickness=-1)
        laid, _ = lay_out(drawn, placement.crop, HEIGHT, WIDTH, mirrored=placement.mirrored, centred=False)
        circled.append(cv2.resize(laid, grid, interpolation=cv2.INTER_AREA).astype(np.float32) / 255)
        shown = (canvas > 0).astype(np.float32)
        breast.append(cv2.resize(shown, grid, interpolation=cv2.INTER_AREA))
        features.append(_both_ways(reader, canvas).astype(np.float16))
    found = Places(
        np.stack(features), np.stack(circled), np.stack(breast),
        np.array([bool(sample.label_binary) for sample in samples]),
        np.array([DENSITIES.index(sample.density or "G") for sample in samples]),
    )  # fmt: skip
    cache.parent.mkdir(parents=True, exist_ok=True)
    unfinished = cache.with_suffix(".part.npz")
    np.savez(unfinished, files=files, **vars(found))
    unfinished.replace(cache)
    return found


def _both_ways(reader: FilmReader, canvas: NDArray[np.uint8]) -> NDArray[np.float32]:
    """2×C×36×24: the film, and the film upside down turned back."""
    straight = reader.places(torch.from_numpy(canvas)[None, None].float())
    turned = reader.places(torch.from_numpy(canvas[::-1].copy())[None, None].float()).flip(2)
    return torch.cat([straight, turned]).numpy()


def fit(reader: FilmReader, known: Places, recipe: ChampionRecipe, seed: int = 0) -> None:
    """Fit standardisation, suspicion and density of `reader` to the films of `known`, as the recipe's settings say."""
    per_film = known.features.astype(np.float32)
    centre = per_film.mean(axis=(0, 1, 3, 4))
    spread = per_film.std(axis=(0, 1, 3, 4)) + 1e-3
    shape = (1, -1, 1, 1)
    standard = [
        np.clip((film - centre.reshape(shape)) / spread.reshape(shape), -LIMIT, LIMIT) for film in per_film
    ]
    rows, truths, weights = _place_rows(standard, known, recipe, np.random.default_rng(seed))
    suspicion = LogisticRegression(C=recipe.setting("film_penalty"), max_iter=400).fit(
        rows, truths, sample_weight=weights
    )
    means = np.concatenate(
        [_breast_mean(film, breast) for film, breast in zip(standard, known.breast, strict=True)]
    )
    density = LogisticRegression(C=recipe.setting("density_penalty"), max_iter=400, class_weight="balanced")
    density.fit(means, np.repeat(known.density, 2))
    assert reader.suspicion.bias is not None
    with torch.no_grad():
        reader.centre.copy_(torch.from_numpy(centre))
        reader.spread.copy_(torch.from_numpy(spread))
        reader.suspicion.weight.copy_(torch.from_numpy(suspicion.coef_).float().view(1, PLACE_FEATURES, 1, 1))
        reader.suspicion.bias.fill_(float(suspicion.intercept_[0]))
        reader.density.weight.copy_(torch.from_numpy(density.coef_).float())
        reader.density.bias.copy_(torch.from_numpy(density.intercept_).float())


def _place_rows(
    standard: Sequence[NDArray[np.float32]],
    known: Places,
    recipe: ChampionRecipe,
    generator: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float64]]:
    """Places as rows, whether each is circled, and its weight: every film counts alike, however many of its places
    are taken."""
    most_abnormal = int(recipe.setting("places_of_an_abnormal_film"))
    most_normal = int(recipe.setting("places_of_a_normal_film"))
    circled_share = recipe.setting("circled_share")
    rows, truths, weights = [], [], []
    for number, film in enumerate(standard):
        inside = known.breast[number].ravel() > 0.5
        circled = known.circled[number].ravel()
        taken = np.flatnonzero(
            inside & (circled > min(circled_share, 0.99 * float(circled.max()))) & (circled > 0)
        )
        if not known.abnormal[number]:
            taken = np.flatnonzero(inside)
        most = most_abnormal if known.abnormal[number] else most_normal
        if not len(taken):
            continue
        share = 1.0 if known.abnormal[number] else recipe.setting("normal_weight")
        for view in film:
            chosen = generator.choice(taken, min(most, len(taken)), replace=False)
            rows.append(view.reshape(PLACE_FEATURES, -1)[:, chosen].T)
            truths.append(np.full(len(chosen), known.abnormal[number]))
            weights.append(np.full(len(chosen), share / len(chosen)))
    weight = np.concatenate(weights)
    return np.concatenate(rows), np.concatenate(truths), weight * len(weight) / weight.sum()


def _breast_mean(film: NDArray[np.float32], breast: NDArray[np.float32]) -> NDArray[np.float32]:
    """2×C×36×24 → 2×C, as `FilmReader.read` weighs places."""
    return np.asarray((film * (breast / max(float(breast.sum()), 1e-3))).sum(axis=(2, 3)), np.float32)


@torch.no_grad()
def score(reader: FilmReader, held: Places) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Abnormality logits N and density indices N of films, as served (not upside down)."""
    straight = torch.from_numpy(held.features[:, 0].astype(np.float32))
    abnormality, density, _ = reader.read(straight, torch.from_numpy(held.breast)[:, None])
    return abnormality.numpy().astype(np.float64), density.argmax(dim=1).numpy()

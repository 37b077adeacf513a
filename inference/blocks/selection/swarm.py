"""Three metaheuristics that maximise a function of a point in the unit cube: grasshoppers, grey wolves,
genes.

Deterministic by their generator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Point = NDArray[np.float64]
Score = Callable[[Point], float]
Method = Literal["grasshopper", "grey_wolf", "genetic"]


def maximise(
    method: Method, score: Score, dimensions: int, *, agents: int, iterations: int, rng: np.random.Generator
) -> tuple[Point, float]:
    """The best point found in [0, 1]^`dimensions`, and its score; `agents` points move `iterations` times."""
    swarm = rng.random((agents, dimensions))
    search = {"grasshopper": _grasshoppers, "grey_wolf": _grey_wolves, "genetic": _genes}[method]
    return search(score, swarm, iterations, rng)


def _grasshoppers(
    score: Score, swarm: Point, iterations: int, rng: np.random.Generator
) -> tuple[Point, float]:
    """Saremi, Mirjalili and Lewis, Advances in Engineering Software 2017, with f = 0.5, l = 1.5."""
    worth = np.array([score(point) for point in swarm])
    best, found = swarm[worth.argmax()].copy(), float(worth.max())
    for number in range(iterations):
        comfort = 1 - (1 - 1e-4) * (number + 1) / iterations
        away = swarm[None, :, :] - swarm[:, None, :]
        distance = np.linalg.norm(away, axis=2)
        # The paper maps distances to 1…4, where attraction and repulsion differ most.
        spread = 1 + 3 * distance / max(float(distance.max()), 1e-12)
        force = 0.5 * np.exp(-spread / 1.5) - np.exp(-spread)
        np.fill_diagonal(force, 0)
        unit = away / np.maximum(distance, 1e-12)[:, :, None]
        social = comfort * 0.5 * (force[:, :, None] * unit).sum(axis=1)
        # A little noise that fades with comfort: points that met would stay together for ever.
        swarm = np.clip(comfort * social + best + comfort * 0.1 * rng.standard_normal(swarm.shape), 0, 1)
        worth = np.array([score(point) for point in swarm])
        if worth.max() > found:
            best, found = swarm[worth.argmax()].copy(), float(worth.max())
    return best, found


def _grey_wolves(
    score: Score, swarm: Point, iterations: int, rng: np.random.Generator
) -> tuple[Point, float]:
    """Mirjalili, Mirjalili and Lewis, Advances in Engineering Software 2014: alpha, beta and delta lead."""
    worth = np.array([score(point) for point in swarm])
    order = np.argsort(-worth)[:3]
    leaders = [(swarm[i].copy(), float(worth[i])) for i in order]
    for number in range(iterations):
        reach = 2 - 2 * number / iterations
        moved = np.zeros_like(swarm)
        for leader, _ in leaders:
            a = 2 * reach * rng.random(swarm.shape) - reach
            c = 2 * rng.random(swarm.shape)
            moved += leader - a * np.abs(c * leader - swarm)
        swarm = np.clip(moved / len(leaders), 0, 1)
        worth = np.array([score(point) for point in swarm])
        both = leaders + [(swarm[i].copy(), float(worth[i])) for i in range(len(swarm))]
        leaders = sorted(both, key=lambda pair: -pair[1])[:3]
    return leaders[0]


def _genes(score: Score, swarm: Point, iterations: int, rng: np.random.Generator) -> tuple[Point, float]:
    """A generational genetic algorithm: tournaments of three, uniform crossover, mutation, the best
    survives."""
    agents, dimensions = swarm.shape
    worth = np.array([score(point) for point in swarm])
    for _ in range(iterations):
        rounds = rng.integers(0, agents, (agents, 2, 3))
        parents = np.take_along_axis(rounds, worth[rounds].argmax(axis=2)[:, :, None], axis=2)[:, :, 0]
        first = rng.random(swarm.shape) < 0.5
        children = np.where(first, swarm[parents[:, 0]], swarm[parents[:, 1]])
        mutated = rng.random(swarm.shape) < max(1 / dimensions, 0.01)
        children = np.where(mutated, rng.random(swarm.shape), children)
        children[0] = swarm[worth.argmax()]
        swarm = children
        worth = np.array([score(point) for point in swarm])
    return swarm[worth.argmax()].copy(), float(worth.max())

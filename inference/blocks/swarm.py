"""Metaheuristics that maximise a function of a point in the unit cube: what selections of features, searches of
settings and a tuned segmentation share.

Deterministic by their generator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

Point = NDArray[np.float64]
Score = Callable[[Point], float]
Method = Literal[
    "genetic", "differential_evolution", "grasshopper", "grey_wolf", "marine_predators", "shell_game"
]
#: How many points move, and how often, as recipes write it.
Agents = Annotated[int, Field(ge=1)]
Iterations = Annotated[int, Field(ge=0)]


def maximise(
    method: Method, score: Score, dimensions: int, *, agents: int, iterations: int, rng: np.random.Generator
) -> tuple[Point, float]:
    """The best point found in [0, 1]^`dimensions`, and its score; `agents` points move `iterations` times."""
    swarm = rng.random((agents, dimensions))
    return _MOVES[method](score, swarm, iterations, rng)


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


def _differences(
    score: Score, swarm: Point, iterations: int, rng: np.random.Generator
) -> tuple[Point, float]:
    """Differential evolution, Storn and Price 1997: rand/1/bin with F = 0.6 and CR = 0.9."""
    agents, dimensions = swarm.shape
    worth = np.array([score(point) for point in swarm])
    for _ in range(iterations):
        parents = swarm.copy()
        for agent in range(agents):
            others = np.delete(np.arange(agents), agent) if agents > 1 else np.arange(1)
            first, second, third = parents[rng.choice(others, 3, replace=len(others) < 3)]
            mutant = np.clip(first + 0.6 * (second - third), 0, 1)
            always = np.arange(dimensions) == rng.integers(dimensions)
            crossed = (rng.random(dimensions) < 0.9) | always
            _keep_the_better(score, swarm, worth, agent, np.where(crossed, mutant, parents[agent]))
    return _best(swarm, worth)


def _marine_predators(
    score: Score, swarm: Point, iterations: int, rng: np.random.Generator
) -> tuple[Point, float]:
    """Faramarzi, Heidarinejad, Mirjalili and Gandomi, Expert Systems with Applications 2020, with opposition ([52],
    Houssein 2022): the first swarm, and now and then a later one, is held against its mirror image."""
    agents, dimensions = swarm.shape
    worth = np.array([score(point) for point in swarm])
    _oppose(score, swarm, worth, np.zeros(dimensions), np.ones(dimensions))
    for number in range(iterations):
        elite, _ = _best(swarm, worth)
        fading = (1 - number / iterations) ** (2 * number / iterations)
        prey, chance = swarm.copy(), rng.random(swarm.shape)
        brown, levy = rng.standard_normal(swarm.shape), _levy(rng, swarm.shape)
        exploring = prey + 0.5 * chance * brown * (elite - brown * prey)
        closing = elite + 0.5 * fading * brown * (brown * elite - prey)
        leaping = prey + 0.5 * chance * levy * (elite - levy * prey)
        hunting = elite + 0.5 * fading * levy * (levy * elite - prey)
        third = 3 * number // iterations
        half = (np.arange(agents) < agents // 2)[:, None]
        moved = (exploring, np.where(half, leaping, closing), hunting)[third]
        # eddies and fish aggregating devices: a fifth of the time a random leap, else one between two of the prey
        if rng.random() < 0.2:
            moved = moved + fading * rng.random(swarm.shape) * (rng.random(swarm.shape) < 0.2)
        else:
            one, other = prey[rng.permutation(agents)], prey[rng.permutation(agents)]
            share = rng.uniform(0.2, 1.0)
            moved = moved + share * (one - other)
        for agent, point in enumerate(np.clip(moved, 0, 1)):
            _keep_the_better(score, swarm, worth, agent, point)
        if rng.random() < 0.3:
            _oppose(score, swarm, worth, swarm.min(axis=0), swarm.max(axis=0))
    return _best(swarm, worth)


def _shells(score: Score, swarm: Point, iterations: int, rng: np.random.Generator) -> tuple[Point, float]:
    """Shell game optimisation, Dehghani, Montazeri, Malik, Givi and Guerrero 2020 ([53]): under one of three shells
    lies the best point, under two others those of other players; who plays well finds it sooner, and is drawn by the
    shells that he lifted until then."""
    agents = len(swarm)
    worth = np.array([score(point) for point in swarm])
    for _ in range(iterations):
        order = worth.argsort().argsort()
        for agent in range(agents):
            found_first = rng.random() < (order[agent] + 1) / agents
            lifted = 1 if found_first else int(rng.integers(2, 4))
            shells = [int(worth.argmax()), *(int(i) for i in rng.integers(0, agents, 2))]
            step = np.zeros(swarm.shape[1])
            for shell in shells[:lifted]:
                towards = np.sign(worth[shell] - worth[agent])
                step += rng.random(swarm.shape[1]) * towards * (swarm[shell] - swarm[agent])
            if not step.any():  # the best one itself looks around
                step += 0.1 * rng.standard_normal(swarm.shape[1])
            _keep_the_better(score, swarm, worth, agent, np.clip(swarm[agent] + step, 0, 1))
    return _best(swarm, worth)


def _keep_the_better(score: Score, swarm: Point, worth: Point, agent: int, point: Point) -> None:
    found = score(point)
    if found >= worth[agent]:
        swarm[agent], worth[agent] = point, found


def _oppose(score: Score, swarm: Point, worth: Point, low: Point, high: Point) -> None:
    """Opposition-based learning (Tizhoosh 2005): of every point and its mirror image between `low` and `high` the
    better half stays."""
    mirrored = low + high - swarm
    both = np.concatenate([swarm, mirrored])
    scores = np.concatenate([worth, [score(point) for point in mirrored]])
    stay = np.argsort(-scores, kind="stable")[: len(swarm)]
    swarm[:], worth[:] = both[stay], scores[stay]


def _levy(rng: np.random.Generator, shape: tuple[int, ...]) -> Point:
    """Steps of a Lévy flight with exponent 1.5, a twentieth of Mantegna's (1994)."""
    spread = 0.6966
    drawn = spread * rng.standard_normal(shape) / np.abs(rng.standard_normal(shape)) ** (1 / 1.5)
    return np.asarray(0.05 * drawn, np.float64)


def _best(swarm: Point, worth: Point) -> tuple[Point, float]:
    return swarm[worth.argmax()].copy(), float(worth.max())


_MOVES: dict[Method, Callable[[Score, Point, int, np.random.Generator], tuple[Point, float]]] = {
    "genetic": _genes,
    "differential_evolution": _differences,
    "grasshopper": _grasshoppers,
    "grey_wolf": _grey_wolves,
    "marine_predators": _marine_predators,
    "shell_game": _shells,
}

"""The weight-randomisation test (Adebayo et al. 2018): a map that stays when the network forgets what it has
learned shows the image's edges and not the network's reasons."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import cv2
import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from inference.champions.explained import Method
from inference.explain.deletion import cells_of
from inference.explain.measure import Outcome
from inference.explain.methods import heat_of
from inference.explain.subject import Subject
from inference.runtime.geometry import Map

#: Shares of the layers that are random, from the answer downwards; the first stop is the topmost layer alone.
STOPS = (0.0, 0.25, 0.5, 0.75, 1.0)
#: Random networks that a stop is averaged over.
NETWORKS = 2
#: … and the last one, by which a map is judged: what one random network makes of a breast's shape is like or unlike any
#: map by chance alone (mammography 3.0.0: ±0.2 a network, 0.01 over ten).
JUDGED_BY = 10
#: Two maps are compared with at most so many pixels along the longer side: below that lies noise.
_COMPARED_PX = 64


def layers_of(module: nn.Module, answer: Callable[[], Tensor]) -> list[str]:
    """Names of the layers whose weights `answer()` depends on, topmost first (the reverse of the order in
    which the network declares them)."""
    named = [(name, values) for name, values in module.named_parameters() if values.is_floating_point()]
    required = [values.requires_grad for _, values in named]
    for _, values in named:
        values.requires_grad_(True)
    try:
        with torch.enable_grad():
            reached = torch.autograd.grad(answer().sum(), [values for _, values in named], allow_unused=True)
    finally:
        for (_, values), before in zip(named, required, strict=True):
            values.requires_grad_(before)
    names = [
        name.rpartition(".")[0]
        for (name, _), gradient in zip(named, reached, strict=True)
        if gradient is not None
    ]
    return list(dict.fromkeys(reversed(names)))


@contextmanager
def randomised(module: nn.Module, layers: Sequence[str], seed: int) -> Iterator[None]:
    """Within it those layers' weights are random: matrices and filters drawn from a normal distribution of
    their own size (root mean square), vectors shuffled. Afterwards the module is as it was."""
    generator = torch.Generator().manual_seed(seed)
    chosen = set(layers)
    kept = []
    with torch.no_grad():
        for name, values in module.named_parameters():
            if name.rpartition(".")[0] not in chosen:
                continue
            kept.append((values, values.detach().clone()))
            if values.ndim > 1:
                size = float(values.square().mean().sqrt())
                values.copy_(torch.randn(values.shape, generator=generator) * size)
            else:
                values.copy_(
                    values[torch.randperm(len(values), generator=generator)] if values.ndim else values
                )
    try:
        yield
    finally:
        with torch.no_grad():
            for values, before in kept:
                values.copy_(before)


def cascade(
    name: str, module: nn.Module, method: Callable[[str], Method], layers: Sequence[str],
    subjects: Sequence[Subject], *, networks: int = NETWORKS, judged_by: int = JUDGED_BY, seed: int = 0,
) -> list[Outcome]:  # fmt: skip
    """How alike each subject's map is to the map of a network whose `layers` are random from the top down to
    each of `STOPS`, the mean over `networks` random ones, at the last stop over `judged_by`: two outcomes, rank
    correlation (Spearman) and SSIM. `chance` is the likeness of the map to itself with its squares shuffled.

    `method(label)` must explain `module` itself, by whatever weights it has when it is called.
    """
    originals = [heat_of(name, method(subject.label)(subject.canvas)) for subject in subjects]
    noise = [
        _likeness(original, _shuffled(original, subject, np.random.default_rng([seed, number])), subject)
        for number, (original, subject) in enumerate(zip(originals, subjects, strict=True))
    ]
    outcomes = []
    for stop in STOPS:
        count = max(1, round(stop * len(layers)))
        found = np.zeros((len(subjects), 2))
        asked = judged_by if stop == STOPS[-1] else networks
        for network in range(asked):
            with randomised(module, layers[:count], seed=1000 * seed + network):
                for number, subject in enumerate(subjects):
                    heat = heat_of(name, method(subject.label)(subject.canvas))
                    found[number] += np.array(_likeness(originals[number], heat, subject)) / asked
        for number, subject in enumerate(subjects):
            for index, likeness in enumerate(("rank correlation", "SSIM")):
                outcomes.append(
                    Outcome(
                        stop_name(likeness, stop), name, subject.image, subject.group,
                        float(found[number, index]), noise[number][index],
                    )
                )  # fmt: skip
    return outcomes


def stop_name(likeness: str, stop: float) -> str:
    """The check's name at one of `STOPS`."""
    return f"{likeness}, {'top layer' if stop == 0 else f'{stop:.0%} of layers'} random"


def _likeness(one: Map, other: Map, subject: Subject) -> tuple[float, float]:
    """Spearman's correlation and SSIM of two heat maps over the picture, coarsened; 0 and SSIM of what is
    there where a map is flat."""
    picture = subject.canvas.picture
    shrink = min(1.0, _COMPARED_PX / max(picture.shape))
    size = (max(1, round(picture.shape[1] * shrink)), max(1, round(picture.shape[0] * shrink)))
    inside = cv2.resize(picture.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.5
    small = [
        np.asarray(cv2.resize(_spread(heat), size, interpolation=cv2.INTER_AREA), np.float32)
        for heat in (one, other)
    ]
    flat = any(float(np.ptp(heat[inside])) < 1e-6 for heat in small)
    ranks = 0.0 if flat else float(spearmanr(small[0][inside], small[1][inside]).statistic)
    return ranks, float(_ssim(small[0], small[1])[inside].mean())


def _spread(heat: Map) -> Map:
    """Over its own maximum, so that two maps of different strength can be compared."""
    top = float(heat.max())
    return np.asarray(heat / top if top > 0 else heat, np.float32)


def _ssim(one: Map, other: Map) -> Map:
    """Structural similarity (Wang et al. 2004) at each pixel of two maps in 0–1; Gaussian window, σ 1.5."""

    def smooth(values: Map) -> Map:
        return np.asarray(cv2.GaussianBlur(values, (11, 11), 1.5), np.float32)

    mean_one, mean_other = smooth(one), smooth(other)
    variance_one = smooth(one * one) - mean_one**2
    variance_other = smooth(other * other) - mean_other**2
    together = smooth(one * other) - mean_one * mean_other
    light, contrast = 0.01**2, 0.03**2
    upper = (2 * mean_one * mean_other + light) * (2 * together + contrast)
    lower = (mean_one**2 + mean_other**2 + light) * (variance_one + variance_other + contrast)
    return np.asarray(upper / lower, np.float32)


def _shuffled(heat: Map, subject: Subject, generator: np.random.Generator) -> Map:
    """The mean heat of the picture's squares, dealt out anew."""
    cells = cells_of(subject.canvas)
    inside = cells >= 0
    means = np.bincount(cells[inside], weights=heat[inside]) / np.bincount(cells[inside])
    dealt = np.zeros(heat.shape, np.float32)
    dealt[inside] = generator.permutation(means)[cells[inside]]
    return dealt

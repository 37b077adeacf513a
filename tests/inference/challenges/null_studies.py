"""Generated studies of readers beside one model, cases nested in readers: how often is a difference found where there
is none? `python -m tests.inference.challenges.null_studies 600` prints it (docs/challenges.md)."""

from __future__ import annotations

import sys

import numpy as np

from inference.challenges import mrmc
from inference.challenges.reader_scores import NestedStudy


def rejected(gap: float, studies: int) -> int:
    """Of so many studies how many say that readers and model differ (p below 0.05). `gap`: how much more the model sees
    of positive cases."""
    # Mean squares alone come into F: the quicker covariances do.
    own = [mrmc.components(simulated(seed, gap), jackknife=False) for seed in range(studies)]
    return sum(mrmc.tests(each)[0].p < 0.05 for each in own)


def simulated(seed: int, gap: float) -> NestedStudy:
    """Readers of different skill with different numbers of cases of their own, and one model that scores them all:
    both see a part of what the case shows. `gap`: how much more the model sees of positive cases."""
    generator = np.random.default_rng(seed)
    truths, scores = [], []
    for cases in (24, 30, 40, 60, 90, 120):
        truth = np.arange(cases) % 3 == 0
        shown = generator.normal(size=cases)
        skill = 1.2 + generator.normal() * 0.3
        read = truth * skill + shown + generator.normal(size=cases)
        model = truth * (1.2 + gap) + shown + generator.normal(size=cases)
        truths.append(truth)
        scores.append(np.array([read, model]))
    return NestedStudy(("reader", "model"), tuple("123456"), tuple(truths), tuple(scores))


if __name__ == "__main__":
    number = int(sys.argv[1])
    print(f"{rejected(0.0, number)} of {number} rejected at 0.05 where there is no difference")
